"""A DB_URL with several servers leads to the one that takes writes, and never to two at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from regimes.storage.base import Step, StorageAwayError
from regimes.storage.postgres import PostgresStorage

from .postgres_server import PrivatePostgres
from .relay import relay
from .standby import pair

NOWHERE = "127.0.0.1:1"


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A host that takes connections and says nothing, as one whose machine stands still."""
    async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("alone", [True, False], ids=["a service", "a command"])
async def test_a_server_that_says_nothing_leaves_the_next_one_its_time(
    *, alone: bool, silent: str, postgres_server: PrivatePostgres
) -> None:
    async with relay(await postgres_server.new_place()) as way:
        url = way.url.replace(way.host, f"{NOWHERE},{silent},{way.host}")
        storage = PostgresStorage(url, timeout_s=2, alone=alone)
        await storage.open()
        await storage.commit(Step(state={"engine": b"1"}))
        assert await storage.load_state() == {"engine": b"1"}
        await storage.close()
        async with storage.connected() as connection:
            assert await connection.fetchval("SELECT body FROM engine_state") == b"1"


async def test_a_standby_is_passed_over_and_alone_it_is_waited_for() -> None:
    async with pair() as servers:
        storage = PostgresStorage(servers.url(servers.way_to_standby.host, servers.way.host), alone=True)
        await storage.open()
        await storage.commit(Step(state={"engine": b"1"}))
        await storage.close()
        without = PostgresStorage(servers.url(servers.way_to_standby.host, NOWHERE), alone=True)
        with pytest.raises(StorageAwayError, match="no server that takes writes now"):
            await without.open()


async def test_an_address_that_moves_to_another_server_is_not_followed_by_halves(
    postgres_server: PrivatePostgres, mortal: PrivatePostgres
) -> None:
    async with relay(await postgres_server.new_place()) as way:
        storage = PostgresStorage(way.url, alone=True)
        await storage.open()
        way.lead_to(await mortal.new_place())
        # One connection is there; the others that this needs would come from the other server.
        results = await asyncio.gather(*(storage.load_state() for _ in range(20)), return_exceptions=True)
        assert {repr(found) for found in results if found != {}} == {
            repr(StorageAwayError("the server changed behind its address: it is connected to anew"))
        }
        await storage.close()

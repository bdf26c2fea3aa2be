"""One storage of each kind, empty, opened and closed around every test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from regimes.clock import ScaledClock
from regimes.storage.failover import FailoverStorage
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage
from regimes.storage.store import Store

from .postgres_server import PrivatePostgres
from .samples import NOW_MS

NOBODY_THERE = "postgresql://user:secret@127.0.0.1:1/regimes"
KINDS = ["sqlite", "postgres", "failover", "spool"]
Build = Callable[[], Awaitable[Store]]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mortal_server() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    asyncio.run(server.hurry())
    yield server
    server.close()


@pytest.fixture
def mortal(mortal_server: PrivatePostgres) -> Iterator[PrivatePostgres]:
    """A server that the test may kill or freeze; it runs again afterwards."""
    yield mortal_server
    mortal_server.restore()


@pytest.fixture
def clock() -> ScaledClock:
    return ScaledClock(NOW_MS, 1)


@pytest.fixture(params=KINDS)
async def storage(request: pytest.FixtureRequest, tmp_path: Path, clock: ScaledClock) -> AsyncIterator[Store]:
    """Each kind; `spool` is failover whose server was never there."""
    store: Store
    if request.param == "sqlite":
        store = SqliteStorage(tmp_path / "local.db")
    elif request.param == "spool":
        store = FailoverStorage(PostgresStorage(NOBODY_THERE), SqliteStorage(tmp_path / "spool.db"), clock)
    else:
        server: PrivatePostgres = request.getfixturevalue("postgres_server")
        primary = PostgresStorage(await server.new_place())
        spool = SqliteStorage(tmp_path / "spool.db")
        store = primary if request.param == "postgres" else FailoverStorage(primary, spool, clock)
    await store.open()
    yield store
    await store.close()

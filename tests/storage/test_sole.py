"""One service at a time uses a database; commands may look and write beside it."""

import asyncio
import stat
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from regimes.clock import ScaledClock
from regimes.storage.base import Step, StorageTakenError
from regimes.storage.factory import database_for, storage_for
from regimes.storage.failover import FailoverStorage
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage
from regimes.storage.store import Store

from .postgres_server import PrivatePostgres
from .relay import Relay, relay
from .samples import NOW_MS, delivery
from .test_failover import Watch
from .test_kill import last_acknowledged, writer

RULE = "only one service may use a database"


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A DB_URL under which nothing is stored yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/service.db"
    server: PrivatePostgres = request.getfixturevalue("postgres_server")
    return await server.new_place()


Begin = Callable[[str], Coroutine[Any, Any, Store]]


@pytest.fixture
async def begin(tmp_path: Path, clock: ScaledClock) -> AsyncIterator[Begin]:
    """Opens the storage of a service, each with a spool of its own; closes all at the end."""
    opened: list[Store] = []

    async def make(url: str) -> Store:
        storage = storage_for(url, clock=clock, spool=tmp_path / f"spool{len(opened)}.db")
        assert isinstance(storage, Store)
        await storage.open()
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        await storage.close()


async def test_a_second_service_is_refused_and_the_first_goes_on(url: str, begin: Begin) -> None:
    first = await begin(url)
    with pytest.raises(StorageTakenError, match=RULE):
        await begin(url)
    await first.commit(Step(state={"engine": b"1"}))
    assert await first.load_state() == {"engine": b"1"}
    await first.close()
    assert await (await begin(url)).load_state() == {"engine": b"1"}


async def test_a_service_that_closes_meanwhile_is_waited_for(url: str, begin: Begin) -> None:
    first = await begin(url)
    second = asyncio.create_task(begin(url))
    await asyncio.sleep(0)  # lets it begin; it may be anywhere in its wait when the first one closes
    await first.commit(Step(state={"engine": b"last"}))
    await first.close()
    assert await (await second).load_state() == {"engine": b"last"}


async def test_commands_read_and_write_beside_a_service(url: str, begin: Begin) -> None:
    service = await begin(url)
    await service.commit(Step(deliveries=[delivery()]))
    command = database_for(url)
    await command.open()
    assert [d.id for d in await command.deliveries(event_id=None, status=None, limit=9)] == ["d1"]
    again = await command.replay(now_ms=NOW_MS, delivery_id="d1", since_ms=None, expires_at_ms=NOW_MS + 1)
    assert again == 1
    await command.close()
    assert await service.delivery("d1") is not None


async def test_a_killed_process_lets_go(url: str, begin: Begin, tmp_path: Path) -> None:
    async with writer(url, tmp_path / "its_spool.db", 0) as process:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 60)
        with pytest.raises(StorageTakenError, match=RULE) as refused:
            await begin(url)
        if url.startswith("sqlite"):
            assert f"process {process.pid}," in str(refused.value)
        acknowledged = await last_acknowledged(process, 1)
    stored = await (await begin(url)).deliveries(event_id=None, status=None, limit=100_000)
    assert len(stored) > acknowledged


async def test_two_services_do_not_share_a_spool(
    clock: ScaledClock, tmp_path: Path, postgres_server: PrivatePostgres
) -> None:
    spool = tmp_path / "spool.db"
    first = storage_for(await postgres_server.new_place(), clock=clock, spool=spool)
    await first.open()
    with pytest.raises(StorageTakenError, match=r"spool\.db"):
        await storage_for(await postgres_server.new_place(), clock=clock, spool=spool).open()
    await first.close()


async def test_schemas_of_one_database_are_places_of_their_own(
    begin: Begin, postgres_server: PrivatePostgres
) -> None:
    for _ in range(3):
        await begin(await postgres_server.new_place())


async def test_the_lock_file_is_its_owners_alone_and_is_not_inherited(tmp_path: Path) -> None:
    database = SqliteStorage(tmp_path / "service.db", alone=True)
    await database.open()
    assert stat.S_IMODE((tmp_path / "service.db.lock").stat().st_mode) == 0o600
    # A program that the service starts, and that outlives it, must not keep the next one out.
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, close_fds=False
    )
    await database.close()
    await database.open()
    await database.close()
    child.kill()
    await child.wait()


class Cut:
    """A service whose way to the server can be cut."""

    def __init__(self, way: Relay, folder: Path, clock: ScaledClock) -> None:
        self.way = way
        self.watch = Watch()
        self.taken: asyncio.Future[StorageTakenError] = asyncio.get_running_loop().create_future()
        self.storage = FailoverStorage(
            PostgresStorage(way.url, timeout_s=5, alone=True),
            SqliteStorage(folder / "cut.db", alone=True),
            clock,
            on_state=self.watch,
            on_taken=self.taken.set_result,
            retry_s=0.05,
            mirror_s=0.05,
        )


@pytest.fixture
async def cut(
    postgres_server: PrivatePostgres, tmp_path: Path, clock: ScaledClock
) -> AsyncIterator[tuple[Cut, str]]:
    """Such a service, open, and the URL that goes past what is cut."""
    direct = await postgres_server.new_place()
    async with relay(direct) as way:
        service = Cut(way, tmp_path, clock)
        await service.storage.open()
        yield service, direct
        await service.storage.close()


@pytest.mark.parametrize("server", ["notices", "believes in the old connection"])
async def test_a_service_that_was_cut_off_has_its_server_again(
    cut: tuple[Cut, str], server: str, begin: Begin
) -> None:
    service, direct = cut
    await service.way.cut(server_notices=server == "notices")
    await service.storage.commit(Step(state={"engine": b"away"}))
    await service.watch.until_gone()
    await service.way.mend()
    await service.watch.until_back()
    assert await service.storage.load_state() == {"engine": b"away"}
    with pytest.raises(StorageTakenError, match=RULE):
        await begin(direct)
    assert not service.taken.done()


async def test_a_service_that_comes_back_to_find_another_is_told_and_stays_away(
    cut: tuple[Cut, str], begin: Begin
) -> None:
    service, direct = cut
    await service.storage.commit(Step(state={"engine": b"before"}))
    await service.way.cut(server_notices=True)
    await service.watch.until_gone()
    other = await begin(direct)
    await service.storage.commit(Step(state={"engine": b"away"}))
    await service.way.mend()
    assert RULE in str(await asyncio.wait_for(service.taken, 60))
    await service.storage.commit(Step(deliveries=[delivery()]))
    assert [d.id for d in await service.storage.deliveries(event_id=None, status=None, limit=9)] == ["d1"]
    assert await other.load_state() == {"engine": b"before"}


async def test_a_session_that_an_administrator_ends_is_noticed_though_nothing_is_written(
    cut: tuple[Cut, str],
) -> None:
    service, direct = cut
    administrator = await asyncpg.connect(direct)
    ended = await administrator.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
        "AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid"
    )
    await administrator.close()
    assert len(ended) == 1
    await service.watch.until_gone()
    await service.watch.until_back()

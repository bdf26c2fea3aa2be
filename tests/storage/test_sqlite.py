import asyncio
import sqlite3
import stat
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from regimes.errors import DataError, StorageError
from regimes.storage.base import EventQuery, Step, StorageAwayError
from regimes.storage.session import Session
from regimes.storage.sqlite import SqliteStorage

from .samples import NOW_MS, deliveries, delivery, event, liquidation


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    store = SqliteStorage(tmp_path / "local.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    mounted = subprocess.run(command, check=False, capture_output=True)  # noqa: S603  # fixed words and our own folder
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607  # as above


async def test_files_are_readable_by_their_owner_alone(storage: SqliteStorage) -> None:
    await storage.commit(Step(state={"engine": b"1"}))
    files = list(storage.path.parent.glob("local.db*"))
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_file_that_was_open_to_all_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    path.touch(0o666)
    store = SqliteStorage(path)
    await store.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await store.close()


async def test_each_commit_is_flushed_to_the_disk(storage: SqliteStorage) -> None:
    async def pragmas(session: Session) -> list[object]:
        names = ("journal_mode", "synchronous")
        return [(await session.rows(f"PRAGMA {name}"))[0][0] for name in names]

    assert await storage.write(pragmas) == ["wal", 2]


async def test_readers_do_not_wait_for_a_transaction_that_is_open(storage: SqliteStorage) -> None:
    await storage.commit(Step(events=[event()]))
    inside, go_on = threading.Event(), threading.Event()

    async def slow(session: Session) -> None:
        await session.run("DELETE FROM market_events")
        inside.set()
        assert go_on.wait(30)

    writing = asyncio.create_task(storage.write(slow))
    assert await asyncio.to_thread(inside.wait, 30)
    assert await storage.event(event().id) == event()
    go_on.set()
    await writing
    assert await storage.event(event().id) is None


async def test_readers_cannot_write(storage: SqliteStorage) -> None:
    async def sneak(session: Session) -> int:
        return await session.run("DELETE FROM market_events")

    with pytest.raises(StorageError, match="read-only"):
        await storage.read(sneak)


async def test_a_caller_that_gives_up_does_not_stop_the_others(storage: SqliteStorage) -> None:
    calls = [asyncio.create_task(storage.commit(Step(events=[event(NOW_MS + n)]))) for n in range(20)]
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[7].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(result is None for result in results) == 18
    assert len((await storage.events(EventQuery())).events) >= 18


async def test_transactions_that_wait_share_one_commit(storage: SqliteStorage) -> None:
    begun: list[str] = []
    assert storage._writer is not None
    await storage._writer.do(
        lambda writer: writer.set_trace_callback(lambda sql: begun.append(sql) if sql == "COMMIT" else None)
    )
    await asyncio.gather(*(storage.put_endpoint(f"e{n}", b"") for n in range(50)))
    assert len(begun) <= 2
    assert len(await storage.endpoints()) == 50


async def test_a_bug_in_one_transaction_reaches_its_caller_alone(storage: SqliteStorage) -> None:
    async def bug(_session: Session) -> None:
        raise ZeroDivisionError

    results = await asyncio.gather(
        storage.put_endpoint("a", b""),
        storage.write(bug),
        storage.put_endpoint("b", b""),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), ZeroDivisionError, type(None)]
    assert set(await storage.endpoints()) == {"a", "b"}


async def test_a_transaction_that_waits_for_something_else_is_refused(storage: SqliteStorage) -> None:
    async def sleepy(session: Session) -> None:
        await session.run("INSERT INTO endpoints (name, state) VALUES ('a', '')")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its session"):
        await storage.write(sleepy)
    assert await storage.endpoints() == {}


async def test_not_a_number_is_refused_not_stored_as_nothing(storage: SqliteStorage) -> None:
    await storage.add_liquidations([liquidation(NOW_MS), liquidation(NOW_MS + 1, price=float("nan"))])
    await storage.flush()
    assert list(await storage.liquidations(since_ms=0, symbol=None, limit=9)) == [liquidation(NOW_MS)]
    assert storage.buffer.dropped == {"refused": 1}


async def test_a_number_too_large_is_refused(storage: SqliteStorage) -> None:
    with pytest.raises(DataError, match="no such value"):
        await storage.commit(deliveries(delivery(created_ms=2**64)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda path: path.write_text("not a database, but long enough to look like one" * 40),
            "not a SQLite",
        ),
        (lambda path: path.mkdir(), "cannot be opened"),
    ],
)
async def test_a_path_that_is_no_database_is_told_clearly(tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "local.db"
    make(path)  # type: ignore[operator]
    with pytest.raises(StorageError, match=words):
        await SqliteStorage(path).open()


async def test_a_folder_that_is_not_there_is_told_clearly(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a folder that exists"):
        await SqliteStorage(tmp_path / "none" / "local.db").open()


async def test_another_process_that_holds_the_lock_is_told(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(storage.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert storage._writer is not None
    await storage._writer.do(lambda writer: writer.execute("PRAGMA busy_timeout = 10"))
    with pytest.raises(StorageAwayError, match="locked"):
        await storage.put_endpoint("a", b"")
    other.execute("ROLLBACK")
    other.close()
    await storage.put_endpoint("a", b"")
    assert await storage.endpoints() == {"a": b""}


async def test_a_storage_that_is_closed_says_so(tmp_path: Path) -> None:
    store = SqliteStorage(tmp_path / "local.db")
    for call in (store.commit(Step()), store.load_state()):
        with pytest.raises(StorageAwayError, match="not open"):
            await call


async def fill(storage: SqliteStorage) -> list[str]:
    """Commit until the disk is full; the ids of what was acknowledged."""
    stored: list[str] = []

    async def without_end() -> None:
        for n in count():
            new = delivery(f"d{n}", message=b"x" * 20_000)
            await storage.commit(deliveries(new))
            stored.append(new.id)

    with pytest.raises(StorageAwayError, match="disk is full"):
        await without_end()
    return stored


async def test_a_full_disk_is_told_loses_nothing_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    storage = SqliteStorage(small_disk / "local.db")
    await storage.open()
    stored = await fill(storage)
    assert len(stored) > 10
    found = await storage.deliveries(event_id=None, status=None, limit=2_000)
    assert {d.id for d in found} == set(stored)
    await storage.add_liquidations([liquidation()])
    ballast.unlink()
    await storage.commit(deliveries(delivery("after", message=b"x" * 20_000)))
    await storage.close()
    await storage.open()
    found = await storage.deliveries(event_id=None, status=None, limit=2_000)
    assert {d.id for d in found} == {*stored, "after"}
    assert len(await storage.liquidations(since_ms=0, symbol=None, limit=9)) == 1
    await storage.close()


async def test_a_database_that_may_not_grow_says_so_and_loses_nothing(storage: SqliteStorage) -> None:
    """Where no disk can be made small: SQLite's own limit raises the same error."""
    assert storage._writer is not None
    await storage._writer.do(lambda writer: writer.execute("PRAGMA max_page_count = 100"))
    stored = await fill(storage)
    await storage._writer.do(lambda writer: writer.execute("PRAGMA max_page_count = 100000"))
    await storage.commit(deliveries(delivery("after")))
    found = await storage.deliveries(event_id=None, status=None, limit=2_000)
    assert {d.id for d in found} == {*stored, "after"}

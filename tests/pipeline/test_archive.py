"""What is kept beside alerts, on real SQLite."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regimes.clock import ScaledClock
from regimes.features.base import Status
from regimes.features.liquidation_cascade import SymbolCascadeReading
from regimes.observations import Liquidation
from regimes.pipeline.archive import Archive
from regimes.pipeline.batch import Batch
from regimes.storage.base import Step
from regimes.storage.settings import StorageSettings
from regimes.storage.sqlite import SqliteStorage
from regimes.timeframe import DAY_MS
from tests.delivery.messages import event as body

START_MS = 1_737_982_800_000
KEPT_EVERY_S = 60.0


def reading(symbol: str = "BTC/USDT", n: int = 1) -> SymbolCascadeReading:
    return SymbolCascadeReading(
        feature="liquidation_cascade",
        symbol=symbol,
        status=Status.OK,
        as_of_ms=START_MS,
        n=n,
        needed=60,
        coverage=1.0,
    )


def liquidation(number: int) -> Liquidation:
    return Liquidation(START_MS + number, "binanceusdm", "BTC/USDT", "long", 50_000.0, 0.1, 5_000.0)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    store = SqliteStorage(tmp_path / "archive.db")
    await store.open()
    yield store
    await store.close()


def archive(storage: SqliteStorage, *, real_ms: int = START_MS, **settings: float) -> Archive:
    event_time, real = ScaledClock(START_MS, 1.0, running=False), ScaledClock(real_ms, 1.0, running=False)
    return Archive(
        storage, StorageSettings(**{"readings_seconds": KEPT_EVERY_S, **settings}), event_time, real
    )


async def kept(storage: SqliteStorage, symbol: str = "BTC/USDT") -> list[int]:
    await storage.flush()
    rows = await storage.readings(
        feature="liquidation_cascade", symbol=symbol, from_ms=0, to_ms=2 * START_MS, limit=1000
    )
    return [row.ts_ms - START_MS for row in rows]


async def test_a_signal_is_kept_at_most_once_in_its_interval(storage: SqliteStorage) -> None:
    keeper = archive(storage)
    for second in range(0, 181, 5):
        keeper.take(Batch(START_MS + second * 1000, readings=[reading(n=second)]))
    await keeper.hand_over()
    assert await kept(storage) == [0, 60_000, 120_000, 180_000]


async def test_each_symbol_has_an_interval_of_its_own(storage: SqliteStorage) -> None:
    keeper = archive(storage)
    keeper.take(Batch(START_MS, readings=[reading()]))
    keeper.take(Batch(START_MS + 5_000, readings=[reading(), reading("ETH/USDT")]))
    await keeper.hand_over()
    assert (await kept(storage), await kept(storage, "ETH/USDT")) == ([0], [5_000])


async def test_every_liquidation_is_kept_in_order_while_it_runs(storage: SqliteStorage) -> None:
    keeper = archive(storage)
    running = asyncio.create_task(keeper.run(lambda: None))
    for first in range(0, 500, 50):
        keeper.take(Batch(START_MS + first, liquidations=[liquidation(first + n) for n in range(50)]))
        await asyncio.sleep(0)
    await keeper.hand_over()
    await storage.flush()
    running.cancel()
    found = await storage.liquidations(since_ms=0, symbol=None, limit=1000)
    assert [one.ts_ms - START_MS for one in found] == list(range(500))


async def test_rows_of_the_market_age_by_event_time_and_the_outbox_by_real_time(
    storage: SqliteStorage,
) -> None:
    old_ms = START_MS - 100 * DAY_MS
    late = Liquidation(old_ms, "binanceusdm", "BTC/USDT", "long", 50_000.0, 0.1, 5_000.0)
    await storage.add_liquidations([late, liquidation(0)])
    await storage.flush()
    # The market is replayed years after it was recorded.
    keeper = archive(storage, real_ms=START_MS + 900 * DAY_MS)
    await keeper.purge()
    found = await storage.liquidations(since_ms=0, symbol=None, limit=10)
    assert [one.ts_ms for one in found] == [START_MS]


async def test_more_than_one_helping_of_old_rows_goes_in_one_purge(storage: SqliteStorage) -> None:
    old_ms = START_MS - 100 * DAY_MS
    orders = [
        Liquidation(old_ms + n, "binanceusdm", "BTC/USDT", "long", 50_000.0, 0.1, 5_000.0)
        for n in range(2_500)
    ]
    await storage.add_liquidations(orders)
    await storage.commit(
        Step(events=[body(started="2025-01-27T12:00:00Z", timestamp="2025-01-27T12:00:00Z")])
    )
    await storage.flush()
    await archive(storage).purge()
    stats = await storage.stats()
    assert stats["rows"]["liquidations"] == 0
    assert stats["rows"]["market_events"] == 1

"""Closed bars of a running service are added to those on disk, without a hole."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from structlog.testing import capture_logs

from regimes.feeds.cache import CandleCache, to_frame
from regimes.observations import Candle
from regimes.pipeline import Pipeline
from regimes.pipeline.batch import Batch
from regimes.pipeline.keeper import FILES_AN_HOUR, CandleKeeper
from regimes.timeframe import HOUR_MS
from tests.loopback import START_MS, SYMBOLS, exchange_on_loopback, running, settings_for, until

VENUE = "binanceus"


def bar(hour: int, symbol: str = "BTC/USDT", *, closed: bool = True, close: float = 1.5) -> Candle:
    return Candle(VENUE, symbol, "1h", hour * HOUR_MS, 1.0, 2.0, 0.5, close, 3.0, 4.0, 1.0, closed=closed)


def cache_with(folder: Path, *hours: int, symbol: str = "BTC/USDT") -> CandleCache:
    cache = CandleCache(folder)
    cache.store(VENUE, symbol, "1h", to_frame(bar(hour) for hour in hours))
    return cache


def hours_in(cache: CandleCache, symbol: str = "BTC/USDT") -> list[int]:
    return [open_ms // HOUR_MS for open_ms in cache.load(VENUE, symbol, "1h").get_column("open_ms").to_list()]


def turn(*bars: Candle) -> Batch:
    return Batch(0, candles=bars)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk is to whoever writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_bars_that_close_follow_those_on_disk(tmp_path: Path) -> None:
    cache = cache_with(tmp_path, 1, 2)
    keeper = CandleKeeper(cache)
    keeper.take(turn(bar(4), bar(3), bar(5, closed=False)))
    await keeper.keep()
    assert hours_in(cache) == [1, 2, 3, 4]


async def test_a_bar_that_is_on_disk_stays_as_it_is(tmp_path: Path) -> None:
    cache = cache_with(tmp_path, 1, 2)
    keeper = CandleKeeper(cache)
    keeper.take(turn(bar(2, close=9.0), bar(3)))
    await keeper.keep()
    assert cache.load(VENUE, "BTC/USDT", "1h").get_column("close").to_list() == [1.5, 1.5, 1.5]


async def test_what_follows_a_hole_waits_until_it_is_filled(tmp_path: Path) -> None:
    cache = cache_with(tmp_path, 1, 2)
    keeper = CandleKeeper(cache)
    keeper.take(turn(bar(4), bar(5)))
    await keeper.keep()
    assert hours_in(cache) == [1, 2], "a start would never ask for hour 3"
    keeper.take(turn(bar(3)))
    await keeper.keep()
    assert hours_in(cache) == [1, 2, 3, 4, 5]


async def test_where_no_history_is_none_is_begun(tmp_path: Path) -> None:
    cache = CandleCache(tmp_path)
    keeper = CandleKeeper(cache)
    keeper.take(turn(bar(3)))
    await keeper.keep()
    assert hours_in(cache) == []


async def test_what_cannot_be_written_is_said_and_written_later(tmp_path: Path) -> None:
    cache = cache_with(tmp_path, 1, 2)
    keeper = CandleKeeper(cache)
    keeper.take(turn(bar(3)))
    with files_of_at_most(100), capture_logs() as logs:
        await keeper.keep()
    assert [line["event"] for line in logs] == ["candles_not_kept"]
    assert hours_in(cache) == [1, 2]
    await keeper.keep()
    assert hours_in(cache) == [1, 2, 3]


async def test_with_many_symbols_several_bars_are_written_at_once(tmp_path: Path) -> None:
    names = [f"COIN{number}/USDT" for number in range(2 * FILES_AN_HOUR)]
    for name in names:
        cache = cache_with(tmp_path, 1, symbol=name)
    keeper = CandleKeeper(cache)
    keeper.take(turn(*(bar(2, name) for name in names)))
    await keeper.keep()
    assert hours_in(cache, names[0]) == [1]
    keeper.take(turn(*(bar(3, name) for name in names)))
    await keeper.keep()
    assert {tuple(hours_in(cache, name)) for name in names} == {(1, 2, 3)}


async def test_a_running_service_adds_the_hours_that_close(tmp_path: Path) -> None:
    async with exchange_on_loopback(speed=1200.0) as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        closed: list[int] = []
        pipeline.subscribe(on_batch=lambda turn: closed.extend(c.open_ms for c in turn.candles if c.closed))
        async with running(pipeline) as task:
            clock.start()
            await until(lambda: closed.count(START_MS) == len(SYMBOLS), task)
            await pipeline.keeper.keep()
        cache = CandleCache(tmp_path)
        assert START_MS // HOUR_MS in hours_in(cache)
        assert len(set(map(tuple, (hours_in(cache, symbol)[-50:] for symbol in SYMBOLS)))) == 1

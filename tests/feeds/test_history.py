"""Warm-up over real HTTP: complete, in order, frugal, and of use when the exchange is not."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from regimes.clock import ScaledClock
from regimes.features.base import Need, Universe
from regimes.feeds.binance import BinanceFeed
from regimes.feeds.cache import CandleCache
from regimes.feeds.history import Progress, Warmup
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.observations import Candle, FundingRate
from regimes.timeframe import DAY_MS, HOUR_MS
from tests.feeds.harness import START_MS, SYMBOLS, Seen, live, loopback, quick, running

WEEKS = Need("candle", 90 * DAY_MS, "1h")
MONTH = Need("funding", 30 * DAY_MS)


@asynccontextmanager
async def opened(
    exchange: LoopbackExchange, clock: ScaledClock, cache_dir: Path | None = None, **changes: Any
) -> AsyncIterator[BinanceFeed]:
    settings = quick(exchange, **changes)
    async with BinanceFeed(settings, Universe(SYMBOLS), clock, cache_dir) as feed:
        yield feed


def candles(history: Warmup) -> list[Candle]:
    return [item for item in history.observations() if isinstance(item, Candle)]


def requests(exchange: LoopbackExchange, path: str, status: int = 200) -> int:
    return exchange.sent.requests[f"{path} {status}"]


async def test_history_is_complete_page_after_page_and_equals_the_exchanges() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        history = await feed.warmup([WEEKS, MONTH])
        market = exchange._calls._source
        for symbol in SYMBOLS:
            own = [bar for bar in candles(history) if bar.symbol == symbol]
            assert [bar.open_ms for bar in own] == list(range(START_MS - 90 * DAY_MS, START_MS, HOUR_MS))
            first, last = own[0].open_ms, own[-1].open_ms
            truth = market.bars("spot", symbol.replace("/", ""), HOUR_MS, first, last, clock.now_ms())
            assert [bar.close for bar in own] == pytest.approx(truth.close.tolist())
            assert [bar.taker_buy_volume for bar in own] == pytest.approx(truth.taker_volume.tolist())
    assert not history.shortfalls
    assert requests(exchange, "/api/v3/klines") == 3 * 3


async def test_history_comes_in_the_order_in_which_it_was_known() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        history = await feed.warmup([WEEKS, MONTH])
    known = [
        item.open_ms + HOUR_MS if isinstance(item, Candle) else item.ts_ms
        for item in history.observations()
        if isinstance(item, Candle | FundingRate)
    ]
    assert known == sorted(known)
    assert len(known) == 3 * 90 * 24 + len([x for x in history.observations() if isinstance(x, FundingRate)])


async def test_funding_history_has_each_symbols_own_interval() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        history = await feed.warmup([MONTH])
    rates = [item for item in history.observations() if isinstance(item, FundingRate)]
    for symbol in SYMBOLS:
        own = [rate for rate in rates if rate.symbol == symbol]
        steps = {(b.ts_ms - a.ts_ms) / HOUR_MS for a, b in itertools.pairwise(own)}
        assert steps == {own[0].interval_hours}
        assert len(own) >= 30 * 24 / own[0].interval_hours - 1


async def test_of_several_needs_the_longest_counts_and_progress_is_told_part_by_part() -> None:
    told: list[Progress] = []
    short = Need("candle", DAY_MS, "1h")
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        history = await feed.warmup([short, Need("candle", 2 * DAY_MS, "1h"), short, MONTH], told.append)
    assert len(candles(history)) == 48 * len(SYMBOLS)
    assert [(part.done, part.total) for part in told] == [(n, 6) for n in range(1, 7)]
    assert {part.label for part in told} == {f"{s} {what}" for s in SYMBOLS for what in ("1h", "funding")}


async def test_a_need_for_some_symbols_is_met_for_these_alone() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        history = await feed.warmup([Need("candle", HOUR_MS, "1m", 2), Need("candle", DAY_MS, "1h")])
    by_length = Counter((bar.symbol, bar.timeframe) for bar in candles(history))
    assert by_length == {**{(s, "1h"): 24 for s in SYMBOLS}, **{(s, "1m"): 60 for s in SYMBOLS[:2]}}


async def test_funding_beyond_the_exchanges_limit_holds_nothing_up() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        rest = feed._venues["binanceusdm"].rest
        for _ in range(398):
            await rest._funding_pace.turn()
        async with asyncio.timeout(5):
            history = await feed.warmup([MONTH])
    (first, second) = history.shortfalls
    assert {first.kind, second.kind} == {"funding"}
    assert "400 requests in 300 s are spent" in first.reason


async def test_a_restart_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        async with opened(exchange, clock, tmp_path) as feed:
            first = candles(await feed.warmup([WEEKS]))
        before = requests(exchange, "/api/v3/klines")
        async with opened(exchange, clock, tmp_path) as feed:
            second = candles(await feed.warmup([WEEKS]))
        assert requests(exchange, "/api/v3/klines") == before, "nothing was missing"
    assert second == first
    later = ScaledClock(START_MS + 30 * HOUR_MS + 10_000, 1.0)
    async with loopback(speed=1.0) as (exchange, _):
        exchange._calls._now_ms = later.now_ms
        async with opened(exchange, later, tmp_path) as feed:
            third = candles(await feed.warmup([WEEKS]))
        assert requests(exchange, "/api/v3/klines") == len(SYMBOLS)
    assert {bar.open_ms for bar in third} == set(
        range(START_MS - 90 * DAY_MS + 30 * HOUR_MS, START_MS + 30 * HOUR_MS, HOUR_MS)
    )


async def test_a_longer_need_fetches_the_older_part_alone(tmp_path: Path) -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        async with opened(exchange, clock, tmp_path) as feed:
            await feed.warmup([Need("candle", 10 * DAY_MS, "1h")])
        async with opened(exchange, clock, tmp_path) as feed:
            history = await feed.warmup([Need("candle", 20 * DAY_MS, "1h")])
    assert len(candles(history)) == 20 * 24 * len(SYMBOLS)
    opens = [bar.open_ms for bar in candles(history) if bar.symbol == "BTC/USDT"]
    assert opens == sorted(set(opens))


async def test_a_corrupt_cache_file_is_fetched_again(tmp_path: Path) -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        async with opened(exchange, clock, tmp_path) as feed:
            first = candles(await feed.warmup([WEEKS]))
        broken = CandleCache(tmp_path).path("binanceus", "ETH/USDT", "1h")
        await asyncio.to_thread(broken.write_bytes, b"not a table")
        with capture_logs() as logs:
            async with opened(exchange, clock, tmp_path) as feed:
                second = candles(await feed.warmup([WEEKS]))
    assert second == first
    assert any(entry.get("path") == str(broken) for entry in logs)


async def test_errors_that_pass_are_retried_after_one_and_two_seconds() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        exchange.faults.http.add(500, path="/api/v3/klines", times=2)
        started = clock.monotonic()
        history = await feed.warmup([Need("candle", DAY_MS, "1h")])
        took_s = clock.monotonic() - started
    assert not history.shortfalls
    assert len(candles(history)) == 24 * len(SYMBOLS)
    assert 0.7 < took_s < 30


async def test_a_429_stops_every_request_of_the_venue_for_as_long_as_it_says() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock, rest_concurrency=3) as feed:
        exchange.faults.http.add(429, path="/api/v3/klines", times=1, retry_after_s=2)
        started = clock.monotonic()
        history = await feed.warmup([Need("candle", DAY_MS, "1h")])
        took_s = clock.monotonic() - started
    assert not history.shortfalls
    assert requests(exchange, "/api/v3/klines", 429) == 1
    assert took_s > 1.9


@pytest.mark.parametrize(("status", "retry_after_s"), [(418, 100), (418, None), (429, 100), (429, None)])
async def test_a_long_pause_is_kept_and_the_service_goes_on_with_what_it_has(
    tmp_path: Path, status: int, retry_after_s: int | None
) -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        async with opened(exchange, clock, tmp_path) as feed:
            first = candles(await feed.warmup([Need("candle", DAY_MS, "1h")]))
        later = ScaledClock(START_MS + 2 * HOUR_MS + 10_000, 1.0)
        async with opened(exchange, later, tmp_path, rest_wait_max_seconds=0.1, rest_concurrency=1) as feed:
            exchange.faults.http.add(status, path="/api/v3", retry_after_s=retry_after_s)
            with capture_logs() as logs:
                history = await feed.warmup([Need("candle", DAY_MS, "1h")])
            assert "REST paused by the exchange" in feed.problems()["binanceus"]
    assert requests(exchange, "/api/v3/klines", status) == 1, "no request may follow a refusal"
    assert len(history.shortfalls) == len(SYMBOLS)
    assert {short.newest_ms for short in history.shortfalls} == {START_MS - HOUR_MS}
    told = [entry for entry in logs if entry["log_level"] == "error"]
    assert [entry["event"] for entry in told] == ["history_incomplete"]
    assert told[0]["going_on_with_data_aged_hours"] == 3.0
    assert candles(history) == [bar for bar in first if bar.open_ms >= START_MS - 22 * HOUR_MS]


async def test_streams_go_on_while_rest_is_banned() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen, rest_wait_max_seconds=0.1):
        await live(seen)
        exchange.faults.http.add(418, path="/fapi", retry_after_s=1000)
        await exchange.faults.burst(100)
        await seen.until(lambda: len(seen.liquidations) == 100)
        await seen.news(Candle, 3)


async def test_what_warm_up_could_not_fetch_is_repaired_while_running() -> None:
    seen = Seen()
    async with (
        loopback() as (exchange, clock),
        opened(exchange, clock, rest_wait_max_seconds=0.1, rest_concurrency=1) as feed,
    ):
        exchange.faults.http.add(429, path="/api/v3/klines", retry_after_s=3, times=1)
        history = await feed.warmup([Need("candle", 2 * DAY_MS, "1h")])
        assert not candles(history)
        assert history.shortfalls
        task = asyncio.create_task(feed.run(seen))
        await seen.until(lambda: len([bar for bar in seen.of(Candle) if bar.closed]) >= 48 * len(SYMBOLS))
        task.cancel()
        await asyncio.wait([task])
    for symbol in SYMBOLS:
        opens = [bar.open_ms for bar in seen.of(Candle) if bar.closed and bar.symbol == symbol]
        assert opens[:48] == list(range(START_MS - 2 * DAY_MS, START_MS, HOUR_MS))


async def test_a_bar_that_ended_a_moment_ago_is_left_to_the_stream_and_not_counted_as_had() -> None:
    async with loopback(speed=0.001) as (exchange, _):
        just_after = ScaledClock(START_MS + 1_000, 0.001)
        exchange._calls._now_ms = just_after.now_ms
        async with opened(exchange, just_after) as feed:
            history = await feed.warmup([Need("candle", DAY_MS, "1h")])
    assert max(bar.open_ms for bar in candles(history)) == START_MS - 2 * HOUR_MS
    assert history.reach["candle", "BTC/USDT", "1h"] == START_MS - 2 * HOUR_MS


async def test_rows_that_cannot_be_read_are_counted_and_the_rest_is_taken() -> None:
    async with loopback(speed=1.0) as (exchange, clock), opened(exchange, clock) as feed:
        rest = feed._venues["binanceus"].rest
        whole = exchange._calls.answer

        def spoiled(venue: Any, call: str, query: Any) -> Any:
            body = whole(venue, call, query)
            if call == "klines":
                body[3][4] = "NaN"
                body[5] = None
            return body

        exchange._calls.answer = spoiled  # type: ignore[method-assign]
        history = await feed.warmup([Need("candle", DAY_MS, "1h")])
    assert rest.bad_rows == 2 * len(SYMBOLS)
    assert len(candles(history)) == 22 * len(SYMBOLS)

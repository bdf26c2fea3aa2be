"""The live feed through real sockets: nothing lost without being told, nothing twice, recovery from every fault."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from regimes.clock import ScaledClock
from regimes.errors import ConfigError, VenueError
from regimes.features.base import Need
from regimes.feeds.base import ObservationQueue
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.malformed import MALFORMED
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.feeds.simulator.source import Listing
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.observations import (
    BookDepth,
    Candle,
    FeedGap,
    FundingRate,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Unavailable,
)
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from tests.feeds.harness import START_MS, SYMBOLS, Seen, live, loopback, running

Fault = Callable[[LoopbackExchange], Awaitable[object]]


def busy(seconds: float) -> None:
    """Hold the event loop, as a slow engine does."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def test_every_one_of_20_000_liquidations_arrives_in_segments_of_1_to_200_at_a_busy_consumer() -> None:
    queue = ObservationQueue(capacity=1_000)
    got: list[Liquidation] = []
    deepest = 0

    async def consume() -> None:
        nonlocal deepest
        while len(got) < 20_000:
            deepest = max(deepest, len(queue))
            got.extend(item for item in await queue.take(25) if isinstance(item, Liquidation))
            busy(0.001)
            await asyncio.sleep(0)

    async with (
        loopback(speed=1.0) as (exchange, clock),
        running(
            exchange,
            clock,
            queue,
            stale_mark_price_seconds=15.0,
            stale_candles_seconds=60.0,
            keep_alive_seconds=15.0,
        ),
    ):
        while not any(isinstance(item, MarkPrice) for item in await queue.take(1)):
            pass
        consumer = asyncio.create_task(consume())
        sent = 0
        for size in itertools.cycle(range(1, 201)):
            sent += await exchange.faults.burst(min(size, 20_000 - sent), per_segment=size)
            if sent == 20_000:
                break
        await asyncio.wait_for(consumer, 60)
    assert len(set(got)) == len(got) == 20_000
    assert queue.dropped == Counter()
    assert deepest > 250, "the consumer was never behind, so nothing was shown"


async def test_closed_candles_come_once_each_while_hours_fly() -> None:
    seen = Seen()
    async with loopback(speed=3600.0) as (exchange, clock), running(exchange, clock, seen):
        hours = 6
        await seen.until(lambda: len(closed(seen)) >= hours * len(SYMBOLS))
    bars = [(bar.symbol, bar.open_ms) for bar in closed(seen)]
    assert len(bars) == len(set(bars))
    for symbol in SYMBOLS:
        opens = sorted(open_ms for name, open_ms in bars if name == symbol)
        assert opens == list(range(opens[0], opens[-1] + 1, HOUR_MS))
    assert {bar.venue for bar in closed(seen)} == {"binanceus"}


async def test_minutes_that_a_feature_needs_come_closed_and_gapless_of_its_symbols_alone() -> None:
    seen = Seen()
    needs = [Need("candle", HOUR_MS, "1m", 2)]
    async with (
        loopback(speed=60.0) as (exchange, clock),
        running(exchange, clock, seen, needs=needs, candle_grace_seconds=120.0),
    ):
        await live(seen)
        await exchange.faults.close(1001)
        await seen.until(lambda: len(minutes(seen)) >= 12)
    assert all(bar.closed for bar in minutes(seen))
    for symbol in SYMBOLS[:2]:
        opens = sorted(bar.open_ms for bar in minutes(seen) if bar.symbol == symbol)
        assert opens == list(range(opens[0], opens[-1] + MINUTE_MS, MINUTE_MS))
    assert {bar.symbol for bar in minutes(seen)} == set(SYMBOLS[:2])


def minutes(seen: Seen) -> list[Candle]:
    return [bar for bar in seen.of(Candle) if bar.timeframe == "1m"]


def closed(seen: Seen) -> list[Candle]:
    return [bar for bar in seen.of(Candle) if bar.closed]


async def test_each_settled_funding_rate_comes_once_with_its_interval() -> None:
    seen = Seen()
    async with loopback(speed=7200.0) as (exchange, clock), running(exchange, clock, seen):
        await seen.until(lambda: len(seen.of(FundingRate)) >= 8)
    rates = seen.of(FundingRate)
    keys = [(rate.symbol, rate.ts_ms) for rate in rates]
    assert len(keys) == len(set(keys))
    for symbol in SYMBOLS:
        own = [rate for rate in rates if rate.symbol == symbol]
        spacing = {(b.ts_ms - a.ts_ms) / HOUR_MS for a, b in itertools.pairwise(own)}
        assert spacing <= {own[0].interval_hours}
    assert {rate.interval_hours for rate in rates} == {4.0, 8.0}


async def test_book_open_interest_and_mark_price_come_too() -> None:
    seen = Seen()
    async with loopback(speed=100.0) as (exchange, clock), running(exchange, clock, seen):
        await seen.until(
            lambda: all(
                symbols_of(seen, kind) == set(SYMBOLS) for kind in (BookDepth, OpenInterest, MarkPrice)
            )
        )
    book = seen.of(BookDepth)[0]
    assert book.venue == "binanceus"
    assert len(book.bids) == len(book.asks) == 100
    assert book.bids[0][0] < book.asks[0][0]
    interest = seen.of(OpenInterest)[-1]
    assert interest.venue == "binanceusdm"
    assert interest.notional_usd is not None
    assert seen.of(MarkPrice)[-1].next_funding_ms is not None


def symbols_of(seen: Seen, kind: type[Any]) -> set[str]:
    return {item.symbol for item in seen.of(kind)}


async def test_the_time_before_the_first_acknowledgement_is_a_gap_of_a_day() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen):
        await live(seen)
    opened, ended = seen.gaps()
    assert opened.to_ms is None
    assert (ended.from_ms, ended.symbol, ended.venue) == (opened.from_ms, None, "binanceusdm")
    assert opened.from_ms == pytest.approx(START_MS - DAY_MS, abs=60_000)
    assert ended.to_ms is not None
    assert START_MS <= ended.to_ms <= clock.now_ms()


async def test_until_history_is_in_liquidations_come_and_bars_do_not() -> None:
    seen, warm = Seen(), asyncio.Event()
    async with loopback() as (exchange, clock), running(exchange, clock, seen, warm=warm) as feed:
        await live(seen)
        sent = await exchange.faults.burst(1_000, per_segment=100)
        await seen.until(lambda: len(seen.of(Liquidation)) >= sent)
        assert not seen.of(Candle)
        assert {s.stream for s in feed.status() if s.connected} >= {"liquidation", "mark_price"}
        assert [s.connected for s in feed.status() if s.stream == "candle"] == [False]
        warm.set()
        await seen.until(lambda: seen.of(Candle))
    assert [gap.to_ms is None for gap in seen.gaps()] == [True, False]


async def close(exchange: LoopbackExchange, code: int) -> None:
    await exchange.faults.close(code)


async def reject(exchange: LoopbackExchange) -> None:
    exchange.faults.reject_subscribe(6)
    await exchange.faults.close(1006)


async def refuse(exchange: LoopbackExchange) -> None:
    await exchange.faults.refuse_connections()
    await exchange.faults.close(1006)


async def stall(exchange: LoopbackExchange) -> None:
    exchange.faults.stall()


async def half_open(exchange: LoopbackExchange) -> None:
    exchange.faults.half_open()


async def drop(exchange: LoopbackExchange) -> None:
    await exchange.faults.drop_all()


FAULTS: dict[str, Fault] = {
    "closed with 1001": lambda exchange: close(exchange, 1001),
    "closed with 1006": lambda exchange: close(exchange, 1006),
    "closed with 1008": lambda exchange: close(exchange, 1008),
    "dropped after 24 hours": drop,
    "stalled": stall,
    "half open": half_open,
    "rejected when subscribing": reject,
    "refused when connecting": refuse,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_after_a_fault_data_flows_again_and_the_loss_is_told(name: str) -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen) as feed:
        await live(seen)
        await exchange.faults.burst(50)
        await seen.until(lambda: len(seen.liquidations) >= 50)
        await FAULTS[name](exchange)
        await seen.until(lambda: len([gap for gap in seen.gaps() if gap.to_ms is None]) == 2)
        lost_ms = clock.now_ms()
        await exchange.faults.burst(10)
        exchange.faults.recover()
        await exchange.faults.accept_connections()
        await seen.until(lambda: len([gap for gap in seen.gaps() if gap.to_ms is not None]) == 2)
        had = len(seen.liquidations)
        await exchange.faults.burst(50)
        await seen.until(lambda: len(seen.liquidations) >= had + 50)
        await seen.until(lambda: all(status.connected for status in feed.status()))
        reconnects = {status.stream: status.reconnects for status in feed.status()}
        gaps = {status.stream: status.gaps for status in feed.status()}
    span = [gap for gap in seen.gaps() if gap.to_ms is not None][-1]
    assert span.to_ms is not None
    assert span.from_ms <= lost_ms <= span.to_ms
    assert span.reason
    assert reconnects["liquidation"] >= 1
    assert gaps["liquidation"] == 2
    assert len(set(seen.liquidations)) == len(seen.liquidations)


async def test_a_stalled_candle_stream_is_dialled_again_and_its_missed_bars_fetched() -> None:
    seen = Seen()
    async with loopback(speed=3600.0) as (exchange, clock), running(exchange, clock, seen):
        await seen.until(lambda: len(closed(seen)) >= 3)
        exchange.faults.stall("spot")
        await seen.until(lambda: len(closed(seen)) >= 5 * len(SYMBOLS), timeout_s=30)
        exchange.faults.recover()
        before = len(closed(seen))
        await seen.until(lambda: len(closed(seen)) >= before + 2 * len(SYMBOLS))
    for symbol in SYMBOLS:
        opens = sorted(bar.open_ms for bar in closed(seen) if bar.symbol == symbol)
        assert opens == list(range(opens[0], opens[-1] + 1, HOUR_MS))


async def test_duplicates_and_reversed_order_change_nothing() -> None:
    seen = Seen()
    async with loopback(speed=3600.0) as (exchange, clock), running(exchange, clock, seen):
        await live(seen)
        exchange.faults.duplicate(10_000)
        exchange.faults.out_of_order(10_000)
        await seen.until(lambda: len(closed(seen)) >= 4 * len(SYMBOLS))
    bars = [(bar.symbol, bar.open_ms) for bar in closed(seen)]
    assert len(bars) == len(set(bars))
    assert seen.liquidations
    assert len(seen.liquidations) == len(set(seen.liquidations))


# An empty object and unknown events are no defects: they are ignored and counted as such.
HARMLESS = {"unknown-event", "empty-object", "binary-json", "empty-array"}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_frame_is_counted_and_the_feed_lives_on(name: str) -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen) as feed:
        await live(seen)
        await seen.news(Candle)
        assert exchange.faults.malformed(name) == 2
        await exchange.faults.burst(20)
        await seen.until(lambda: len(seen.liquidations) >= 20)
        await seen.news(MarkPrice)
        await seen.news(Candle)
        poison = sum(status.poison for status in feed.status())
        ignored = sum(status.ignored for status in feed.status())
        reconnects = sum(status.reconnects for status in feed.status())
    assert reconnects == 0, "one bad frame must not cost the connection"
    if name in HARMLESS:
        assert poison == 0
        assert name == "empty-array" or ignored == 2
    else:
        # A sound kline is old news on the candle line and out of place on the other; nulls count one by one.
        assert poison == {"kline-high-below-low": 1, "array-of-nulls": 4}.get(name, 2)
    assert all(0 < item.quote_usd < 1e15 for item in seen.liquidations)


@pytest.mark.parametrize(("name", "told"), [("not-json", True), ("broken-json", True), ("mark-null", False)])
async def test_a_frame_that_may_have_been_a_liquidation_is_told_as_a_gap(name: str, *, told: bool) -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen) as feed:
        await live(seen)
        exchange.faults.malformed(name, where="market")
        await seen.until(lambda: len(seen.gaps()) == 3 if told else sum(s.poison for s in feed.status()))
        await seen.news(MarkPrice, 30)
    assert (seen.gaps()[-1].reason == "unreadable messages: 1") is told


async def test_an_unreadable_liquidation_is_told_as_a_gap_over_its_time() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen):
        await live(seen)
        sent_ms = clock.now_ms()
        for _ in range(30):
            exchange.faults.malformed("nan", where="market")
        await seen.until(lambda: "unreadable" in seen.gaps()[-1].reason)
    gap = seen.gaps()[-1]
    assert gap.reason == "unreadable messages: 30"
    assert gap.to_ms is not None
    assert gap.from_ms <= sent_ms <= gap.to_ms


async def test_a_thousand_poison_frames_among_liquidations_lose_none_of_them() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen):
        await live(seen)
        names = itertools.cycle(name for name in MALFORMED if not name.startswith("kline"))
        for _ in range(100):
            for _ in range(10):
                exchange.faults.malformed(next(names), where="market")
            await exchange.faults.burst(10)
        await seen.until(lambda: len(seen.liquidations) >= 1_000)
    assert len(seen.liquidations) == 1_000


async def test_connections_are_replaced_before_their_time_with_nothing_lost_doubled_or_told_as_lost() -> None:
    seen = Seen()
    async with (
        loopback() as (exchange, clock),
        running(
            exchange,
            clock,
            seen,
            rotate_after_hours=1.0 / 3600,
            stale_mark_price_seconds=5.0,
            stale_candles_seconds=5.0,
        ) as feed,
    ):
        await live(seen)
        before = exchange.sent.messages["forceOrder@arr"]
        opened = set(feed._venues["binanceusdm"].exchange.clients)
        while len(opened) < 5:
            await exchange.faults.burst(20)
            await seen.news(MarkPrice)
            opened |= set(feed._venues["binanceusdm"].exchange.clients)
        sent = exchange.sent.messages["forceOrder@arr"] - before
        await seen.until(lambda: len(seen.liquidations) >= sent)
    assert len(seen.liquidations) == len(set(seen.liquidations)) == sent
    assert len(seen.gaps()) == 2, "only the gap before the start"


async def test_http_451_on_one_venue_leaves_the_other_working() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock):
        exchange.faults.http.add(451, path="/api/v3")
        async with running(exchange, clock, seen) as feed:
            await live(seen)
            assert "blocked region" in feed.problems()["binanceus"]
            assert list(feed.problems()) == ["binanceus"]
    lacking = {item.kind: item for item in seen.of(Unavailable)}
    assert set(lacking) == {"candle", "depth"}
    assert "HTTP 451" in lacking["candle"].reason
    assert (lacking["candle"].venue, lacking["candle"].symbol) == ("binanceus", None)


async def test_http_451_when_dialling_ends_that_venue_alone() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock):
        exchange.faults.http.add(451, path="/market")
        async with running(exchange, clock, seen):
            await seen.until(lambda: len(seen.of(Unavailable)) == 4)
            await seen.news(Candle, 3)
    assert {item.kind for item in seen.of(Unavailable)} == {
        "liquidation",
        "funding",
        "mark_price",
        "open_interest",
    }


async def test_when_every_venue_is_blocked_the_feed_says_so_and_ends() -> None:
    async with loopback() as (exchange, clock):
        exchange.faults.http.add(451, path="/")
        with pytest.raises(VenueError, match=r"blocked region: 127\.0\.0\.1"):
            async with running(exchange, clock, Seen()) as feed:
                await feed.open()


async def test_an_unknown_symbol_is_refused_with_near_matches() -> None:
    async with loopback() as (exchange, clock):
        with pytest.raises(ConfigError, match=r"'BTC/USTD' \(did you mean BTC/USDT"):
            async with running(exchange, clock, Seen(), symbols=("ETH/USDT", "BTC/USTD")) as feed:
                await feed.open()


async def test_without_a_derivatives_venue_its_data_is_unavailable_and_the_rest_flows() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen, derivatives=""):
        await seen.news(Candle, 3)
    assert {item.kind for item in seen.of(Unavailable)} == {
        "liquidation",
        "funding",
        "mark_price",
        "open_interest",
    }
    assert all("venues.derivatives is empty" in item.reason for item in seen.of(Unavailable))
    assert not seen.gaps()


async def test_without_a_spot_venue_candles_and_book_come_from_the_derivatives_venue() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock), running(exchange, clock, seen, spot=""):
        await seen.until(lambda: seen.of(Candle) and seen.of(BookDepth) and seen.of(MarkPrice))
    assert {item.venue for item in seen.of(Candle)} == {"binanceusdm"}
    assert not seen.of(Unavailable)


async def test_without_any_venue_there_is_no_feed() -> None:
    async with loopback() as (exchange, clock):
        with pytest.raises(ConfigError, match="set at least one"):
            async with running(exchange, clock, Seen(), spot="", derivatives=""):
                pass


async def test_a_venue_that_cannot_be_reached_at_first_is_tried_until_it_can() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock):
        exchange.faults.http.add(503, path="/fapi/v1/exchangeInfo", times=5)
        async with running(exchange, clock, seen) as feed:
            await seen.news(Candle)
            await live(seen)
            assert feed.problems() == {}


async def test_while_rest_answers_503_bars_are_told_as_a_gap_and_delivered_later() -> None:
    seen = Seen()
    async with loopback(speed=1800.0) as (exchange, clock), running(exchange, clock, seen):
        await seen.news(Candle)
        exchange.faults.http.add(503, path="/api/v3/klines")
        exchange.faults.stall("spot")
        await seen.until(lambda: seen.gaps("candle"), timeout_s=40)
        exchange.faults.http.clear()
        exchange.faults.recover()
        await seen.until(lambda: [gap for gap in seen.gaps("candle") if gap.to_ms is not None], timeout_s=40)
    for symbol in SYMBOLS:
        opens = sorted(bar.open_ms for bar in closed(seen) if bar.symbol == symbol)
        assert opens == list(range(opens[0], opens[-1] + 1, HOUR_MS))


async def test_when_reading_pauses_the_exchange_is_held_back_and_nothing_is_lost() -> None:
    class Slow(ObservationQueue):
        pauses = 0

        async def eased(self) -> None:
            self.pauses += 1
            await super().eased()

    queue = Slow(capacity=500)
    async with (
        loopback(speed=1.0) as (exchange, clock),
        running(
            exchange,
            clock,
            queue,
            stale_mark_price_seconds=15.0,
            stale_candles_seconds=60.0,
            keep_alive_seconds=15.0,
        ),
    ):
        got: list[Observation] = []
        while not any(isinstance(item, MarkPrice) for item in got):
            got.extend(await queue.take(10))
        sent = await exchange.faults.burst(20_000, per_segment=200)
        liquidations = 0
        async with asyncio.timeout(60):
            while liquidations < sent:
                taken = await queue.take(100)
                liquidations += sum(isinstance(item, Liquidation) for item in taken)
                await asyncio.sleep(0)
        assert not [item for item in got if isinstance(item, FeedGap) and "queue" in item.reason]
    assert queue.pauses > 0
    assert queue.dropped == Counter()


async def test_every_forced_order_recorded_on_2025_01_27_arrives_over_the_wire(data_dir: Path) -> None:
    start_ms, end_ms = START_MS + 4 * HOUR_MS + 2_700_000, START_MS + 5 * HOUR_MS + 1_500_000
    orders = pl.read_parquet(data_dir / "liquidations" / "binance_um_force_orders.parquet").filter(
        pl.col("ts").is_between(start_ms, end_ms)
    )
    market = RecordedMarket(data_dir, SYMBOLS, start_ms, end_ms)
    clock = ScaledClock(start_ms, 300.0)
    seen = Seen()
    async with (
        LoopbackExchange(market, clock) as exchange,
        running(exchange, clock, seen, stale_mark_price_seconds=10, stale_candles_seconds=10),
    ):
        await seen.until(lambda: len(seen.liquidations) >= len(orders), timeout_s=30)
    price = pl.when(pl.col("avg_price") > 0).then(pl.col("avg_price")).otherwise(pl.col("price"))
    usd = float(orders.select((pl.col("filled_qty") * price).sum()).item())
    assert len(seen.liquidations) == len(orders) == 1344
    assert sum(item.quote_usd for item in seen.liquidations) == pytest.approx(usd, rel=1e-6)
    longs = sum(item.closed == "long" for item in seen.liquidations)
    assert longs == orders.filter(pl.col("side") == "SELL").height


class HalfListed(SyntheticMarket):
    """A market in which SOL has no perpetual and ETH no spot market."""

    def listings(self, venue: str) -> Mapping[str, Listing]:
        absent = {"usdm": "SOLUSDT", "spot": "ETHUSDT"}[venue]
        return {name: item for name, item in super().listings(venue).items() if name != absent}  # type: ignore[arg-type]


async def test_a_symbol_without_a_perpetual_or_a_spot_market_is_unavailable_there_and_not_zero() -> None:
    seen = Seen()
    clock = ScaledClock(START_MS, 20.0)
    async with (
        LoopbackExchange(HalfListed(SYMBOLS, START_MS, 7, "calm"), clock) as exchange,
        running(exchange, clock, seen),
    ):
        await live(seen)
        await seen.news(Candle, 4)
    lacking = {(item.symbol, item.kind, item.venue) for item in seen.of(Unavailable)}
    assert lacking == {
        *(
            ("SOL/USDT", kind, "binanceusdm")
            for kind in ("liquidation", "funding", "mark_price", "open_interest")
        ),
        *(("ETH/USDT", kind, "binanceus") for kind in ("candle", "depth")),
    }
    assert any("has no perpetual SOL/USDT" in item.reason for item in seen.of(Unavailable))
    assert {item.symbol for item in seen.of(MarkPrice)} == {"BTC/USDT", "ETH/USDT"}
    assert {item.symbol for item in seen.of(Candle)} == {"BTC/USDT", "SOL/USDT"}


async def test_silent_liquidations_are_no_fault_while_mark_prices_come() -> None:
    seen = Seen()
    async with (
        loopback(speed=1.0) as (exchange, clock),
        running(exchange, clock, seen, stale_mark_price_seconds=1.5, stale_candles_seconds=60) as feed,
    ):
        await live(seen)
        await seen.news(MarkPrice, 4 * len(SYMBOLS))
        (status,) = [status for status in feed.status() if status.stream == "liquidation"]
    assert (status.messages, status.reconnects, status.connected) == (0, 0, True)


async def test_an_exchange_clock_an_hour_ahead_costs_nothing() -> None:
    seen = Seen()
    async with loopback() as (exchange, clock):
        exchange.faults.clock_skew_ms = 3_600_000
        async with running(exchange, clock, seen) as feed:
            await live(seen)
            await exchange.faults.burst(20)
            await seen.until(lambda: len(seen.liquidations) == 20)
            assert feed.clock_offsets_ms()["binanceus"] == pytest.approx(3_600_000, abs=2_000)
            assert all(status.reconnects == 0 for status in feed.status())


@pytest.mark.parametrize("fault", ["none", "half open", "stalled", "refused when connecting"])
async def test_shutdown_is_quick_and_clean_whatever_is_going_on(fault: str) -> None:
    seen = Seen()
    async with loopback() as (exchange, clock):
        async with running(exchange, clock, seen):
            await live(seen)
            if fault != "none":
                await FAULTS[fault](exchange)
                await seen.until(lambda: [gap for gap in seen.gaps() if gap.to_ms is None][1:])
            began = clock.monotonic()
        assert clock.monotonic() - began < 10
        exchange.faults.recover()


async def test_many_symbols_are_spread_over_connections_and_subscribe_frames() -> None:
    names = tuple(f"COIN{number:03d}/USDT" for number in range(260))
    seen = Seen()
    async with (
        loopback(symbols=names) as (exchange, clock),
        running(
            exchange, clock, seen, symbols=names, stale_candles_seconds=30, stale_mark_price_seconds=30
        ) as feed,
    ):
        await seen.until(lambda: {bar.symbol for bar in seen.of(Candle)} == set(names))
        await seen.until(lambda: {item.symbol for item in seen.of(MarkPrice)} == set(names))
        connections = {name: len(venue.exchange.clients) for name, venue in feed._venues.items()}
        assert all(status.reconnects == 0 for status in feed.status())
    assert connections == {"binanceus": 2, "binanceusdm": 2}

"""Backfill over real HTTP: complete, frugal, resumed, and honest about what is not there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from regimes.clock import ScaledClock
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.feeds.venue import Venue
from regimes.history import open_source
from regimes.history.backfill.fetch import Backfill, Market, jobs_of
from regimes.history.backfill.report import FileReport
from regimes.history.backfill.table import Span, read_sums, sha256
from regimes.observations import Candle, FundingRate
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from tests.feeds.harness import START_MS, loopback, quick

SYMBOLS = ("BTC/USDT", "ETH/USDT")
MONTH = Span(START_MS - 30 * DAY_MS, START_MS)


@asynccontextmanager
async def markets(
    exchange: LoopbackExchange, clock: ScaledClock, **changes: Any
) -> AsyncIterator[list[Market]]:
    settings = quick(exchange)
    spot, um = (Venue(name, settings, clock, sets_clock=False) for name in ("binanceus", "binanceusdm"))
    try:
        await spot.load()
        await um.load()
        yield [
            Market("spot", spot.rest, spot.market_ids(SYMBOLS)),
            Market("um", um.rest, um.market_ids(SYMBOLS)),
        ]
    finally:
        await spot.close()
        await um.close()


async def fill(
    folder: Path, exchange: LoopbackExchange, clock: ScaledClock, span: Span = MONTH, **options: Any
) -> list[FileReport]:
    timeframes: Sequence[str] = options.pop("timeframes", ("1h",))
    funding: bool = options.pop("funding", True)
    async with markets(exchange, clock) as found:
        backfill = Backfill(folder, span, clock, pause_s=0.01, **options)
        return await backfill.run(jobs_of(found, SYMBOLS, timeframes, funding=funding))


def asked(exchange: LoopbackExchange, status: int = 200) -> int:
    calls = ("/api/v3/klines", "/fapi/v1/klines", "/fapi/v1/fundingRate")
    return sum(exchange.sent.requests[f"{call} {status}"] for call in calls)


async def test_a_folder_is_filled_completely_and_can_be_opened_as_history(tmp_path: Path) -> None:
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        reports = await fill(tmp_path, exchange, clock)
        market = exchange._calls._source
        truth = market.bars("usdm", "BTCUSDT", HOUR_MS, MONTH.from_ms, MONTH.to_ms - 1, clock.now_ms())
    assert [report.name for report in reports] == [
        "candles/spot_BTCUSDT_1h.parquet",
        "candles/spot_ETHUSDT_1h.parquet",
        "candles/um_BTCUSDT_1h.parquet",
        "candles/um_ETHUSDT_1h.parquet",
        "funding/funding_BTCUSDT.parquet",
        "funding/funding_ETHUSDT.parquet",
    ]
    assert [(report.rows, report.missing, report.failed) for report in reports] == [(720, 0, "")] * 4 + [
        (90, 0, "")
    ] * 2
    rows = pl.read_parquet(tmp_path / "candles/um_BTCUSDT_1h.parquet")
    assert rows["ts"].to_list() == list(range(MONTH.from_ms, MONTH.to_ms, HOUR_MS))
    assert rows["close"].to_list() == pytest.approx(truth.close.tolist())
    assert rows["quote_volume"].to_list() == pytest.approx(truth.quote_volume.tolist())
    assert read_sums(tmp_path) == {report.name: sha256(tmp_path / report.name) for report in reports}
    source = open_source(tmp_path)
    kinds = [type(one) for one in source.observations(*source.span())]
    assert kinds.count(Candle) == 2 * 720
    assert kinds.count(FundingRate) == 2 * 90


async def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        await fill(tmp_path, exchange, clock, Span(MONTH.from_ms, MONTH.from_ms + 10 * DAY_MS))
        first = asked(exchange)
        await fill(tmp_path, exchange, clock, Span(MONTH.from_ms, MONTH.from_ms + 10 * DAY_MS))
        assert asked(exchange) == first
        reports = await fill(tmp_path, exchange, clock)
        assert asked(exchange) == 2 * first
    assert {report.rows for report in reports} == {720, 90}


async def test_older_and_newer_history_is_added_around_what_is_there(tmp_path: Path) -> None:
    middle = Span(MONTH.from_ms + 10 * DAY_MS, MONTH.from_ms + 20 * DAY_MS)
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        await fill(tmp_path, exchange, clock, middle, funding=False)
        reports = await fill(tmp_path, exchange, clock, funding=False)
    assert {(report.rows, report.missing) for report in reports} == {(720, 0)}


async def test_bars_that_have_not_closed_are_left_for_the_next_time(tmp_path: Path) -> None:
    ahead = Span(START_MS - DAY_MS, START_MS + DAY_MS)
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        reports = await fill(tmp_path, exchange, clock, ahead, funding=False)
    assert {(report.rows, report.last_ms, report.missing) for report in reports} == {
        (24, START_MS - HOUR_MS, 0)
    }


async def test_shorter_bars_are_filled_chunk_by_chunk_with_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    span = Span(START_MS - 2 * DAY_MS, START_MS)
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        reports = await fill(
            tmp_path, exchange, clock, span, timeframes=("1m",), funding=False, chunk_bars=1000,
            progress=lambda *words: told.append(words),
        )  # fmt: skip
    assert {(report.rows, report.missing) for report in reports} == {(2880, 0)}
    assert [done for done, _, _ in told] == list(range(1, 13))
    assert {total for _, total, _ in told} == {12}
    rows = pl.read_parquet(tmp_path / "candles/spot_BTCUSDT_1m.parquet")
    assert rows["ts"].to_list() == list(range(span.from_ms, span.to_ms, MINUTE_MS))


async def test_a_limit_is_waited_out(tmp_path: Path) -> None:
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        exchange.faults.http.add(429, path="/api/v3/klines", times=1, retry_after_s=1)
        exchange.faults.http.add(429, path="/fapi/v1/fundingRate", times=1, retry_after_s=1)
        reports = await fill(tmp_path, exchange, clock)
    assert {report.failed for report in reports} == {""}
    assert {report.rows for report in reports} == {720, 90}


async def test_what_cannot_be_had_now_is_said_and_had_by_the_next_run(tmp_path: Path) -> None:
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        exchange.faults.http.add(451, path="/api/v3/klines")
        reports = await fill(tmp_path, exchange, clock)
        assert [bool(report.failed) for report in reports] == [True, True, False, False, False, False]
        assert "451" in reports[0].failed
        assert not (tmp_path / reports[0].name).exists()
        exchange.faults.http.clear()
        before = exchange.sent.requests["/fapi/v1/klines 200"]
        reports = await fill(tmp_path, exchange, clock)
        assert exchange.sent.requests["/fapi/v1/klines 200"] == before
    assert {report.failed for report in reports} == {""}
    assert {report.rows for report in reports} == {720, 90}


async def test_a_run_that_stops_in_the_middle_of_a_file_keeps_its_chunks(tmp_path: Path) -> None:
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        blocked = False

        def block(done: int, *_: object) -> None:
            nonlocal blocked
            if done == 3 and not blocked:
                blocked = True
                exchange.faults.http.add(451, path="/")

        options: dict[str, Any] = {"funding": False, "chunk_bars": 100, "concurrency": 1}
        reports = await fill(tmp_path, exchange, clock, progress=block, **options)
        assert reports[0].rows == 300
        exchange.faults.http.clear()
        before = asked(exchange)
        reports = await fill(tmp_path, exchange, clock, **options)
        assert asked(exchange) - before == 4 * 8 - 3
    assert {(report.rows, report.missing) for report in reports} == {(720, 0)}


async def test_hours_the_exchange_does_not_have_are_reported_and_not_asked_for_again(tmp_path: Path) -> None:
    lost = {START_MS - 100 * HOUR_MS, START_MS - 50 * HOUR_MS, START_MS - 49 * HOUR_MS}
    times = [ts for ts in range(START_MS - 500 * HOUR_MS, START_MS + 5 * HOUR_MS, HOUR_MS) if ts not in lost]
    prices = {name: [100.0] * len(times) for name in ("open", "high", "low", "close", "volume")}
    for symbol in SYMBOLS:
        path = tmp_path / "recorded" / "candles" / f"spot_{symbol.replace('/', '')}_1h.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"ts": times, **prices}).write_parquet(path)
    market = RecordedMarket(tmp_path / "recorded", SYMBOLS, START_MS, START_MS + HOUR_MS)
    clock = ScaledClock(START_MS + 10_000, 1.0)
    folder = tmp_path / "filled"
    async with LoopbackExchange(market, clock) as exchange:
        reports = await fill(folder, exchange, clock, funding=False)
        before = asked(exchange)
        again = await fill(folder, exchange, clock, funding=False)
        assert asked(exchange) == before
    assert len(reports) == 2
    # What lies before the first bar there is is no gap.
    assert reports[0].first_ms == START_MS - 500 * HOUR_MS
    assert reports[0].missing == 3
    assert reports[0].gaps == [
        Span(START_MS - 100 * HOUR_MS, START_MS - 99 * HOUR_MS),
        Span(START_MS - 50 * HOUR_MS, START_MS - 48 * HOUR_MS),
    ]
    assert [report.gaps for report in again] == [report.gaps for report in reports]


async def test_a_market_that_began_late_in_the_span_is_filled_to_its_end(tmp_path: Path) -> None:
    long = Span(START_MS - 400 * DAY_MS, START_MS)
    async with loopback(speed=1.0, symbols=SYMBOLS) as (exchange, clock):
        reports = await fill(tmp_path, exchange, clock, long, funding=False)
    # The synthetic market has half a year of history, so that nothing is there for more than a page of hours.
    assert all(
        report.first_ms is not None and report.first_ms > long.from_ms + 2000 * HOUR_MS for report in reports
    )
    assert {(report.last_ms, report.missing) for report in reports} == {(START_MS - HOUR_MS, 0)}
    assert all(report.rows > 4000 for report in reports)

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from regimes.config.settings import settings_type
from regimes.errors import ConfigError, VenueError
from regimes.events import Event, EventType
from regimes.features.base import Reading, Status
from regimes.feeds.simulator.source import Listing, Venue
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.feeds.status import StreamStatus
from regimes.history.tape.recorder import Recorder
from regimes.history.tape.settings import TapeSettings
from regimes.observations import FeedGap
from regimes.package import SIGNALS, encode
from regimes.pipeline import Pipeline
from regimes.timeframe import HOUR_MS
from tests.loopback import (
    START_MS,
    SYMBOLS,
    connected,
    exchange_on_loopback,
    running,
    settings_for,
    until,
)


class WithoutPerpetual(SyntheticMarket):
    """A market in which ETH/USDT has no perpetual."""

    def listings(self, venue: Venue) -> Mapping[str, Listing]:
        known = super().listings(venue)
        return known if venue == "spot" else {name: item for name, item in known.items() if name != "ETHUSDT"}


async def test_everything_can_be_computed_once(tmp_path: Path) -> None:
    async with exchange_on_loopback() as (exchange, clock):
        settings = settings_for(exchange, tmp_path, timeframes=("1h", "4h", "1d", "1w"))
        packages = await Pipeline(settings, clock=clock).compute_all_features()
    assert tuple(packages) == SYMBOLS
    for package in packages.values():
        assert encode(package)
        assert {key: package[key]["status"] for key in SIGNALS} == {
            "cascades": "warming",
            "funding": "ok",
            "volatility": "ok",
            "regimes": "ok",
            "correlations": "ok",
        }
        assert all(package["regimes"][f"{name}_regime"] for name in ("1h", "4h", "1d", "1w"))


async def test_no_task_is_left_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with exchange_on_loopback() as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
    assert asyncio.all_tasks() == before


async def test_a_cascade_reaches_the_subscribers_as_readings_and_one_event(tmp_path: Path) -> None:
    readings: list[Reading] = []
    events: list[Event] = []
    market = SyntheticMarket(SYMBOLS, START_MS, 1, "cascade")
    async with exchange_on_loopback(source=market) as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        pipeline.subscribe(on_reading=readings.append, on_event=events.append)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
            clock.start()
            await until(lambda: any(event.symbol == "BTC/USDT" for event in events), task)
    ours = [e for e in events if e.type is EventType.LIQUIDATION_CASCADE and e.symbol == "BTC/USDT"]
    assert len({event.id for event in ours}) == 1
    assert [event.revision for event in ours] == list(range(len(ours)))
    assert {reading.feature for reading in readings} >= {"liquidation_cascade"}


async def test_liquidations_that_come_while_history_is_fetched_are_taken_once_it_is_in(
    tmp_path: Path,
) -> None:
    async with exchange_on_loopback(speed=1.0, running=True) as (exchange, clock):
        began_ms = clock.now_ms()
        exchange.faults.http.add(429, path="/api/v3/klines", times=1, retry_after_s=15)
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        gaps = list[FeedGap]()
        pipeline.subscribe(on_batch=lambda batch: gaps.extend(batch.gaps))
        async with running(pipeline) as task:
            await until(lambda: up(pipeline, "liquidation"), task)
            heard_ms = clock.now_ms()
            sent = await exchange.faults.burst(2_000, per_segment=50)
            await until(lambda: heard(pipeline, "liquidation") >= sent, task)
            assert not pipeline.live.is_set()
            assert not up(pipeline, "candle")
            await until(lambda: connected(pipeline), task, timeout_s=60)
            await until(lambda: len(pipeline.queue) == 0, task)
            accepted = pipeline.engine.intake.accepted["liquidation"]
            assert not pipeline.engine.intake.rejected
            assert not pipeline.queue.dropped
    assert accepted == heard(pipeline, "liquidation") >= sent
    assert {gap.kind for gap in gaps} == {"liquidation"}
    assert [gap.to_ms is None for gap in gaps] == [True, False]
    assert began_ms <= (gaps[-1].to_ms or 0) <= heard_ms, "blind only until the subscription was acknowledged"


def stream(pipeline: Pipeline, kind: str) -> StreamStatus | None:
    return next((status for status in pipeline.status() if status.stream == kind), None)


def up(pipeline: Pipeline, kind: str) -> bool:
    found = stream(pipeline, kind)
    return found is not None and found.connected


def heard(pipeline: Pipeline, kind: str) -> int:
    found = stream(pipeline, kind)
    return 0 if found is None else found.messages


async def test_what_happened_in_the_history_is_not_announced_as_new(tmp_path: Path) -> None:
    events: list[Event] = []
    async with exchange_on_loopback() as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        pipeline.subscribe(on_event=events.append)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
        assert pipeline.engine.event_counts.total() > 0
    assert not [event for event in events if event.ts_ms < START_MS]


async def test_every_closed_hour_is_taken_once_as_time_runs(tmp_path: Path) -> None:
    async with exchange_on_loopback(speed=3600) as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
            clock.start()
            reading = pipeline.engine.latest["volatility_regime", "BTC/USDT"]
            wanted = START_MS + 4 * HOUR_MS
            await until(
                lambda: (pipeline.engine.latest["volatility_regime", "BTC/USDT"].as_of_ms or 0) >= wanted,
                task,
            )
        assert reading.n == 720
        rejected = {reason for kind, reason in pipeline.engine.intake.rejected if kind == "candle"}
    assert not rejected


async def test_data_are_never_ahead_of_time_however_fast_it_runs(tmp_path: Path) -> None:
    async with exchange_on_loopback(speed=3600) as (exchange, clock):
        slow = {"pipeline": {"interval_seconds": 30.0}}
        pipeline = Pipeline(settings_for(exchange, tmp_path, **slow), clock=clock)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
            clock.start()
            await until(lambda: clock.now_ms() > START_MS + 2 * HOUR_MS, task)
        assert pipeline.engine.intake.rejected.total() == 0


async def test_a_stop_during_the_start_ends_the_run(tmp_path: Path) -> None:
    async with exchange_on_loopback() as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        stop = asyncio.Event()
        pipeline.subscribe(on_progress=lambda _: stop.set())
        await asyncio.wait_for(pipeline.run(stop), 10)
        assert not pipeline.live.is_set()


async def test_what_waits_is_still_taken_after_a_stop(tmp_path: Path) -> None:
    async with exchange_on_loopback() as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
            clock.start()
            await exchange.faults.burst(5_000, per_segment=200)
        assert not len(pipeline.queue)
        received = sum(s.messages for s in pipeline.status() if s.stream == "liquidation")
        assert pipeline.engine.intake.accepted["liquidation"] == received


async def test_a_bug_in_a_subscriber_ends_the_run_with_its_own_error(tmp_path: Path) -> None:
    def broken(_: Reading) -> None:
        raise RuntimeError("broken subscriber")

    async with exchange_on_loopback() as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        pipeline.subscribe(on_reading=broken)
        clock.start()
        with pytest.raises(RuntimeError, match="broken subscriber"):
            await asyncio.wait_for(pipeline.run(asyncio.Event()), 30)


async def test_a_symbol_without_a_perpetual_has_no_funding_and_keeps_the_rest(tmp_path: Path) -> None:
    market = WithoutPerpetual(SYMBOLS, START_MS, 1, "calm")
    async with exchange_on_loopback(source=market) as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
            clock.start()
            funding = ("funding_anomaly", "ETH/USDT")
            await until(lambda: pipeline.engine.latest[funding].status is Status.UNAVAILABLE, task)
            package = pipeline.engine.packages()["ETH/USDT"]
            other = pipeline.engine.packages()["BTC/USDT"]
    assert "binanceusdm has no" in package["funding"]["detail"]
    assert package["funding"]["funding_rate"] is None
    assert package["volatility"]["status"] == "ok"
    assert other["funding"]["status"] == "ok"


async def test_a_symbol_no_venue_has_is_the_operators_turn(tmp_path: Path) -> None:
    async with exchange_on_loopback() as (exchange, clock):
        settings = settings_for(exchange, tmp_path, symbols=("BTC/USDT", "ETHH/USDT"))
        with pytest.raises(ConfigError, match=r"'ETHH/USDT' \(did you mean ETH/USDT"):
            await Pipeline(settings, clock=clock).compute_all_features()


async def test_one_blocked_venue_leaves_the_other_working(tmp_path: Path) -> None:
    async with exchange_on_loopback() as (exchange, clock):
        exchange.faults.http.add(451, path="/fapi/")
        packages = await Pipeline(settings_for(exchange, tmp_path), clock=clock).compute_all_features()
    package = packages["BTC/USDT"]
    assert package["volatility"]["status"] == "ok"
    for key in ("cascades", "funding"):
        assert package[key]["status"] == "unavailable"
        assert package[key]["detail"]


async def test_when_every_venue_is_blocked_the_run_says_so(tmp_path: Path) -> None:
    async with exchange_on_loopback() as (exchange, clock):
        exchange.faults.http.add(451)
        with pytest.raises(VenueError, match="blocked region"):
            await Pipeline(settings_for(exchange, tmp_path), clock=clock).run(asyncio.Event())


async def test_readiness_names_what_is_missing(tmp_path: Path) -> None:
    async with exchange_on_loopback(speed=1200) as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock)
        assert pipeline.readiness().problems == ["starting"]
        async with running(pipeline) as task:
            await until(lambda: connected(pipeline), task)
            clock.start()
            assert any("liquidation_cascade" in problem for problem in pipeline.readiness().problems)
            await until(lambda: pipeline.readiness().ready, task)


async def test_readiness_names_a_tape_that_cannot_be_written_until_it_can(tmp_path: Path) -> None:
    blocked = tmp_path / "tape"
    blocked.write_text("a file where the folder should be")
    async with exchange_on_loopback(speed=1200) as (exchange, clock):
        settings = TapeSettings(folder=blocked, flush_seconds=0.05)
        with Recorder(settings, clock) as recorder:
            pipeline = Pipeline(settings_for(exchange, tmp_path), clock=clock, recorder=recorder)
            async with running(pipeline) as task:
                await until(lambda: connected(pipeline), task)
                clock.start()
                await until(lambda: any("tape" in it for it in pipeline.readiness().problems), task)
                lost = pipeline.tape()
                assert lost is not None
                assert lost.dropped > 0
                blocked.unlink()
                await until(lambda: pipeline.readiness().ready, task)


async def test_only_top_symbols_are_resolved_by_volume(tmp_path: Path) -> None:
    async with exchange_on_loopback() as (exchange, clock):
        pipeline = Pipeline(settings_for(exchange, tmp_path, symbols=("top:2",)), clock=clock)
        packages = await pipeline.compute_all_features()
    assert len(packages) == 2
    assert set(packages) <= set(SYMBOLS)


def test_the_engine_is_not_there_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="no engine before"):
        _ = Pipeline(settings_type()()).engine

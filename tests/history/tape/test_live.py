"""A tape of a live run holds what the engine was given: an engine fed from it says the same."""

from pathlib import Path

from msgspec.json import encode

from regimes.config.features import installed
from regimes.engine import Engine
from regimes.events import Event, EventType
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.history import open_source
from regimes.history.tape.recorder import Recorder
from regimes.history.tape.settings import TapeSettings
from regimes.history.tape.source import TapeSource
from regimes.observations import Candle, FeedGap, FundingRate, Liquidation, MarkPrice, Tick
from regimes.pipeline import Pipeline
from regimes.study import replay
from tests.loopback import START_MS, SYMBOLS, connected, exchange_on_loopback, running, settings_for, until

from .support import ALL_KINDS


async def test_a_replay_of_the_tape_gives_the_events_and_readings_of_the_run(tmp_path: Path) -> None:
    live_events: list[Event] = []
    live_readings: list[bytes] = []
    market = SyntheticMarket(SYMBOLS, START_MS, 1, "cascade")
    async with exchange_on_loopback(source=market) as (exchange, clock):
        settings = settings_for(exchange, tmp_path / "cache")
        with Recorder(TapeSettings(folder=tmp_path / "tape", kinds=ALL_KINDS), clock) as recorder:
            pipeline = Pipeline(settings, clock=clock, recorder=recorder)
            pipeline.subscribe(
                on_event=live_events.append, on_reading=lambda reading: live_readings.append(encode(reading))
            )
            async with running(pipeline) as task:
                await until(lambda: connected(pipeline), task)
                clock.start()
                await until(lambda: len(live_events) > 5, task)
        conflated = pipeline.queue.conflated
    tape = TapeSource(tmp_path / "tape")
    assert tape.is_whole
    assert tape.symbols == SYMBOLS

    engine = Engine.build(installed(), settings.universe(SYMBOLS), settings.sections())
    events: list[Event] = []
    readings: list[bytes] = []
    for observation in tape.steps(*tape.span()):
        outcome = engine.step(observation)
        events += outcome.events
        readings += map(encode, outcome.readings)
    assert not tape.damage
    # What the warm-up brought about is not announced live, so it comes first and is more.
    assert events[-len(live_events) :] == live_events
    assert readings[-len(live_readings) :] == live_readings
    assert any(event.type is EventType.LIQUIDATION_CASCADE for event in live_events)
    assert engine.packages() == pipeline.engine.packages()
    assert sum(record.superseded for record in tape.records(*tape.span())) >= conflated


async def test_by_default_liquidations_are_recorded_with_their_frames_and_gaps(tmp_path: Path) -> None:
    seen: list[Liquidation] = []
    market = SyntheticMarket(SYMBOLS, START_MS, 1, "cascade")
    async with exchange_on_loopback(source=market) as (exchange, clock):
        settings = settings_for(exchange, tmp_path / "cache")
        with Recorder(TapeSettings(folder=tmp_path / "tape"), clock) as recorder:
            pipeline = Pipeline(settings, clock=clock, recorder=recorder)
            pipeline.subscribe(on_batch=lambda batch: seen.extend(batch.liquidations))
            async with running(pipeline) as task:
                await until(lambda: connected(pipeline), task)
                clock.start()
                await until(lambda: len(seen) > 50, task)
                await exchange.faults.drop_all()
                await until(lambda: not connected(pipeline), task)
                count = len(seen)
                await until(lambda: len(seen) > count + 20, task)
    tape = TapeSource(tmp_path / "tape")
    records = list(tape.records(*tape.span()))
    liquidations = [record for record in records if isinstance(record.observation, Liquidation)]
    assert [record.observation for record in liquidations] == seen
    assert all('"forceOrder"' in (record.frame or "") for record in liquidations)
    kinds = {type(record.observation) for record in records}
    assert kinds == {Liquidation, FeedGap, Tick}
    gaps = [record.observation for record in records if isinstance(record.observation, FeedGap)]
    # Not running before it began, and the drop: each told when it opened and when it ended.
    assert [gap.to_ms is None for gap in gaps] == [True, False, True, False]
    assert not {Candle, FundingRate, MarkPrice} & kinds
    assert not tape.is_whole
    assert tape.symbols == ()


async def test_the_time_machine_sees_in_the_tape_what_the_run_saw(tmp_path: Path) -> None:
    live_events: list[Event] = []
    market = SyntheticMarket(SYMBOLS, START_MS, 1, "cascade")
    async with exchange_on_loopback(source=market, speed=60) as (exchange, clock):
        settings = settings_for(exchange, tmp_path / "cache")
        with Recorder(TapeSettings(folder=tmp_path / "tape", kinds=ALL_KINDS), clock) as recorder:
            pipeline = Pipeline(settings, clock=clock, recorder=recorder)
            pipeline.subscribe(on_event=live_events.append)
            async with running(pipeline) as task:
                await until(lambda: connected(pipeline), task)
                clock.start()
                await until(lambda: len(live_events) > 5, task)
    replayed = replay(open_source(tmp_path / "tape"), settings)
    assert [h.event for h in replayed.events][-len(live_events) :] == live_events

from collections.abc import Mapping, Sequence

import pytest
import structlog
from structlog.testing import capture_logs

from regimes.config.features import installed
from regimes.engine import Engine
from regimes.events import Event, EventType, Phase
from regimes.features.base import Universe
from regimes.observations import Candle, Liquidation, Observation, Tick
from regimes.pipeline.resume import Resume
from regimes.pipeline.states import GIST, States
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS

START_MS = 1_737_982_800_000
BTC = "BTC/USDT"


def fresh(*symbols: str) -> Engine:
    return Engine.build(installed(), Universe(symbols or (BTC,)))


def order(at_ms: int, usd: float = 10_000.0) -> Liquidation:
    return Liquidation(at_ms, "binanceusdm", BTC, "long", 50_000.0, usd / 50_000, usd)


def orders(first_ms: int, count: int, *, usd: float = 10_000.0) -> list[Liquidation]:
    return [order(first_ms + 100 * number, usd) for number in range(count)]


def take(engine: Engine, observations: Sequence[Observation]) -> list[Event]:
    return [event for one in observations for event in engine.step(one).events]


def cascades(events: Sequence[Event]) -> list[tuple[str, Phase, int]]:
    ours = [event for event in events if event.type is EventType.LIQUIDATION_CASCADE and event.symbol == BTC]
    return [(event.id, event.phase, event.revision) for event in ours]


class Disk:
    """What the service wrote: states, and the liquidations it has received."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.liquidations: list[Liquidation] = []
        self.asked_ms: list[int] = []
        self._engine: Engine | None = None
        self._states = States(dict, lambda: None)

    def save(self, engine: Engine) -> None:
        self._write(engine, whole=True)

    def note(self, engine: Engine) -> None:
        self._write(engine, whole=False)

    def _write(self, engine: Engine, *, whole: bool) -> None:
        if self._engine is not engine:
            self._engine, self._states = engine, States(dict, lambda: engine)
        self.state |= self._states.take(whole=whole)
        self._states.stored()

    def received(self, engine: Engine, liquidations: Sequence[Liquidation]) -> list[Event]:
        self.liquidations += liquidations
        return take(engine, liquidations)

    async def read(self, since_ms: int) -> Sequence[Liquidation]:
        self.asked_ms.append(since_ms)
        return [one for one in sorted(self.liquidations, key=lambda one: one.ts_ms) if one.ts_ms >= since_ms]


async def restarted(disk: Disk, now_ms: int) -> tuple[Engine, list[Event]]:
    """A new engine after a crash, and what it says with the next tick."""
    engine, resume = fresh(), Resume(disk.state, disk.read)
    assert await resume.into(engine, now_ms) is not None
    return engine, take(engine, [Tick(now_ms)])


@pytest.fixture
def engine() -> Engine:
    made = fresh()
    made.step(Tick(START_MS))
    return made


async def test_an_episode_told_before_the_crash_is_neither_told_again_nor_lost(engine: Engine) -> None:
    disk = Disk()
    disk.save(engine)
    told = disk.received(engine, orders(START_MS, 60))
    disk.note(engine)
    again, events = await restarted(disk, START_MS + MINUTE_MS)
    assert cascades(told)[0][1] is Phase.OPENED
    assert not cascades(events)
    assert set(again.open_events) == set(engine.open_events)
    closed = cascades(take(again, [Tick(START_MS + minute * MINUTE_MS) for minute in range(2, 60)]))
    assert closed == [(cascades(told)[0][0], Phase.CLOSED, cascades(told)[-1][2] + 1)]


async def test_what_was_received_after_the_last_gist_is_told_with_the_next_tick(engine: Engine) -> None:
    disk = Disk()
    disk.save(engine)
    lost = disk.received(engine, orders(START_MS, 60))
    _, events = await restarted(disk, START_MS + MINUTE_MS)
    assert [(event_id, phase) for event_id, phase, _ in cascades(events)] == [
        (cascades(lost)[0][0], Phase.OPENED)
    ]


async def test_the_windows_hold_each_liquidation_once_however_the_crash_fell(engine: Engine) -> None:
    disk = Disk()
    for hour in range(5):
        take(engine, [Tick(START_MS + hour * HOUR_MS)])
        disk.received(engine, orders(START_MS + hour * HOUR_MS, 10, usd=100.0))
        disk.save(engine) if hour != 3 else disk.note(engine)
        disk.received(engine, orders(START_MS + hour * HOUR_MS + MINUTE_MS, 7, usd=100.0))
        disk.note(engine)
        engine, _ = await restarted(disk, START_MS + hour * HOUR_MS + 2 * MINUTE_MS)
        reading = engine.packages()[BTC]["cascades"]
        assert (reading["event_count"], reading["total_liquidation_usd"]) == (
            17 * (hour + 1),
            1_700.0 * (hour + 1),
        )


async def test_after_a_restart_the_same_liquidation_from_the_wire_is_a_double(engine: Engine) -> None:
    disk = Disk()
    disk.save(engine)
    disk.received(engine, orders(START_MS, 20, usd=100.0))
    disk.note(engine)
    again, _ = await restarted(disk, START_MS + MINUTE_MS)
    before = again.intake.accepted["liquidation"]
    take(again, disk.liquidations)
    assert again.intake.accepted["liquidation"] == before


def size(parts: Mapping[str, bytes]) -> int:
    return sum(map(len, parts.values()))


async def test_a_gist_stays_small_however_much_is_liquidated(engine: Engine) -> None:
    take(engine, orders(START_MS, 10))
    small = size(engine.gist())
    take(engine, [order(START_MS + 2 * number, 1.0) for number in range(20_000)])
    assert size(engine.gist()) < small + 10_000
    assert len(engine.snapshot()) > 1_000_000


async def test_only_what_the_snapshot_may_lack_is_read(engine: Engine) -> None:
    disk = Disk()
    disk.save(engine)
    await restarted(disk, START_MS + MINUTE_MS)
    assert disk.asked_ms == [START_MS - 10_000]


async def test_the_time_up_to_which_all_was_seen_is_the_last_that_was_stored(engine: Engine) -> None:
    disk = Disk()
    disk.save(engine)
    disk.received(engine, orders(START_MS, 11))
    seen_until_ms = await Resume(disk.state, disk.read).into(fresh(), START_MS + HOUR_MS)
    assert seen_until_ms == START_MS + 1000


async def test_what_came_to_a_start_that_was_cut_short_says_nothing_of_the_time_before_it(
    engine: Engine,
) -> None:
    disk = Disk()
    disk.save(engine)
    disk.received(engine, orders(START_MS, 11))
    disk.liquidations += orders(START_MS + HOUR_MS, 60)
    again, resume = fresh(), Resume(disk.state, disk.read, saved_every_ms=MINUTE_MS)
    assert await resume.into(again, START_MS + HOUR_MS + MINUTE_MS) == START_MS + 1000
    events = take(again, [Tick(START_MS + HOUR_MS + MINUTE_MS)])
    assert [phase for _, phase, _ in cascades(events)] == [Phase.OPENED]


async def test_a_snapshot_of_other_symbols_is_left_aside_and_the_day_is_read(engine: Engine) -> None:
    disk = Disk()
    disk.save(engine)
    disk.received(engine, orders(START_MS, 11))
    structlog.reset_defaults()
    resume = Resume(disk.state, disk.read)
    with capture_logs() as lines:
        assert await resume.into(fresh(BTC, "ETH/USDT"), START_MS + HOUR_MS) is None
    assert [line["event"] for line in lines] == ["snapshot_not_used"]
    assert not resume.goes_on
    assert len(resume.liquidations) == 11
    assert disk.asked_ms == [START_MS + HOUR_MS - DAY_MS]


async def test_a_first_start_has_nothing_to_go_on_from() -> None:
    resume = Resume()
    engine = fresh()
    assert await resume.into(engine, START_MS) is None
    assert (resume.goes_on, resume.liquidations, engine.now_ms) == (False, (), 0)


async def test_only_the_parts_that_changed_are_written_with_an_event(engine: Engine) -> None:
    for hour in range(48):
        bar = Candle("binanceus", BTC, "1h", START_MS - (48 - hour) * HOUR_MS, 100.0, 101.0, 99.0, 100.0, 5.0)
        engine.step(bar)
    engine.step(Tick(START_MS + 1000))
    states = States(dict, lambda: engine)
    first = states.take(whole=False)
    states.stored()
    take(engine, [order(START_MS + 1500), Tick(START_MS + 6000)])
    later = states.take(whole=False)
    assert f"{GIST}volatility_regime/state" in first
    assert f"{GIST}volatility_regime/state" not in later
    assert f"{GIST}liquidation_cascade/baselines" not in later
    assert f"{GIST}liquidation_cascade/trackers" in later
    assert size(later) < size(first) / 10


async def test_what_could_not_be_written_is_written_the_next_time(engine: Engine) -> None:
    states = States(lambda: {"policy": b"p"}, lambda: engine)
    refused = states.take(whole=False)
    assert states.take(whole=False) == refused
    states.stored()
    assert "policy" not in states.take(whole=False)


async def test_a_gist_with_a_part_missing_is_left_aside_for_the_whole(engine: Engine) -> None:
    disk = Disk()
    disk.save(engine)
    disk.received(engine, orders(START_MS, 20, usd=100.0))
    disk.note(engine)
    del disk.state[f"{GIST}intake/grids"]
    structlog.reset_defaults()
    with capture_logs() as lines:
        again, _ = await restarted(disk, START_MS + MINUTE_MS)
    assert [line["event"] for line in lines] == ["gist_not_used"]
    assert again.packages()[BTC]["cascades"]["event_count"] == 20


async def test_a_snapshot_of_an_earlier_release_is_left_aside_in_words(engine: Engine) -> None:
    disk = Disk()
    disk.received(engine, orders(START_MS, 60))
    resume = Resume({"engine": engine.snapshot()}, disk.read)
    with capture_logs() as lines:
        assert await resume.into(fresh(), START_MS + MINUTE_MS) is None
    assert [line["event"] for line in lines] == ["snapshot_not_used"]
    assert resume.liquidations == disk.liquidations


def test_of_a_snapshot_what_has_changed_is_written(engine: Engine) -> None:
    states = States(dict, lambda: engine)
    first = states.take(whole=True)
    states.stored()
    take(engine, [order(START_MS), Tick(START_MS + 5_000)])
    second = states.take(whole=True)
    assert size(second) < size(first) / 10
    assert {"engine", "engine/liquidation_cascade/trackers"} <= second.keys()
    stored = {name.removeprefix("engine/"): part for name, part in {**first, **second}.items()}
    assert {name: stored[name] for name in engine.whole() if name != "header"} == {
        name: part for name, part in engine.whole().items() if name != "header"
    }

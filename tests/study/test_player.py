"""Leaving out ticks leaves out nothing else."""

from collections.abc import Iterable
from heapq import merge

import numpy as np
import pytest
from hypothesis import example, given, settings as hypothesis_settings, strategies as st

from regimes.config.features import installed
from regimes.engine import Engine
from regimes.features.base import Feature, FeatureSettings, Universe
from regimes.features.liquidation_cascade import LiquidationCascade
from regimes.features.liquidation_cascade.settings import CascadeSettings
from regimes.observations import Liquidation, Observation, Tick
from regimes.study.player import Happened, Player
from regimes.timeframe import DAY_MS, HOUR_MS, known_at_ms
from tests.study.market import START_MS, SYMBOLS, MemorySource, interruptions, orders, whole

INTERVAL_MS = 30_000
END_MS = START_MS + 40 * DAY_MS
FROM_MS = END_MS - 5 * DAY_MS
SOURCE = whole(40, liquidations=300)
SMALL = {"liquidation": CascadeSettings(cascade_threshold_usd=100_000, critical_velocity=60_000)}


def engine(
    features: Iterable[type[Feature]] | None = None,
    settings: dict[str, CascadeSettings] | None = None,
) -> Engine:
    sections: dict[str, FeatureSettings] = dict(settings or {})
    return Engine.build(list(features or installed()), Universe(SYMBOLS, ("1h", "4h")), sections)


def with_every_tick(machine: Engine, source: MemorySource, from_ms: int, to_ms: int) -> list[Happened]:
    """The plain way: a tick at each point of the grid, and at each hour before its data."""

    ticks = range((from_ms // INTERVAL_MS + 1) * INTERVAL_MS, to_ms + 1, INTERVAL_MS)
    both: list[Observation] = [Tick(from_ms)]
    # Of one moment, the tick comes first.
    both += merge(map(Tick, ticks), source.observations(START_MS, to_ms), key=known_at_ms)
    found, taken, now_ms = list[Happened](), 0, 0
    for item in both:
        taken, now_ms = taken + (not isinstance(item, Tick)), max(now_ms, known_at_ms(item))
        found += [Happened(now_ms, event, taken) for event in machine.step(item).events]
    return found


def played(machine: Engine, source: MemorySource, from_ms: int, to_ms: int) -> list[Happened]:
    machine.hush()
    player = Player(machine, interval_ms=INTERVAL_MS, from_ms=from_ms)
    return list(player.play(source.observations(START_MS, to_ms), to_ms))


def test_all_features_say_the_same_at_the_same_time_with_and_without_idle_ticks() -> None:
    every = engine(settings=SMALL)
    expected = with_every_tick(every, SOURCE, FROM_MS, END_MS)
    assert len({item.event.type for item in expected}) >= 5
    skipping = engine(settings=SMALL)
    assert played(skipping, SOURCE, FROM_MS, END_MS) == expected
    assert every.intake.rejected == skipping.intake.rejected


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 200),
    calm_minutes=st.integers(1, 60),
    calm_fraction=st.sampled_from([0.05, 0.25, 0.9]),
    alert_from=st.integers(1, 5),
    relative_from=st.none() | st.integers(2, 5),
)
# The peak was taken at the Ticks.
@example(seed=2, count=82, calm_minutes=1, calm_fraction=0.05, alert_from=1, relative_from=None)
# What is usual became known with an hour, and a symbol of which nothing had come since was not looked at.
@example(seed=2018776849, count=43, calm_minutes=10, calm_fraction=0.25, alert_from=5, relative_from=5)
def test_a_cascade_opens_grows_and_ends_at_the_same_tick(
    seed: int,
    count: int,
    calm_minutes: int,
    calm_fraction: float,
    alert_from: int,
    relative_from: int | None,
) -> None:
    rng = np.random.default_rng(seed)
    end_ms = START_MS + 16 * HOUR_MS
    source = MemorySource([*orders(rng, count, START_MS, end_ms), *interruptions(rng, START_MS, end_ms)])
    changed = {
        "liquidation": CascadeSettings(
            cascade_threshold_usd=100_000,
            critical_velocity=60_000,
            calm_minutes=calm_minutes,
            calm_fraction=calm_fraction,
            alert_from_severity=alert_from,
            relative_hours_needed=3,
            alert_from_relative=relative_from,
        )
    }
    expected = with_every_tick(engine([LiquidationCascade], changed), source, START_MS, end_ms + DAY_MS)
    assert played(engine([LiquidationCascade], changed), source, START_MS, end_ms + DAY_MS) == expected


def test_most_ticks_are_left_out() -> None:
    machine = engine(settings=SMALL)
    played(machine, SOURCE, FROM_MS, END_MS)
    assert machine.intake.accepted["tick"] < 0.2 * (END_MS - FROM_MS) / INTERVAL_MS


@pytest.fixture(scope="module")
def uninterrupted() -> list[Happened]:
    return played(engine(settings=SMALL), SOURCE, FROM_MS, END_MS)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.97])
def test_a_restart_in_the_middle_changes_nothing(uninterrupted: list[Happened], share: float) -> None:
    middle_ms = FROM_MS + int(share * (END_MS - FROM_MS)) + 1234
    first = engine(settings=SMALL)
    before = Player(first, interval_ms=INTERVAL_MS, from_ms=FROM_MS)
    events = list(before.play(SOURCE.observations(START_MS, middle_ms), middle_ms))
    second = engine(settings=SMALL)
    second.restore(first.snapshot())
    after = Player(second, interval_ms=INTERVAL_MS, from_ms=FROM_MS)
    events += after.play(SOURCE.observations(middle_ms, END_MS), END_MS)
    assert [(item.ts_ms, item.event) for item in events] == [(x.ts_ms, x.event) for x in uninterrupted]
    assert uninterrupted


def test_data_never_seem_to_come_from_the_future() -> None:
    lonely = [
        Liquidation(START_MS + hour * HOUR_MS + 77_777, "f", SYMBOLS[0], "long", 1.0, 1.0, 1.0)
        for hour in (1, 2, 30, 900)
    ]
    machine = engine([LiquidationCascade])
    played(machine, MemorySource(lonely), START_MS, START_MS + 40 * DAY_MS)
    assert not machine.intake.rejected
    assert machine.intake.accepted["liquidation"] == len(lonely)


def test_what_is_known_at_the_end_of_the_span_is_not_in_it() -> None:
    at_end = Liquidation(START_MS + HOUR_MS, "f", SYMBOLS[0], "long", 1.0, 1.0, 1.0)
    machine = engine([LiquidationCascade])
    player = Player(machine, interval_ms=INTERVAL_MS, from_ms=START_MS)
    list(player.play([at_end], START_MS + HOUR_MS))
    assert player.taken == 0
    list(player.play([at_end], START_MS + HOUR_MS + 1))
    assert player.taken == 1

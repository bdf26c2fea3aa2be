"""The choice is made by the past alone, and what is said of it is what single replays say."""

import pytest

from regimes.errors import ConfigError
from regimes.study.merit import Merit, merit
from regimes.study.replay import replay
from regimes.study.targets import targets
from regimes.study.tune import Tuned, choose, tune
from regimes.timeframe import DAY_MS
from tests.study.market import START_MS, MemorySource, whole
from tests.study.test_replay import settings

FROM_MS = START_MS + 32 * DAY_MS
GRID = {"funding.anomaly_z_threshold": (1.5, 2.5), "volatility.high_vol_threshold": (0.03, 0.05)}


@pytest.fixture(scope="module")
def market() -> MemorySource:
    return whole(110, liquidations=50)


@pytest.fixture(scope="module")
def tuned(market: MemorySource) -> Tuned:
    return tune(market, settings(), GRID, FROM_MS, folds=5)


def test_each_point_is_measured_as_a_replay_of_its_own_would_be(tuned: Tuned, market: MemorySource) -> None:
    assert len(tuned.tried) == 4
    assert len(tuned.alone) == 4
    span = tuned.stretch
    wanted = targets(market, span.universe.symbols, span.from_ms, span.to_ms)
    changed = settings(volatility={"high_vol_threshold": 0.03})
    single = merit(
        replay(market, changed, FROM_MS).messages, wanted, span.universe.symbols, span.from_ms, span.to_ms
    )
    (ours,) = [one for one in tuned.alone if one.values == {"volatility.high_vol_threshold": 0.03}]
    assert ours.merit == single
    assert single.moves > 0
    assert single.messages > 0


def test_nothing_on_the_frontier_is_beaten_and_all_else_is(tuned: Tuned) -> None:
    def beats(one: Merit, other: Merit) -> bool:
        return (one.a_week, -one.caught) != (other.a_week, -other.caught) and (
            one.a_week <= other.a_week and one.caught >= other.caught
        )

    for one in tuned.tried:
        assert one.is_best is not any(beats(other.merit, one.merit) for other in tuned.tried)


def test_each_fold_is_chosen_by_what_was_before_it_alone(tuned: Tuned, market: MemorySource) -> None:
    assert len(tuned.folds) == 4
    for fold in tuned.folds[1:3]:
        earlier = tune(market, settings(), GRID, FROM_MS, fold.from_ms, folds=2)
        best = choose([one.merit for one in earlier.tried], 10.0)
        assert earlier.tried[best].values == fold.values == earlier.chosen


def test_the_sums_are_those_of_the_folds(tuned: Tuned) -> None:
    assert tuned.unseen.messages == sum(fold.merit.messages for fold in tuned.folds)
    assert tuned.unseen_present.moves == tuned.unseen.moves
    assert 0 < tuned.by_chance < 1


def test_a_smaller_budget_rings_less(market: MemorySource, tuned: Tuned) -> None:
    quiet = tune(market, settings(), GRID, FROM_MS, folds=5, budget=0.1)
    loads = {str(one.values): one.merit.a_week for one in quiet.tried}
    assert loads[str(quiet.chosen)] == min(loads.values())
    assert loads[str(tuned.chosen)] >= loads[str(quiet.chosen)]


@pytest.mark.parametrize(("folds", "days"), [(1, 60), (6, 60)])
def test_folds_that_say_nothing_are_refused(market: MemorySource, folds: int, days: int) -> None:
    with pytest.raises(ConfigError, match="take a longer span or fewer folds"):
        tune(market, settings(), GRID, FROM_MS, FROM_MS + days * DAY_MS, folds=folds)

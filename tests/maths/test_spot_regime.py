"""Heat, states with memory and consensus: the worked examples, and plain Python beside the arrays."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats as reference

from regimes.maths import persistence_frozen, spot_regime
from regimes.maths.spot_regime import COOLING, IGNITION, NEUTRAL, usual_volume
from regimes.timeframe import HOUR_MS

BOUNDS = (0.5, 0.35)


def heat(price_z: float, volume_z: float) -> float:
    return float(spot_regime.heat(np.array([price_z]), np.array([volume_z]))[0])


def after(heat: float, price_z: float, before: int) -> int:
    found = spot_regime.next_state(
        np.array([heat]), np.array([price_z]), np.array([before]), heat_bounds=BOUNDS, price_z_bounds=BOUNDS
    )
    return int(found[0])


def agreed(*states: int | None) -> tuple[int, int, int]:
    array = np.array([[NEUTRAL if state is None else state] for state in states])
    known = np.array([[state is not None] for state in states])
    primary, agreement, count = spot_regime.consensus(array, known)
    return int(primary[0]), int(agreement[0]), int(count[0])


def test_worked_example_of_heat() -> None:
    assert heat(1.2, 1.8) == pytest.approx(0.72)
    assert heat(-1.2, 1.8) == pytest.approx(0.72)


@given(st.floats(-9, 9), st.floats(-9, 9) | st.just(math.nan))
def test_heat_is_the_formula_between_0_and_1_and_unknown_volume_adds_nothing(
    price_z: float, volume_z: float
) -> None:
    volume_part = 0.0 if math.isnan(volume_z) else max(volume_z, 0.0)
    wanted = min(max(0.3 * abs(price_z) + 0.2 * volume_part, 0.0), 1.0)
    assert heat(price_z, volume_z) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_heat_without_a_price_is_missing() -> None:
    assert math.isnan(heat(math.nan, 3.0))


@given(st.lists(st.floats(0, 1e6), min_size=20, max_size=20))
def test_volume_z_is_the_z_score_of_log_volume(volume: list[float]) -> None:
    found = spot_regime.volume_z(np.array([volume]))[0]
    logs = [math.log(value) for value in volume if value > 0]
    if volume[-1] == 0 or len(logs) < 15 or np.std(logs, ddof=1) <= 1e-9:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(reference.zscore(logs, ddof=1)[-1], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("heat", "price_z", "before", "wanted"),
    [
        (0.5, 0.5, NEUTRAL, IGNITION),
        (0.5, -0.5, NEUTRAL, COOLING),
        (0.499, 2.0, NEUTRAL, NEUTRAL),
        (0.9, 0.499, NEUTRAL, NEUTRAL),
        (0.35, 0.9, IGNITION, IGNITION),
        (0.35, 0.9, NEUTRAL, NEUTRAL),
        (0.349, 0.9, IGNITION, NEUTRAL),
        (0.9, 0.35, IGNITION, IGNITION),
        (0.9, 0.349, IGNITION, NEUTRAL),
        (0.4, -0.4, IGNITION, NEUTRAL),
        (0.6, -0.6, IGNITION, COOLING),
        (math.nan, math.nan, COOLING, NEUTRAL),
    ],
)
def test_state_enters_at_one_bound_and_leaves_at_the_lower(
    heat: float, price_z: float, before: int, wanted: int
) -> None:
    assert after(heat, price_z, before) == wanted


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ((1, 1, 0, 0), (IGNITION, 2, 4)),  # 0.50: a tie goes to what is not neutral
        ((1, 1, -1, -1), (COOLING, 2, 4)),  # and to the longer one
        ((-1, -1, 1, 1), (IGNITION, 2, 4)),
        ((1, 0, 0, -1), (NEUTRAL, 2, 4)),
        ((1, -1, 0, 0), (NEUTRAL, 2, 4)),
        ((1, 1, 1, -1), (IGNITION, 3, 4)),
        ((0, 0, 0, 0), (NEUTRAL, 4, 4)),
        ((1, -1, 0, None), (COOLING, 1, 3)),
        ((None, None, None, None), (NEUTRAL, 0, 0)),
    ],
)
def test_primary_is_the_most_common_state_and_ties_go_to_the_longer_that_is_not_neutral(
    states: tuple[int | None, ...], wanted: tuple[int, int, int]
) -> None:
    assert agreed(*states) == wanted


def test_usual_volume_of_a_day_is_the_mean_of_its_hours_and_a_week_is_usual() -> None:
    monday = 4 * 24 * HOUR_MS
    hours = usual_volume(monday + 23 * HOUR_MS, HOUR_MS, 24)
    assert usual_volume(monday, 24 * HOUR_MS, 1)[0] == pytest.approx(hours.mean())
    saturday = usual_volume(monday + 5 * 24 * HOUR_MS, 24 * HOUR_MS, 1)[0]
    assert saturday < hours.mean()
    weeks = usual_volume(monday + 14 * 24 * HOUR_MS, 7 * 24 * HOUR_MS, 3)
    assert weeks[0] == weeks[1] == weeks[2]


def test_a_neutral_regime_all_timeframes_share_lasts_longer_than_one_of_the_short() -> None:
    weights = np.array(persistence_frozen.WEIGHTS)
    states = np.array([[NEUTRAL, IGNITION], [NEUTRAL, IGNITION], [NEUTRAL, COOLING], [NEUTRAL, NEUTRAL]])
    agreeing = spot_regime.agreement(states, np.array([NEUTRAL, IGNITION]))
    assert agreeing.tolist() == [0b11111, 0b00011]
    whole, short = spot_regime.persistence(agreeing, np.array([48.0, 1.0]), weights).tolist()
    assert 0 < short < 0.3 < whole < 1


def test_persistence_is_the_weight_of_the_agreement_and_what_the_age_counts_for() -> None:
    weights = np.array([0.5, -1.0, 2.0, 0.0, 0.25, -0.5])
    chance = spot_regime.persistence(np.array([1, 2]), np.expm1(np.array([2.0, 4.0])), weights)
    assert chance == pytest.approx(1 / (1 + np.exp([1.0 - 0.5, -2.0 + 2.0])))

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from regimes.maths import anomaly, reversion

FloatArray: TypeAlias = npt.NDArray[np.float64]
WINDOW = 12
HOUR = 3_600_000
RATES = st.lists(st.sampled_from([0.0, 1e-4, 1e-4, 2e-4, -3e-4, 9e-4, 2e-2, np.nan]), min_size=1, max_size=30)


@given(RATES)
@settings(deadline=None)
def test_each_rate_has_the_z_score_it_had_in_its_own_time(values: list[float]) -> None:
    rates = np.array([values])
    found = reversion.own_time_scores(rates, WINDOW)[0]
    for at, score in enumerate(found.tolist()):
        part = rates[:, max(at - WINDOW + 1, 0) : at + 1]
        count, mean, std = anomaly.moments(part)
        if np.isnan(part[0, -1]) or count[0] < WINDOW / 3:
            assert np.isnan(score)
        elif std[0] > 2 * anomaly.SMALLEST_STD:
            assert score == pytest.approx(anomaly.z_scores(part, mean, std)[0, -1], abs=1e-6)


def test_after_a_flat_history_the_mean_is_usual_and_what_leaves_it_has_no_score() -> None:
    found = reversion.own_time_scores(np.array([[1e-4] * 12 + [1e-4 + 2e-7]]), WINDOW)[0]
    assert found[-2] == 0.0
    assert np.isnan(found[-1])


def test_a_usual_rate_has_no_chance_to_speak_of() -> None:
    assert np.isnan(chance([1e-4, 2e-4] * 12)).all()
    assert np.isnan(chance([])).all()
    assert np.isnan(chance([np.nan])).all()


def test_a_fresh_extreme_is_sooner_over_than_one_that_has_lasted() -> None:
    calm = [1e-4, 1.2e-4, 0.8e-4] * 6
    fresh, lasting = chance([*calm, 4e-4]), chance([*calm, 4e-4, 4.2e-4, 4.4e-4, 4.8e-4])
    assert (fresh > lasting).all()
    for within_24h, within_72h in (fresh, lasting):
        assert 0 < within_24h < within_72h < 1


def test_a_symbol_gives_the_same_bits_whoever_is_beside_it() -> None:
    rates = np.random.default_rng(1).normal(1e-4, 1e-4, (7, 24))
    rates[3, :9] = np.nan
    whole = reversion.chances(reversion.terms(rates, WINDOW))
    for row in range(7):
        alone = reversion.chances(reversion.terms(rates[row : row + 1], WINDOW))
        assert alone[:, 0].tobytes() == whole[:, row].tobytes()


def test_rates_of_eight_hours_are_taken_as_they_are() -> None:
    times, rates = np.arange(1, 5) * 8 * HOUR, np.array([1e-4, 2e-4, 3e-4, 4e-4])
    assert reversion.eight_hourly(times, rates, np.full(4, 8.0)) is rates


@pytest.mark.parametrize("hours", [1.0, 2.0, 4.0])
def test_shorter_intervals_are_averaged_over_each_eight_hours(hours: float) -> None:
    each = round(8 / hours)
    times = (np.arange(1, 3 * each + 1) * hours * HOUR).astype(np.int64)
    rates = np.repeat([1e-4, 5e-4, 3e-4], each) + np.tile(np.linspace(-1e-5, 1e-5, each), 3)
    blocks = reversion.eight_hourly(times, rates, np.full(len(times), hours))
    assert blocks == pytest.approx([1e-4, 5e-4, 3e-4])


def test_a_change_of_interval_splits_a_settlement_between_its_eight_hours() -> None:
    times = np.array([8, 16, 20]) * HOUR
    blocks = reversion.eight_hourly(times, np.array([1e-4, 3e-4, 5e-4]), np.array([8.0, 8.0, 4.0]))
    assert blocks == pytest.approx([2e-4, 4e-4])


def test_eight_hours_that_were_hardly_settled_are_unknown() -> None:
    times = np.array([4, 8, 24, 28, 32]) * HOUR
    blocks = reversion.eight_hourly(times, np.full(5, 1e-4), np.full(5, 4.0))
    assert blocks == pytest.approx([1e-4, np.nan, 1e-4, 1e-4], nan_ok=True)


def chance(values: list[float]) -> FloatArray:
    rates = np.full((1, 2 * WINDOW), np.nan)
    if values:
        rates[0, -len(values) :] = values
    return reversion.chances(reversion.terms(rates, WINDOW))[:, 0]

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st

from regimes.maths.discovery import false_discovery_rates
from regimes.study.score.bootstrap import Draws, effective_weeks, estimate, match, p_value, student_t


@settings(deadline=None)
@given(t=st.floats(0, 12), freedom=st.floats(7, 400))
def test_p_values_are_those_of_students_t(t: float, freedom: float) -> None:
    assert p_value(t, freedom) == pytest.approx(2 * scipy.stats.t.sf(t, freedom), abs=1e-3)


@settings(deadline=None)
@given(freedom=st.floats(7, 400))
def test_the_interval_reaches_as_far_as_students_t(freedom: float) -> None:
    assert student_t(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=2e-3)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_false_discovery_rates_are_those_of_scipy(p_values: list[float]) -> None:
    assert false_discovery_rates(p_values) == pytest.approx(
        scipy.stats.false_discovery_control(p_values), abs=1e-12
    )


def test_no_hypotheses_have_no_rates() -> None:
    assert false_discovery_rates([]).size == 0


def test_means_of_strata_are_those_of_their_own_times() -> None:
    weeks = np.array([0, 0, 1, 1, 2])
    draws = Draws(weeks, resamples=50, seed=1)
    strata, values = np.array([7, 9, 7, 9, 7]), np.array([1.0, 10.0, 3.0, 20.0, 5.0])
    found = match(draws, strata, weeks, values, np.array([9, 7, 8]))
    assert found.strata.tolist() == [7, 8, 9]
    assert found.means[0, [0, 2]].tolist() == [3.0, 15.0]
    assert np.isnan(found.means[:, 1]).all()
    assert found.counts.tolist() == [3.0, 0.0, 2.0]
    assert found.columns(np.array([9, 8, 1, 99])).tolist() == [2, 1, -1, -1]
    weight = draws.weights[5]
    expected = (weight[0] * 1 + weight[1] * 3 + weight[2] * 5) / weight.sum()
    assert found.means[5, 0] == pytest.approx(expected)


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, covered, tries = np.random.default_rng(4), 0, 300
    weeks = np.repeat(np.arange(30), 4)
    draws = Draws(weeks, resamples=200, seed=1)
    usual = np.zeros((201, len(weeks)))
    for _ in range(tries):
        # Events of a week have most of their chance in common.
        values = 1.0 + rng.normal(size=30)[weeks] + 0.3 * rng.normal(size=len(weeks))
        found = estimate(draws, values, weeks, usual, is_ratio=False)
        assert found is not None
        covered += found.low <= 1.0 <= found.high
    assert 0.91 <= covered / tries <= 0.98


def test_a_ratio_of_means_is_told_as_its_logarithm() -> None:
    rng = np.random.default_rng(2)
    weeks = np.arange(60)
    draws = Draws(weeks, resamples=200, seed=1)
    values = rng.uniform(1.5, 2.5, 60)
    found = estimate(draws, values, weeks, np.ones((201, 60)), is_ratio=True)
    assert found is not None
    assert found.effect == pytest.approx(np.log(values.mean()))
    assert found.p < 1e-6


def test_too_few_weeks_give_no_interval() -> None:
    weeks = np.repeat(np.arange(7), 30)
    draws = Draws(weeks, resamples=50, seed=1)
    assert estimate(draws, np.arange(210.0), weeks, np.zeros((51, 210)), is_ratio=False) is None


def test_events_that_crowd_into_one_week_count_as_little_more_than_one() -> None:
    crowded = np.array([1] * 100 + list(range(2, 12)))
    assert effective_weeks(crowded) < 2
    assert effective_weeks(np.arange(20)) == 20
    assert effective_weeks(np.array([], dtype=np.int64)) == 0


def test_the_same_seed_draws_the_same_weeks() -> None:
    weeks = np.arange(20)
    one, other = (Draws(weeks, resamples=10, seed=3).weights for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, Draws(weeks, resamples=10, seed=4).weights)

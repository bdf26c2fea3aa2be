"""A leader is proved in minutes where there is one, and is not where a price is only seen seldom."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.maths.lead_lag import FEWEST_BLOCKS, Lead, Ticks, hayashi_yoshida, lead, steadied
from regimes.maths.stats import FloatArray, IntArray

MINUTES = 12_000


def pair(seed: int, *, together: float = 0.6, planted: float = 0.0, lag: int = 1) -> FloatArray:
    """Returns of two, shape (2, minutes), of which the second follows `lag` later."""
    rng = np.random.default_rng(seed)
    first, own = rng.standard_t(4, (2, MINUTES)) * 1e-3
    second = together * first + np.sqrt(1 - together**2) * own
    second[lag:] += planted * first[:-lag]
    return np.stack((first, second))


def ticks(returns: FloatArray, seen: IntArray | None = None) -> Ticks:
    path = np.concatenate(([0.0], np.cumsum(returns)))
    times = np.arange(len(path), dtype=np.int64) if seen is None else seen
    return steadied(Ticks(times, path[times]))


def found(returns: FloatArray) -> Lead:
    result = lead(*map(ticks, returns))
    assert result is not None
    return result


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_a_follower_is_found_with_its_lag_whichever_comes_first(lag: int) -> None:
    returns = pair(1, planted=0.1, lag=lag)
    forward, backward = found(returns), found(returns[::-1])
    assert (forward.lag, backward.lag) == (lag, -lag)
    assert forward.p < 1e-6
    assert backward.p < 1e-6
    assert forward.correlation == pytest.approx(0.1, abs=0.03)


def test_a_lagged_correlation_of_five_hundredths_is_proved_nine_times_in_ten() -> None:
    proved = [found(pair(seed, planted=0.05)) for seed in range(20)]
    # Measured .98; the seeds are fixed.
    assert sum(result.p <= 0.01 and result.lag == 1 for result in proved) >= 18


def test_what_moves_together_has_no_leader() -> None:
    assert sum(found(pair(seed, together=0.8)).p <= 0.01 for seed in range(40)) <= 2


def test_a_price_that_is_seldom_seen_does_not_follow() -> None:
    proved = 0
    for seed in range(15):
        first, second = pair(seed, together=0.8)
        seen = np.flatnonzero(np.random.default_rng(seed).random(MINUTES) < 0.3).astype(np.int64)
        result = lead(ticks(first), ticks(second, seen))
        assert result is not None
        assert result.correlation > 0.1, "a lagged correlation there is, and it proves nothing"
        proved += result.p <= 0.01
    assert proved <= 1


def test_a_lead_that_goes_both_ways_is_none() -> None:
    first, second = pair(3, together=0.0)
    first[1:] += 0.1 * second[:-1]
    second[1:] += 0.1 * first[:-1]
    assert found(np.stack((first, second))).p > 0.01


def test_a_follower_that_does_the_opposite_does_not_follow() -> None:
    assert found(pair(4, planted=-0.2)).p > 0.01


def test_one_wild_hour_proves_nothing() -> None:
    returns = pair(5)
    returns[:, 6_000:6_060] *= 100.0
    returns[0, 6_010] = returns[1, 6_011] = 3.0
    assert found(returns).p > 0.01


def test_nothing_is_said_of_too_little_or_of_what_does_not_move() -> None:
    short = pair(6)[:, : 60 * FEWEST_BLOCKS - 61]
    assert lead(*map(ticks, short)) is None
    still = ticks(np.zeros(MINUTES))
    assert lead(still, ticks(pair(6)[0])) is None


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=20, unique=True),
    st.lists(st.integers(0, 60), min_size=2, max_size=20, unique=True),
    st.integers(-5, 5),
)
def test_each_return_meets_exactly_those_that_overlap_it(one: list[int], two: list[int], lag: int) -> None:
    rng = np.random.default_rng(0)
    times = [np.array(sorted(seen), dtype=np.int64) for seen in (one, two)]
    first, second = (Ticks(at, rng.normal(size=len(at))) for at in times)
    expected = [
        sum(
            (first.path[i + 1] - first.path[i]) * (second.path[j + 1] - second.path[j])
            for j in range(len(second.times) - 1)
            if second.times[j] < first.times[i + 1] + lag and second.times[j + 1] > first.times[i] + lag
        )
        for i in range(len(first.times) - 1)
    ]
    assert hayashi_yoshida(first, second, lag) == pytest.approx(expected, abs=1e-12)

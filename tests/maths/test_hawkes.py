"""The likeliest chains are the true ones, seen through a venue that shows one liquidation a second."""

import doctest

import numpy as np
import pytest
from scipy.optimize import minimize

from regimes.maths import hawkes
from regimes.maths.hawkes import FEWEST, MOST, fit
from regimes.maths.stats import FloatArray, IntArray

DAY_S = 86_400


def simulated(branching: float, half_life_s: float, seed: int, per_hour: float = 15.0) -> IntArray:
    """Seconds with a liquidation: some come of themselves, each brings about others."""
    rng = np.random.default_rng(seed)
    young = rng.random(rng.poisson(per_hour * (1 - branching) * 24)) * DAY_S
    found = [young]
    while len(young):
        parents = np.repeat(young, rng.poisson(branching, len(young)))
        young = parents + rng.exponential(half_life_s / np.log(2), len(parents))
        found.append(young)
    seconds = np.unique(np.concatenate(found).astype(np.int64))
    return seconds[seconds < DAY_S]


@pytest.mark.parametrize("branching", [0.0, 0.3, 0.6, 0.8])
@pytest.mark.parametrize("half_life_s", [5.0, 15.0, 45.0])
def test_the_truth_is_found_within_a_tenth(branching: float, half_life_s: float) -> None:
    found = [fit(simulated(branching, half_life_s, seed), DAY_S) for seed in range(8)]
    ratios = [one.branching_ratio for one in found if one is not None]
    assert np.mean(ratios) == pytest.approx(branching, abs=0.1)
    if branching >= 0.6:
        assert np.median([one.half_life_s for one in found if one is not None]) == half_life_s


def test_liquidations_that_come_of_themselves_are_counted_apart() -> None:
    found = fit(simulated(0.6, 15.0, 1, per_hour=20.0), DAY_S)
    assert found is not None
    assert found.spontaneous_per_hour == pytest.approx(8.0, rel=0.4)


@pytest.mark.parametrize("seed", [3, 4])
def test_no_other_chains_are_likelier_second_by_second(seed: int) -> None:
    seconds = simulated(0.6, 15.0, seed, per_hour=20.0)[:80]
    first, end = int(seconds[0]), int(seconds[-1]) + 60
    found = fit(seconds, end)
    assert found is not None

    def unlikely(values: FloatArray) -> float:
        decay = 2.0 ** (-1.0 / found.half_life_s)
        left, total = 0.0, 0.0
        for second in range(first, end + 1):
            if second > first:
                rate = float(values[0] + values[1] * (1.0 - decay) * left)
                total += np.log(-np.expm1(-rate)) if second in there else -rate
            left = left * decay + (second in there)
        return -total

    there = set(seconds.tolist())
    best = minimize(unlikely, [1e-3, 0.5], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    assert found.branching_ratio == pytest.approx(best.x[1], abs=1e-3)
    assert found.spontaneous_per_hour == pytest.approx(best.x[0] * 3600, rel=1e-2)


def test_more_of_the_same_second_are_one_and_only_the_newest_count() -> None:
    seconds = simulated(0.6, 15.0, 2, per_hour=40.0)
    assert len(seconds) > MOST
    assert fit(np.repeat(seconds, 3), DAY_S) == fit(seconds[-MOST:], DAY_S)


def test_of_too_few_nothing_is_said() -> None:
    seconds = np.arange(0, 60 * FEWEST, 60)
    assert fit(seconds, DAY_S) is not None
    assert fit(seconds[1:], DAY_S) is None
    assert fit(np.zeros(500, dtype=np.int64), DAY_S) is None


@pytest.mark.parametrize("step", [1, 2, 3_600])
def test_what_comes_like_clockwork_ends_in_numbers(step: int) -> None:
    seconds = np.arange(0, 60 * step, step)
    found = fit(seconds, int(seconds[-1]) + 1)
    assert found is not None
    assert 0 <= found.branching_ratio <= 1
    assert np.isfinite(found.spontaneous_per_hour)


def test_the_example_runs_as_written() -> None:
    assert doctest.testmod(hawkes).failed == 0

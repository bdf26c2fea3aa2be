"""How sure an effect is: whole weeks are drawn again and again, of events and of the times they are compared with."""

from math import erfc, exp, log, sqrt
from statistics import NormalDist
from typing import Final

import msgspec
import numpy as np

from regimes.maths.stats import FloatArray, IntArray

LEAST_WEEKS: Final = 8
CONFIDENCE: Final = 0.95


class Draws:
    """How often each week is drawn, in each of many resamples; the same for all effects of a table.

    weeks: shape (n,), the calendar weeks there are. seed: the same seed gives the same table.
    """

    def __init__(self, weeks: IntArray, *, resamples: int, seed: int) -> None:
        self.first = int(weeks.min()) if len(weeks) else 0
        self.count = int(weeks.max()) - self.first + 1 if len(weeks) else 0
        rng = np.random.default_rng(seed)
        share = np.full(self.count, 1 / max(self.count, 1))
        drawn = rng.multinomial(self.count, share, size=resamples) if self.count else np.zeros((resamples, 0))
        # The first row is what really was.
        self.weights = np.vstack([np.ones((1, self.count)), drawn]).astype(np.float64)


class Matches(msgspec.Struct, frozen=True):
    """Mean outcome at the times of each stratum, in what was and in each resample.

    strata: shape (k,), ascending. means: shape (resamples + 1, k), NaN where a resample has none. counts: shape (k,).
    """

    strata: IntArray
    means: FloatArray
    counts: FloatArray

    def columns(self, strata: IntArray) -> IntArray:
        """Where each of these stands, -1 for one that is not there."""
        if not len(self.strata):
            return np.full(len(strata), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.strata, strata), len(self.strata) - 1)
        return np.where(self.strata[places] == strata, places, -1)


def match(draws: Draws, strata: IntArray, weeks: IntArray, values: FloatArray, wanted: IntArray) -> Matches:
    """Sum up the times of the `wanted` strata. strata, weeks, values: of each time, shape (n,)."""
    wanted = np.unique(wanted)
    shape = (draws.count, len(wanted))
    places = np.searchsorted(wanted, strata)
    known = np.isfinite(values) & (places < len(wanted))
    known[known] &= wanted[places[known]] == strata[known]
    flat = (weeks[known] - draws.first) * len(wanted) + places[known]
    size = draws.count * len(wanted)
    sums = np.bincount(flat, values[known], size).reshape(shape)
    counts = np.bincount(flat, minlength=size).reshape(shape).astype(np.float64)
    weight = draws.weights @ counts
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(weight > 0, (draws.weights @ sums) / weight, np.nan)
    return Matches(wanted, means, counts.sum(axis=0))


class Estimate(msgspec.Struct, frozen=True):
    """An effect with its interval and p-value, in the scale of the values (logarithms for ratios)."""

    effect: float
    low: float
    high: float
    p: float


def estimate(
    draws: Draws, values: FloatArray, weeks: IntArray, usual: FloatArray, *, is_ratio: bool
) -> Estimate | None:
    """How values differ from what is usual: mean less mean or, for a ratio of means, its logarithm.

    values, weeks: shape (n,). usual: shape (resamples + 1, n). The interval is the effect plus and minus Student's t times
    the spread over resamples, with as many degrees of freedom as there are effective weeks, less one. None below
    LEAST_WEEKS of them, or where a ratio has no positive means.
    """
    number = effective_weeks(weeks)
    if number < LEAST_WEEKS:
        return None
    weight = draws.weights[:, weeks - draws.first]
    weight = np.where(np.isfinite(usual), weight, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        after = (weight * values).sum(axis=1) / total
        before = (weight * np.nan_to_num(usual)).sum(axis=1) / total
        effects = np.log(after / before) if is_ratio else after - before
    effect, drawn = float(effects[0]), effects[1:][np.isfinite(effects[1:])]
    if not np.isfinite(effect) or len(drawn) < len(effects) // 2:
        return None
    spread = float(np.std(drawn, ddof=1)) * sqrt(number / (number - 1))
    if spread <= 0:
        return None
    reach = student_t(number - 1) * spread
    return Estimate(effect, effect - reach, effect + reach, p_value(effect / spread, number - 1))


def effective_weeks(weeks: IntArray) -> float:
    """How many weeks of equally many events would tell as much: events that crowd into one week are nearly one.

    (sum of n)^2 / sum of n^2 over the weeks' counts n (Kish, 1965).

    >>> effective_weeks(np.array([1, 2, 3, 4])), round(effective_weeks(np.array([1, 1, 1, 2])), 2)
    (4.0, 1.6)
    """
    _, counts = np.unique(weeks, return_counts=True)
    return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


def p_value(t: float, freedom: float) -> float:
    """Two-sided p-value of Student's t by Wallace's (1959) transformation, within .001 from 5 degrees of freedom on.

    >>> round(p_value(2.262, 9), 3)
    0.05
    """
    z = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log(1 + t * t / freedom))
    return erfc(z / sqrt(2))


def student_t(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Two-sided quantile of Student's t, the inverse of `p_value`.

    >>> round(student_t(9), 2)
    2.26
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2) * (8 * freedom + 3) / (8 * freedom + 1)
    return sqrt(freedom * (exp(z * z / freedom) - 1))

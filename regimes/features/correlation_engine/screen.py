"""Which hours need no second look: those in which no pair can break, found for a day of hours at once."""

from typing import Final

import numpy as np

from regimes.features.correlation_engine.market import BEFORE_DAY, BEFORE_WEEK, DAY, WEEK, Window
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import BoolArray, FloatArray, IntArray, fisher_z

_SLACK: Final = 0.999
"""Thresholds are lowered so far, thousands of times the rounding of the sums below."""
_CANCELLED: Final = 1e-6
"""A variance that is so small beside the squares it is left over from says nothing: then the pair is looked at."""
_ALIKE: Final = 0.999


def may_break(
    returns: FloatArray, hours: int, first: IntArray, second: IntArray, settings: CorrelationSettings
) -> BoolArray:
    """Whether any pair may reach the thresholds of a break, for each of the last `hours` columns of `returns`.

    returns: shape (rows, columns), NaN where missing. Sums over all columns give those of every window by differences,
    which is quick and nearly right: it may say yes for nothing, never no for a break.
    """
    x, y = returns[first], returns[second]
    both = ~np.isnan(x + y)
    x, y = np.where(both, x, 0.0), np.where(both, y, 0.0)
    terms = np.stack((both.astype(np.float64), x, y, x * x, y * y, x * y))
    sums = np.cumsum(np.concatenate((np.zeros((*terms.shape[:2], 1)), terms), axis=-1), axis=-1)
    found = np.zeros(hours, dtype=np.bool_)
    for recent, before in ((WEEK, BEFORE_WEEK), (DAY, BEFORE_DAY)):
        r, n, unsure = _correlations(sums, hours, recent)
        r0, n0, unsure0 = _correlations(sums, hours, before)
        far = np.abs(r - r0) >= settings.min_change * _SLACK
        sure = np.abs(fisher_z(r, n, r0, n0)) >= settings.min_fisher_z * _SLACK
        known = (n >= recent.needed) & (n0 >= before.needed)
        found |= (known & (unsure | unsure0 | (far & sure))).any(axis=0)
    return found


def _correlations(sums: FloatArray, hours: int, window: Window) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Coefficient and number of common hours of each pair for each hour, shape (pairs, hours), and where the first is not to be relied on."""
    end = sums.shape[-1] - window.ago
    start = end - window.hours
    n, a, b, aa, bb, ab = sums[..., end - hours : end] - sums[..., start - hours : start]
    count = np.maximum(n, 1.0)
    var_a, var_b = aa - a * a / count, bb - b * b / count
    unsure = (var_a <= _CANCELLED * sums[3, :, -1:]) | (var_b <= _CANCELLED * sums[4, :, -1:])
    spread = np.sqrt(np.where(unsure, 1.0, var_a * var_b))
    r = np.where(unsure, 0.0, (ab - a * b / count) / spread)
    return r, n, unsure | (np.abs(r) > _ALIKE)

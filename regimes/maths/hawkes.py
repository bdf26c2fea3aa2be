"""How self-exciting liquidations are: maximum likelihood of a Hawkes process on a grid of seconds.

A venue that shows at most one liquidation a second tells of each second only whether there was one; that is what the
likelihood is of, so that a busy second is not taken for a quiet one (Hawkes, 1971; on a grid: Kirchner, 2016).
"""

from math import exp, log
from typing import Final, NamedTuple

import numpy as np

from regimes.maths.stats import FloatArray, IntArray

HALF_LIVES_S: Final = (5.0, 15.0, 45.0)
FEWEST: Final = 50
MOST: Final = 500
"""So many of the newest seconds with a liquidation are looked at."""
_STEPS: Final = 15
_LARGEST: Final = 0.99


class Chains(NamedTuple):
    """branching_ratio: how many others each brings about. half_life_s: within which half of them come.

    spontaneous_per_hour: how many come of themselves.
    """

    branching_ratio: float
    half_life_s: float
    spontaneous_per_hour: float


def fit(seconds: IntArray, end_s: int) -> Chains | None:
    """The likeliest chains, of all HALF_LIVES_S.

    seconds: in which there was one, rising, all before `end_s`; None with fewer than FEWEST different ones.

    >>> starts = np.arange(0, 60_000, 600)
    >>> round(fit(np.sort(np.append(starts, starts + 3)), 60_000).branching_ratio, 1)
    0.5
    """
    every = np.unique(seconds)[-MOST:]
    if len(every) < FEWEST:
        return None
    found = [_fit(every, end_s, half_life) for half_life in HALF_LIVES_S]
    return max(found)[1]


def _fit(seconds: IntArray, end_s: int, half_life_s: float) -> tuple[float, Chains]:
    """Log-likelihood and chains of one half-life, by Newton's method: it is concave in both numbers."""
    decay = 2.0 ** (-1.0 / half_life_s)
    excited = _excited(seconds, half_life_s) * (1.0 - decay)
    terms = np.stack((np.ones(len(excited)), excited))
    span = float(end_s - seconds[0])
    exposed = np.array([span, float((1.0 - decay ** (end_s - seconds)).sum())])
    value = np.array([0.5 * len(excited) / span, 0.5])
    for _ in range(_STEPS):
        rate = value @ terms
        seen = 1.0 / -np.expm1(-rate)
        slope = terms @ seen - exposed
        curve = (terms * (seen * (seen - 1.0))) @ terms.T
        # What comes like clockwork may be either, so that the curve alone has no inverse.
        step = np.linalg.solve(curve + np.diag(1e-6 * np.diag(curve) + 1e-9), slope)
        value = np.clip(value + step, 0.1 * value, np.maximum(10.0 * value, 1e-6))
        value[1] = min(value[1], _LARGEST)
    likelihood = float(np.log(np.expm1(value @ terms)).sum() - value @ exposed)
    return likelihood, Chains(float(value[1]), half_life_s, float(value[0]) * 3600.0)


def _excited(seconds: IntArray, half_life_s: float) -> FloatArray:
    """What is left, in each second but the first, of all before it; a second after it all of one is left."""
    per_second = -log(2.0) / half_life_s
    left, found = 0.0, []
    for gap in np.diff(seconds).tolist():
        left = (left * exp(per_second) + 1.0) * exp(per_second * (gap - 1))
        found.append(left)
    return np.array(found)

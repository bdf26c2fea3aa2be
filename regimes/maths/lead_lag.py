"""Which of two prices moves first, from ticks or minutes that need not be at the same times.

The lagged covariance is that of Hayashi and Yoshida (2005), shifted in time as by Hoffmann, Rosenbaum and Yoshida (2013):
each return is multiplied with all returns of the other that overlap it, so a price that trades seldom is not taken for one
that follows. Seldom traded, it lags and leads alike; only a difference between both directions proves a leader.
"""

from math import erfc, sqrt
from typing import Final, NamedTuple

import numpy as np

from regimes.maths.stats import FloatArray, IntArray

LAGS: Final = 5
BLOCK: Final = 60
"""Steps whose products are summed before their spread is measured, and that share one volatility."""
FEWEST_BLOCKS: Final = 50
_LARGEST_MOVE: Final = 4.0


class Ticks(NamedTuple):
    """A price at the times it was seen. times: shape (n,), rising. path: its logarithm, shape (n,)."""

    times: IntArray
    path: FloatArray


class Lead(NamedTuple):
    """lag: steps by which the second follows the first, negative where the first follows. correlation: at that lag.

    asymmetry: how much more that is than the correlation at the opposite lag. p: probability of both by chance.
    """

    lag: int
    correlation: float
    asymmetry: float
    p: float


def hayashi_yoshida(first: Ticks, second: Ticks, lag: int = 0) -> FloatArray:
    """Each return of `first` times those of `second` that overlap it `lag` later, shape (n - 1,); their sum is the covariance.

    >>> hour = np.arange(4, dtype=np.int64)
    >>> seldom = Ticks(hour[[0, 3]], np.array([0.0, 0.3]))
    >>> hayashi_yoshida(Ticks(hour, np.array([0.0, 0.1, 0.2, 0.3])), seldom).round(3).tolist()
    [0.03, 0.03, 0.03]
    """
    last = len(second.times) - 1
    begins = np.searchsorted(second.times, first.times[:-1] + lag, side="right") - 1
    ends = np.searchsorted(second.times, first.times[1:] + lag, side="left")
    moved = second.path[np.clip(ends, 0, last)] - second.path[np.clip(begins, 0, last)]
    return np.asarray(np.diff(first.path) * moved, dtype=np.float64)


def steadied(ticks: Ticks, *, block: int = BLOCK) -> Ticks:
    """The same moves, each over the root mean square of its block and bounded, so that no wild hour decides alone."""
    moves = np.diff(ticks.path)
    place = (ticks.times[1:] - ticks.times[0]) // block
    squares, counts = np.bincount(place, moves * moves), np.bincount(place)
    scale = np.sqrt(squares / np.maximum(counts, 1))[place]
    sized = np.clip(
        np.divide(moves, scale, out=np.zeros_like(moves), where=scale > 0), -_LARGEST_MOVE, _LARGEST_MOVE
    )
    return Ticks(ticks.times, np.concatenate(([0.0], np.cumsum(sized))))


def lead(first: Ticks, second: Ticks, *, step: int = 1, lags: int = LAGS, block: int = BLOCK) -> Lead | None:
    """Test whether one of two steadied prices moves before the other, over `lags` steps either way.

    step: of time. block: in steps. None with fewer than FEWEST_BLOCKS blocks or where one does not move. A lead has to be
    proved twice: the largest lagged correlation must be above zero, of all lags (Bonferroni), and above that of the
    opposite lag. Errors are those of block sums, what a block bootstrap draws from.
    """
    shifts = [lag for size in range(1, lags + 1) for lag in (size, -size)]
    spread = sqrt(float(np.square(np.diff(first.path)).sum()) * float(np.square(np.diff(second.path)).sum()))
    if spread <= 0.0:
        return None
    place = (first.times[1:] - first.times[0]) // (block * step)
    sums = np.array([np.bincount(place, hayashi_yoshida(first, second, lag * step)) for lag in shifts])
    sums = sums[:, np.bincount(place) > 0]
    if sums.shape[1] < FEWEST_BLOCKS:
        return None
    best = int(np.argmax([_score(row) for row in sums]))
    ahead, difference = sums[best], sums[best] - sums[best ^ 1]
    p_ahead = len(shifts) * 0.5 * erfc(_score(ahead) / sqrt(2.0))
    p_other = erfc(max(_score(difference), 0.0) / sqrt(2.0))
    return Lead(
        shifts[best],
        float(ahead.sum()) / spread,
        float(difference.sum()) / spread,
        min(max(p_ahead, p_other), 1.0),
    )


def _score(sums: FloatArray) -> float:
    """The sum of block sums over its standard error."""
    error = float(np.std(sums, ddof=1)) * sqrt(len(sums))
    return float(sums.sum()) / error if error > 0 else 0.0

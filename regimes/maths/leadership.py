"""Which of two series moves first: lagged cross-correlation, tested against its own block bootstrap."""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from regimes.maths.correlation import FLAT_STD, FloatArray, IntArray

DRAWS: Final = 2_000
BLOCK: Final = 24
"""Length of a resampled block: a day of hours, so that volatility's daily cycle stays whole."""


class Lead(NamedTuple):
    """asymmetry: sum over lags of corr(a now, b later) minus corr(b now, a later); positive: a moves first.

    follows: the larger of the two sums; a follower that moves the same way makes it positive.
    p: two-sided bootstrap probability of so large an asymmetry if there were none.
    """

    asymmetry: float
    follows: float
    p: float


def lead(first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int, max_lag: int = 5) -> Lead | None:
    """Test whether `first` moves before `second` (or after it), over lags 1 to `max_lag`.

    Both of shape (n,), oldest first, NaN where missing; None if either does not move or fewer than
    max_lag + 2 blocks of data are there. Moving-block bootstrap (Kuensch, 1989) of the asymmetry, centred on
    what was found; the draws are a pure function of `seed`.

    >>> first = np.random.Generator(np.random.PCG64(1)).normal(0, 0.01, 720)
    >>> found = lead(first, np.roll(first, 2), seed=1)
    >>> found.asymmetry > 0.5, found.p < 0.01
    (True, True)
    """
    a, b = _standard(first), _standard(second)
    if a is None or b is None or len(a) < BLOCK * (max_lag + 2):
        return None
    ahead = sum(a[max_lag - lag : len(a) - lag] * b[max_lag:] for lag in range(1, max_lag + 1))
    behind = sum(b[max_lag - lag : len(b) - lag] * a[max_lag:] for lag in range(1, max_lag + 1))
    terms = np.asarray(ahead - behind)
    asymmetry = float(terms.mean())
    drawn = _resampled_means(terms, seed)
    p = (1 + int(np.count_nonzero(np.abs(drawn - asymmetry) >= abs(asymmetry)))) / (DRAWS + 1)
    return Lead(asymmetry, float(max(np.mean(ahead), np.mean(behind))), p)


def _standard(series: npt.ArrayLike) -> FloatArray | None:
    """Mean 0, standard deviation 1, missing data at the mean so that they add nothing."""
    values = np.asarray(series, dtype=np.float64)
    present = np.isfinite(values)
    if np.count_nonzero(present) < 3:
        return None
    spread = float(values[present].std())
    if spread <= FLAT_STD:
        return None
    return np.where(present, (values - values[present].mean()) / spread, 0.0)


def _resampled_means(terms: FloatArray, seed: int) -> FloatArray:
    """Means of DRAWS series, each put together from random blocks of `terms`."""
    blocks = len(terms) // BLOCK
    sums = np.concatenate(([0.0], np.cumsum(terms)))
    block_sums = sums[BLOCK:] - sums[:-BLOCK]
    starts = _random_starts(seed, blocks, len(block_sums))
    return np.asarray(block_sums[starts].sum(axis=1) / (blocks * BLOCK), dtype=np.float64)


@lru_cache(maxsize=2)
def _random_starts(seed: int, blocks: int, choices: int) -> IntArray:
    # The raw stream, since that alone is promised to stay the same between numpy versions.
    raw = np.random.PCG64(seed).random_raw(DRAWS * blocks)
    return np.asarray(raw % np.uint64(choices), dtype=np.int64).reshape(DRAWS, blocks)

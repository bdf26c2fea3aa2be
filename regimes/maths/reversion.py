"""How likely it is that an unusual funding rate becomes usual again, and soon."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from regimes.maths import reversion_frozen as frozen
from regimes.maths.anomaly import SMALLEST_STD, FloatArray, IntArray, moments
from regimes.timeframe import HOUR_MS

USUAL_Z: Final = 1.0
"""Below it a rate is usual again; from it on there is a chance to speak of."""
HORIZONS_HOURS: Final = (24, 72)
BLOCK_HOURS: Final = 8.0
TERMS: Final = ("one", "log |z|", "log(1 + run)", "z before", "share of usual", "sign")
# Far out, a little farther says nothing new.
_FARTHEST_Z: Final = 8.0
# A block of eight hours of which less was settled is unknown.
_LEAST_SETTLED: Final = 0.5


def terms(rates: FloatArray, window: int) -> FloatArray:
    """What the chance rests on, shape (6, symbols), NaN where the last rate has no z-score of `USUAL_Z` or more.

    rates: shape (symbols, n), rates of eight hours each, oldest first and ending at the last column, NaN where there
    is none. window: how many rates each is judged among, itself the last; so n is best twice that.

    Beside |z|: how many rates since the last usual one, the z before (counted positive on the same side), the share
    of usual ones in the last window, and the side; each by the z-score it had in its own time.
    """
    scores = own_time_scores(rates, window)[:, -window:]
    last = scores[:, -1]
    unusual = np.abs(scores) >= USUAL_Z
    known = ~np.isnan(scores)
    run = np.logical_and.accumulate(unusual[:, ::-1], axis=1).sum(axis=1)
    share = (known & ~unusual).sum(axis=1) / window
    before = scores[:, -2] if scores.shape[1] > 1 else np.zeros(len(last))
    before = np.clip(np.nan_to_num(before) * np.sign(last), -_FARTHEST_Z, _FARTHEST_Z)
    size = np.log(np.clip(np.abs(last), USUAL_Z, _FARTHEST_Z))
    found = np.stack((np.ones(len(last)), size, np.log1p(run), before, share, np.sign(last)))
    found[:, ~unusual[:, -1]] = np.nan
    return found


def own_time_scores(rates: FloatArray, window: int) -> FloatArray:
    """z-score of every rate among the `window` rates that end with it; NaN while a third of these are not known.

    rates: as for `terms`; the same shape is given back.
    """
    known = ~np.isnan(rates)
    # Sums of what is left after the row's own mean are small, so that little is lost where they are subtracted.
    away = np.where(known, rates - moments(rates)[1][:, None], 0.0)
    count, total, squares = (_trailing(values, window) for values in (known, away, away * away))
    enough = known & (count >= max(window / 3, 2))
    mean = total / np.maximum(count, 1)
    variance = (squares - mean * total) / np.maximum(count - 1, 1)
    std = np.sqrt(np.maximum(variance, 0.0))
    flat, on_mean = std < SMALLEST_STD, np.abs(away - mean) < SMALLEST_STD
    scores = np.where(flat, np.where(on_mean, 0.0, np.nan), (away - mean) / np.where(flat, 1.0, std))
    return np.where(enough, scores, np.nan)


def chances(found: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """P(some rate within 24 and 72 hours has |z| < 1), shape (2, symbols): a logistic model; NaN where a term is.

    weights: shape (2, 6); what is shipped if None.
    """
    used = np.array(frozen.WEIGHTS) if weights is None else weights
    # Added one by one: a symbol gives the same bits whoever is beside it.
    score = sum(used[:, [place]] * found[place] for place in range(len(TERMS)))
    return np.asarray(1.0 / (1.0 + np.exp(-score)), dtype=np.float64)


def eight_hourly(times_ms: IntArray, rates_8h: FloatArray, hours: FloatArray) -> FloatArray:
    """Mean rates of each eight hours, counted back from the last settlement, oldest first.

    times_ms, rates_8h, hours: shape (n,), when each rate settled, the rate for eight hours, and how many hours it is
    for. Blocks of which less than half was settled are NaN.
    """
    if (hours == BLOCK_HOURS).all():
        return rates_8h
    ends = times_ms / HOUR_MS
    starts = np.maximum(ends - hours, np.concatenate(([-np.inf], ends[:-1])))
    corners = np.column_stack((starts, ends)).ravel()
    edges = ends[-1] - BLOCK_HOURS * np.arange(int((ends[-1] - starts[0]) // BLOCK_HOURS), -1, -1)

    def between(amount: FloatArray) -> FloatArray:
        """Sum of `amount` an hour, between the edges."""
        pieces = np.column_stack((np.zeros(len(ends)), (ends - starts) * amount)).ravel()
        return np.diff(np.interp(edges, corners, np.cumsum(pieces)))

    settled = between(np.ones(len(ends)))
    enough = settled >= _LEAST_SETTLED * BLOCK_HOURS
    return np.where(enough, between(rates_8h) / np.where(enough, settled, 1.0), np.nan)


def _trailing(values: npt.NDArray[Any], window: int) -> FloatArray:
    """Sum over each entry and those up to `window` long before it, of each row."""
    sums = np.cumsum(values, axis=1, dtype=np.float64)
    sums[:, window:] -= sums[:, :-window].copy()
    return sums

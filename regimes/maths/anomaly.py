"""How unusual the newest funding rate is among those of its window, for many symbols at once."""

from itertools import starmap
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

SMALLEST_STD: Final = 1e-7
"""A spread below this is a flat history (0.001 basis points)."""
ROBUST_FLOOR: Final = 1e-5
"""Smallest robust spread believed real (0.1 basis points)."""
ANOMALY_Z: Final = 2.0
# Rates are quoted to eight decimals; what differs by less is the same rate.
_SAME: Final = 1e-12
_MAD_TO_STD: Final = 1.4826
_DECILES_TO_STD: Final = 2.563


class Measure(NamedTuple):
    """What `Measures` say of one row, as plain numbers."""

    n: int
    mean: float
    std: float
    z: float
    z_robust: float
    percentile: float
    persistence: float
    run_length: int
    reversal: bool


class Measures(NamedTuple):
    """One entry a row. NaN where a number cannot be computed; z is NaN when the history is flat and the rate is not."""

    n: IntArray
    mean: FloatArray
    std: FloatArray
    z: FloatArray
    z_robust: FloatArray
    percentile: FloatArray
    persistence: FloatArray
    run_length: IntArray
    reversal: BoolArray

    def each(self) -> list[Measure]:
        """Row by row."""
        return list(starmap(Measure, zip(*(column.tolist() for column in self), strict=True)))


def measure(rates: FloatArray, recent: BoolArray, *, anomaly_z: float = ANOMALY_Z) -> Measures:
    """Measure the last column of each row against the row.

    rates: shape (symbols, n), oldest first and ending at the last column, NaN before the first; comparable rates, as
    fractions for the same length of time. recent: same shape; where an extreme counts for a reversal.
    """
    current = rates[:, -1]
    count, mean, std = moments(rates)
    z = z_scores(rates, mean, std)
    extreme = np.abs(z) >= anomaly_z
    return Measures(
        count,
        mean,
        std,
        z[:, -1],
        robust_z_scores(current, rates[:, :-1]),
        mid_ranks(rates),
        _share(extreme, count, known=~np.isnan(z[:, -1])),
        _run_lengths(extreme & (np.sign(z) == np.sign(z[:, -1:]))),
        _reversals(np.sign(rates), extreme & (np.sign(z) == np.sign(rates)) & recent),
    )


def moments(rates: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Count, mean and standard deviation (ddof 1, NaN under two) of each row, NaN left out."""
    known = ~np.isnan(rates)
    count = known.sum(axis=1)
    mean = _divide(_sum(np.where(known, rates, 0.0)), count)
    squares = np.where(known, rates - mean[:, None], 0.0) ** 2
    return count, mean, np.sqrt(_divide(_sum(squares), count - 1))


def z_scores(rates: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """Standard deviations of each entry from its row's mean; in a flat row 0 on the mean, else NaN."""
    away = rates - mean[:, None]
    flat = std < SMALLEST_STD
    scores = away / np.where(flat, np.nan, std)[:, None]
    scores[flat] = np.where(np.abs(away[flat]) < _SAME, 0.0, np.nan)
    return scores


def robust_z_scores(current: FloatArray, history: FloatArray) -> FloatArray:
    """(current - median) / max(1.4826 MAD, (q90 - q10) / 2.563, 0.1 bp); the current rate is not in `history`.

    current: shape (symbols,). history: shape (symbols, n), NaN where there is none.
    The median and MAD after Iglewicz & Hoaglin (1993); the deciles because half of all rates can be equal, which makes
    the MAD 0.
    """
    ordered = np.sort(history, axis=1)
    count = (~np.isnan(history)).sum(axis=1)
    median = _quantile(ordered, count, 0.5)
    deviations = np.sort(np.abs(history - median[:, None]), axis=1)
    deciles = _quantile(ordered, count, 0.9) - _quantile(ordered, count, 0.1)
    spread = np.fmax(_MAD_TO_STD * _quantile(deviations, count, 0.5), deciles / _DECILES_TO_STD)
    return (current - median) / np.fmax(spread, ROBUST_FLOOR)


def mid_ranks(rates: FloatArray) -> FloatArray:
    """Percentile, 0 to 100, of each row's last entry among all of the row: half of its equals lie below it."""
    away = rates - rates[:, -1:]
    below = (away < -_SAME).sum(axis=1)
    equal = (np.abs(away) <= _SAME).sum(axis=1)
    return 100 * _divide(below + 0.5 * equal, (~np.isnan(rates)).sum(axis=1))


def _sum(rows: FloatArray) -> FloatArray:
    """Added from left to right, so that a row gives the same bits however many zeros stand before it."""
    return np.cumsum(rows, axis=1)[:, -1]


def _quantile(ordered: FloatArray, count: IntArray, share: float) -> FloatArray:
    """Quantile of rows sorted with NaN last, interpolated linearly as numpy does; NaN for an empty row."""
    if not ordered.shape[1]:
        return np.full(len(ordered), np.nan)
    position = share * np.maximum(count - 1, 0)
    low = np.floor(position).astype(np.int64)
    rows = np.arange(len(ordered))
    below = ordered[rows, low]
    above = ordered[rows, np.minimum(low + 1, np.maximum(count - 1, 0))]
    return below + (above - below) * (position - low)


def _share(flags: BoolArray, count: IntArray, *, known: BoolArray) -> FloatArray:
    return np.where(known, _divide(flags.sum(axis=1).astype(np.float64), count), np.nan)


def _run_lengths(flags: BoolArray) -> IntArray:
    """How many flags are set without a break up to the last column."""
    unbroken: BoolArray = np.logical_and.accumulate(flags[:, ::-1], axis=1)
    lengths: IntArray = unbroken.sum(axis=1)
    return lengths


def _reversals(sign: FloatArray, extreme: BoolArray) -> BoolArray:
    """Whether the last rate's sign is new, and among those of the other sign just before it was an extreme."""
    now, before = sign[:, -1:], sign[:, -2::-1]
    other = ~np.logical_or.accumulate(before == now, axis=1)
    found: BoolArray = extreme[:, -2::-1] & (before == -now) & other
    reversed_now: BoolArray = found.any(axis=1) & (now[:, 0] != 0)
    return reversed_now


def _divide(total: FloatArray, count: IntArray) -> FloatArray:
    return total / np.where(count > 0, count, np.nan)

"""Pearson correlation with missing data, and how surely two correlations differ."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

FLAT_STD = 1e-9
"""A series whose standard deviation is below this does not move: it correlates with nothing."""
_LARGEST_R = 1 - 1e-12
_LARGEST_STEP = 0.99


class Correlations(NamedTuple):
    """Pearson's r of every pair of rows, NaN where it cannot be computed, and the number of common data."""

    r: FloatArray
    n: IntArray


def pearson_matrix(series: npt.ArrayLike, *, at_least: int = 3) -> Correlations:
    """Pearson's r of every pair of rows over the columns both have (pairwise complete).

    series: shape (rows, columns), NaN where missing. Answers two (rows, rows) arrays; r is NaN for pairs with
    fewer than `at_least` common columns and for rows that do not move (`FLAT_STD`).

    >>> up = [1.0, 2.0, 3.0, 4.0]
    >>> pearson_matrix([up, [2.0, 4.0, float("nan"), 8.0], [4.0, 3.0, 2.0, 1.0]]).r.round(6).tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    values = np.asarray(series, dtype=np.float64)
    if values.shape[1] and not np.isnan(mean := values.mean(axis=1, keepdims=True)).any():
        return _complete(values, mean, at_least)
    present = ~np.isnan(values)
    some = present.any(axis=0)
    if not some.any():
        return Correlations(np.full((len(values),) * 2, np.nan), np.zeros((len(values),) * 2, dtype=np.int64))
    return _pairwise(values, present, present.sum(axis=1) == np.count_nonzero(some), at_least)


def _complete(values: FloatArray, mean: FloatArray, at_least: int) -> Correlations:
    """Rows without missing data. mean: shape (rows, 1)."""
    columns = values.shape[1]
    n = np.broadcast_to(np.int64(columns), (len(values),) * 2)
    if columns < at_least:
        return Correlations(np.full(n.shape, np.nan), n)
    # For hundreds of rows new memory costs as much as arithmetic, so all is done in two arrays.
    unit = _unit_rows(np.subtract(values, mean, order="C"), columns)
    r = unit @ unit.T
    return Correlations(np.clip(r, -1.0, 1.0, out=r), n)


def _unit_rows(centred: FloatArray, columns: int) -> FloatArray:
    """Each row over its own length, in place; a row that does not move becomes NaN."""
    length = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    length[length <= FLAT_STD * np.sqrt(columns)] = np.nan
    centred /= length[:, None]
    return centred


def _pairwise(values: FloatArray, present: BoolArray, whole: BoolArray, at_least: int) -> Correlations:
    """Rows that are `whole` (there whenever any row is) share one fast product; the others are masked."""
    size = len(values)
    r = np.full((size, size), np.nan)
    n = np.zeros((size, size), dtype=np.int64)
    if whole.any():
        known = np.ascontiguousarray(values[whole][:, present.any(axis=0)])
        block = _complete(known, known.mean(axis=1, keepdims=True), at_least)
        r[np.ix_(whole, whole)], n[np.ix_(whole, whole)] = block.r, block.n
    rows = np.flatnonzero(~whole)
    r[rows], n[rows] = masked_rows(values, present, rows, at_least)
    r[:, rows], n[:, rows] = r[rows].T, n[rows].T
    return Correlations(r, n)


def masked_rows(values: FloatArray, present: BoolArray, rows: IntArray, at_least: int) -> Correlations:
    """Correlations of some rows with all: each sum runs over the columns both have."""
    mask = present.astype(np.float64)
    # Centring by each row's own mean first keeps the differences of sums below from cancelling.
    own_mean = np.where(present, values, 0.0).sum(axis=1) / np.maximum(mask.sum(axis=1), 1.0)
    x = np.where(present, values - own_mean[:, None], 0.0)
    n = mask[rows] @ mask.T
    with np.errstate(invalid="ignore", divide="ignore"):
        sum_a, sum_b = x[rows] @ mask.T, mask[rows] @ x.T
        square = x * x
        var_a = square[rows] @ mask.T - sum_a * sum_a / n
        var_b = mask[rows] @ square.T - sum_b * sum_b / n
        moves = np.minimum(var_a, var_b) > FLAT_STD**2 * n
        r = (x[rows] @ x.T - sum_a * sum_b / n) / np.sqrt(var_a * var_b)
    usable = moves & (n >= at_least)
    return Correlations(np.where(usable, np.clip(r, -1.0, 1.0), np.nan), n.astype(np.int64))


def pearson_pairs(
    values: FloatArray, rows: IntArray, columns: IntArray, spans: Sequence[tuple[int, int]]
) -> FloatArray:
    """Pearson's r of chosen pairs of rows, in several spans of columns at once.

    values: shape (rows, n), NaN where missing; the chosen rows miss the same columns. spans: first column, and the one
    after the last. Answers shape (spans, pairs). Rows that do not move give NaN or infinity.

    >>> up = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.5], [3.0, 2.0, 1.0]])
    >>> pearson_pairs(up, np.array([0, 0]), np.array([1, 2]), [(0, 3), (1, 3)]).round(3).tolist()
    [[0.998, -1.0], [1.0, -1.0]]
    """
    used, where = np.unique(np.concatenate([rows, columns]), return_inverse=True)
    first, second = where[: len(rows)], where[len(rows) :]
    # Spans overlap: sums are taken between their edges once, each about its own mean, and put together (Chan et al., 1979).
    edges = sorted({edge for span in spans for edge in span})
    parts = [slice(start - edges[0], stop - edges[0]) for start, stop in pairwise(edges)]
    some = values[used, edges[0] : edges[-1]]
    missing = np.flatnonzero(np.isnan(some[:1]).any(axis=0))
    counts = np.diff(edges) - np.diff(np.searchsorted(missing, np.array(edges) - edges[0]))
    some[:, missing] = 0.0
    means = np.stack([some[:, part].sum(axis=1) for part in parts], axis=1) / np.maximum(counts, 1)
    some -= np.repeat(means, np.diff(edges), axis=1)
    some[:, missing] = 0.0
    squares, products = _inner(some, some, parts), _inner(some[first], some[second], parts)
    # From here on the axes are rows or pairs, spans, parts.
    inside = np.array([[start <= edge < stop for edge in edges[:-1]] for start, stop in spans])
    weights = counts * inside
    middle = (means[:, None] * weights).sum(axis=2) / np.maximum(weights.sum(axis=1), 1)
    away = means[:, None] - middle[:, :, None]
    square = (squares[:, None] * inside).sum(axis=2) + (weights * away * away).sum(axis=2)
    product = (products[:, None] * inside).sum(axis=2) + (weights * away[first] * away[second]).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((product / np.sqrt(square[first] * square[second])).T)


def _inner(first: FloatArray, second: FloatArray, parts: Sequence[slice]) -> FloatArray:
    """Inner products of the rows of two arrays, part by part of their columns: shape (rows, parts)."""
    return np.stack([np.vecdot(first[:, part], second[:, part]) for part in parts], axis=1)


Correlation = TypeVar("Correlation", npt.NDArray[np.float32], npt.NDArray[np.float64])


def surely_above(r: Correlation, n: tuple[int, int], min_z: float) -> Correlation:
    """From where on a correlation lies `min_z` standard errors above r (Fisher z), for sample sizes n.

    By tanh(a + b) = (tanh a + tanh b) / (1 + tanh a tanh b), so that no logarithm is needed. Never too high: beyond 2.6
    units of z it is taken for nearer than it is. n: of that correlation, and of r.

    >>> surely_above(np.array([-0.87, 0.0, 0.87]), (168, 720), 3.8).round(2).tolist()
    [-0.76, 0.32, 0.93]
    """
    spread = np.sqrt(1.0 / max(n[0] - 3, 1) + 1.0 / max(n[1] - 3, 1))
    step = min(float(np.tanh(min_z * spread)), _LARGEST_STEP)
    above = np.maximum(r, -1.0)
    scale = above * step
    scale += 1.0
    above += step
    above /= scale
    return above


def fisher_z(r1: npt.ArrayLike, n1: npt.ArrayLike, r2: npt.ArrayLike, n2: npt.ArrayLike) -> FloatArray:
    """How many standard errors lie between two correlations of independent samples (Fisher, 1921).

    (atanh r1 - atanh r2) / sqrt(1/(n1-3) + 1/(n2-3)); NaN where either sample has fewer than four data.
    r of +-1 counts as 1 - 1e-12, so that the answer stays finite.

    >>> round(float(fisher_z(0.15, 168, 0.87, 720)), 2)
    -13.69
    """
    first = np.clip(np.asarray(r1, dtype=np.float64), -_LARGEST_R, _LARGEST_R)
    second = np.clip(np.asarray(r2, dtype=np.float64), -_LARGEST_R, _LARGEST_R)
    free1 = np.asarray(n1, dtype=np.float64) - 3.0
    free2 = np.asarray(n2, dtype=np.float64) - 3.0
    enough = (free1 > 0) & (free2 > 0)
    spread = np.sqrt(1.0 / np.where(enough, free1, 1.0) + 1.0 / np.where(enough, free2, 1.0))
    return np.where(enough, (np.arctanh(first) - np.arctanh(second)) / spread, np.nan)


def is_break(change: npt.ArrayLike, z: npt.ArrayLike, *, min_change: float, min_z: float) -> BoolArray:
    """Whether a correlation has moved both far and surely; False where it cannot be told.

    >>> bool(is_break(0.82 - 0.87, -2.1, min_change=0.30, min_z=3.8))
    False
    >>> bool(is_break(0.15 - 0.87, -13.69, min_change=0.30, min_z=3.8))
    True
    """
    return np.asarray((np.abs(change) >= min_change) & (np.abs(z) >= min_z), dtype=np.bool_)


def holm(p_values: Iterable[float], alpha: float) -> list[bool]:
    """Which of several hypotheses to reject so that a false one slips in with probability <= alpha (Holm, 1979).

    >>> holm([0.001, 0.04, 0.004], 0.01)
    [True, False, True]
    """
    values = list(p_values)
    rejected = [False] * len(values)
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if values[index] > alpha / (len(values) - rank):
            break
        rejected[index] = True
    return rejected

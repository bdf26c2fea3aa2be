"""Statistics of windows: the last axis is time, oldest first; NaN is a missing value and is left out.

They are fastest where the values of one time lie side by side in memory, as those of a `BarPanel` do.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

# A spread this small beside the values themselves is rounding, not movement.
FLAT: Final = 1e-9


def sum_and_count(windows: FloatArray) -> tuple[FloatArray, IntArray]:
    """Sum and number of the values that are there, of each row.

    windows: shape (rows, n), n > 0. A row's result does not depend on the other rows, nor on how they lie in memory,
    bit for bit.
    """
    total = _in_order(windows)
    count = np.full(total.shape, windows.shape[-1], dtype=np.int64)
    # One missing value makes the plain sum NaN, so only such rows are looked at again.
    missing = np.isnan(total)
    if missing.any():
        gaps = np.flatnonzero(missing)
        some = windows[gaps]
        missing = np.isnan(some)
        total[gaps] = _in_order(np.where(missing, 0.0, some))
        count[gaps] = windows.shape[-1] - np.count_nonzero(missing, axis=-1)
    return total, count


def mean_and_std(windows: FloatArray, *, ddof: int = 1) -> tuple[FloatArray, FloatArray, IntArray]:
    """Mean, standard deviation and number of the values that are there, of each row, in two passes.

    windows: shape (rows, n). NaN where a row has too few values (1 for the mean, ddof + 1 for the deviation).
    """
    total, count = sum_and_count(windows)
    mean = divide(total, count)
    away = windows - mean[:, None]
    away *= away
    squares, _ = sum_and_count(away)
    return mean, np.sqrt(divide(squares, count - ddof)), count


def z_score(
    value: FloatArray, mean: FloatArray, std: FloatArray, *, scale: FloatArray | float = 1.0
) -> FloatArray:
    """(value - mean) / std; NaN where the spread is below `FLAT` times `scale`, for then nothing moved."""
    return divide(value - mean, std, where=std > FLAT * scale)


def latest_valid(windows: FloatArray, length: int) -> tuple[FloatArray, IntArray]:
    """The newest `length` values that are there, of each row, oldest first, and how many were found.

    windows: shape (rows, n) with n >= length. Rows with fewer begin with NaN.
    """
    latest = windows[:, -length:]
    gaps = np.isnan(latest).any(axis=-1)
    found = np.full(len(windows), length, dtype=np.int64)
    if not gaps.any():
        return latest, found
    some = windows[gaps]
    valid = ~np.isnan(some)
    order = np.argsort(valid, axis=-1, kind="stable")
    latest = latest.copy(order="K")
    latest[gaps] = np.take_along_axis(some, order, axis=-1)[:, -length:]
    found[gaps] = np.minimum(np.count_nonzero(valid, axis=-1), length)
    return latest, found


def each_window(series: FloatArray, length: int) -> FloatArray:
    """Every window of `length` values, one a row: all rows of the first window, then all of the next.

    series: shape (rows, n). Answers shape ((n - length + 1) * rows, length), in memory of its own.

    >>> each_window(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 2).tolist()
    [[1.0, 2.0], [4.0, 5.0], [2.0, 3.0], [5.0, 6.0]]
    """
    windows = np.lib.stride_tricks.sliding_window_view(series.T, series.shape[-1] - length + 1, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(length, -1).T


def reached(values: FloatArray, bounds: Iterable[float]) -> IntArray:
    """How many of the bounds each value has reached, inclusive; NaN reaches none.

    >>> reached(np.array([0.5, 2.0, np.nan]), (1.0, 2.0)).tolist()
    [0, 2, 0]
    """
    count = np.zeros(values.shape, dtype=np.int64)
    for bound in bounds:
        count += values >= bound
    return count


def nullable(values: FloatArray) -> list[float | None]:
    """Plain floats, None for NaN.

    >>> nullable(np.array([1.5, np.nan]))
    [1.5, None]
    """
    plain: list[float | None] = values.tolist()
    missing = np.isnan(values)
    if missing.any():
        for index in np.flatnonzero(missing).tolist():
            plain[index] = None
    return plain


def _in_order(windows: FloatArray) -> FloatArray:
    """Sum of each row, one value after the other: numpy adds a row that lies by itself in another order."""
    if len(windows) == 1:
        return np.asarray(windows.cumsum(axis=-1)[:, -1])
    side_by_side = windows.strides[0] < windows.strides[1]
    total: FloatArray = np.add.reduce(windows.T if side_by_side else np.ascontiguousarray(windows.T), axis=0)
    return total


def divide(
    values: FloatArray, by: FloatArray | IntArray, *, where: npt.NDArray[np.bool_] | None = None
) -> FloatArray:
    """Values / by, where so (if None: where `by` is positive); NaN elsewhere."""
    usable = by > 0 if where is None else where
    if usable.all():
        return np.asarray(values / by)
    quotient = np.full(values.shape, np.nan)
    np.divide(values, by, out=quotient, where=usable)
    return quotient

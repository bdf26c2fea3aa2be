"""Statistics of windows: the last axis is time, oldest first; NaN is a missing value and is left out."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

# A spread this small beside the values themselves is rounding, not movement.
FLAT: Final = 1e-9


def sum_and_count(windows: FloatArray) -> tuple[FloatArray, IntArray]:
    """Sum and number of the values that are there, of each row.

    windows: shape (rows, n). A row's result does not depend on the other rows, bit for bit.
    """
    total = windows.sum(axis=-1)
    count = np.full(total.shape, windows.shape[-1], dtype=np.int64)
    # One missing value makes the plain sum NaN, so only such rows are looked at again.
    gaps = np.flatnonzero(np.isnan(total))
    if gaps.size:
        some = windows[gaps]
        missing = np.isnan(some)
        total[gaps] = np.where(missing, 0.0, some).sum(axis=-1)
        count[gaps] = windows.shape[-1] - np.count_nonzero(missing, axis=-1)
    return total, count


def mean_and_std(windows: FloatArray, *, ddof: int = 1) -> tuple[FloatArray, FloatArray, IntArray]:
    """Mean, standard deviation and number of the values that are there, of each row, in two passes.

    windows: shape (rows, n). NaN where a row has too few values (1 for the mean, ddof + 1 for the deviation).
    """
    total, count = sum_and_count(windows)
    mean = _divide(total, count)
    squares, _ = sum_and_count((windows - mean[:, None]) ** 2)
    return mean, np.sqrt(_divide(squares, count - ddof)), count


def z_score(
    value: FloatArray, mean: FloatArray, std: FloatArray, *, scale: FloatArray | float = 1.0
) -> FloatArray:
    """(value - mean) / std; NaN where the spread is below `FLAT` times `scale`, for then nothing moved."""
    flat = ~(std > FLAT * scale)
    return np.where(flat, np.nan, (value - mean) / np.where(flat, 1.0, std))


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
    latest = latest.copy()
    latest[gaps] = np.take_along_axis(some, order, axis=-1)[:, -length:]
    found[gaps] = np.minimum(np.count_nonzero(valid, axis=-1), length)
    return latest, found


def each_window(series: FloatArray, length: int) -> FloatArray:
    """Every window of `length` values, one a row: all rows of the first window, then all of the next.

    series: shape (rows, n). Answers shape ((n - length + 1) * rows, length), in memory of its own, so that sums of a
    row have the same bits as those of the window alone.

    >>> each_window(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 2).tolist()
    [[1.0, 2.0], [4.0, 5.0], [2.0, 3.0], [5.0, 6.0]]
    """
    windows = np.lib.stride_tricks.sliding_window_view(series, length, axis=-1)
    return np.ascontiguousarray(windows.transpose(1, 0, 2)).reshape(-1, length)


def nullable(values: FloatArray) -> list[float | None]:
    """Plain floats, None for NaN.

    >>> nullable(np.array([1.5, np.nan]))
    [1.5, None]
    """
    plain: list[float | None] = values.tolist()
    for index in np.flatnonzero(np.isnan(values)).tolist():
        plain[index] = None
    return plain


def _divide(total: FloatArray, count: IntArray) -> FloatArray:
    """Total / count; NaN where the count is not positive."""
    positive = count > 0
    return np.where(positive, total / np.where(positive, count, 1), np.nan)

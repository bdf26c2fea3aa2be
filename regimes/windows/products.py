"""Centred cross products of many series over a window that slides by one column at a time."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]


class SlidingProducts:
    """Sums of (x - mean x)(y - mean y) for every pair of rows, kept up to date in O(rows^2) a column.

    Missing data count as 0, so only pairs of rows without missing data are right; columns in which every row
    is missing count for nobody. Each slide adds rounding of the last digit, so rebuild now and then.
    """

    def __init__(self, rows: int) -> None:
        self.columns = 0
        """Columns of the window in which any row has data."""
        self.products = np.zeros((rows, rows))
        self._sums = np.zeros(rows)
        self._change = np.empty((rows, rows))

    def rebuild(self, filled: FloatArray, columns: int) -> None:
        """Compute from scratch. filled: shape (rows, columns), 0 where missing; columns: those with any data."""
        self.columns = columns
        self._sums = filled.sum(axis=1)
        np.matmul(filled, filled.T, out=self.products)
        if columns:
            np.outer(self._sums, self._sums / columns, out=self._change)
            self.products -= self._change

    def slide(self, entering: FloatArray, leaving: FloatArray) -> None:
        """Take in one column and let one go, each of shape (rows,)."""
        come, gone = np.nan_to_num(entering), np.nan_to_num(leaving)
        columns = self.columns + int(not np.isnan(entering).all()) - int(not np.isnan(leaving).all())
        sums = self._sums + come - gone
        # One product of rank four: the column in, the column out, the new mean out, the old mean in.
        left = np.stack([come, -gone, -sums / max(columns, 1), self._sums / max(self.columns, 1)], axis=1)
        right = np.stack([come, gone, sums, self._sums])
        np.matmul(left, right, out=self._change)
        self.products += self._change
        self.columns, self._sums = columns, sums

"""Centred cross products of many series over a window that slides by one column at a time."""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
SingleArray: TypeAlias = npt.NDArray[np.float32]

_BLOCK: Final = 128
_WORN: Final = 1_000.0
"""How many times the square that leaves a row may be what is left of the row, before single precision wears off."""


class Block(NamedTuple):
    """Rows `start` to `stop` of the products, from column `start` on: the lower triangle says nothing new."""

    start: int
    stop: int
    products: SingleArray


class SlidingProducts:
    """Sums of (x - mean x)(y - mean y) for every pair of rows, kept up to date in O(rows^2) a column.

    Those of two rows are in single precision: quick, and good to about three digits of a correlation, which is enough
    to choose which pairs deserve a computation from scratch. Those of a row with itself, `squares`, are in double.
    Missing data count as 0, so only pairs of rows without missing data are right; columns in which every row
    is missing count for nobody. Each slide adds rounding, so rebuild now and then, and when `worn`.
    """

    def __init__(self, rows: int) -> None:
        self.columns = 0
        """Columns of the window in which any row has data."""
        self.worn = False
        """Whether something so large has left that its rounding hides what is left."""
        self.squares = np.zeros(rows)
        self.blocks = [
            Block(start, min(start + _BLOCK, rows), np.zeros((min(_BLOCK, rows - start), rows - start), "f4"))
            for start in range(0, rows, _BLOCK)
        ]
        self._sums = np.zeros(rows)
        self._raw_squares = np.zeros(rows)
        self._change = [np.empty_like(block.products) for block in self.blocks]

    def rebuild(self, filled: FloatArray, columns: int) -> None:
        """Compute from scratch. filled: shape (rows, columns), 0 where missing; columns: those with any data."""
        self.columns, self.worn = columns, False
        self._sums = filled.sum(axis=1)
        self._raw_squares = np.einsum("ij,ij->i", filled, filled)
        self._centre_squares()
        single = filled.astype(np.float32)
        sums, means = self._sums.astype(np.float32), (self._sums / max(columns, 1)).astype(np.float32)
        for (start, stop, products), change in zip(self.blocks, self._change, strict=True):
            np.matmul(single[start:stop], single[start:].T, out=products)
            np.multiply(sums[start:stop, None], means[start:], out=change)
            np.subtract(products, change, out=products)

    def slide(self, entering: FloatArray, leaving: FloatArray) -> None:
        """Take in one column and let one go, each of shape (rows,)."""
        come, gone = (np.where(np.isnan(column), 0.0, column) for column in (entering, leaving))
        columns = self.columns + int(not np.isnan(entering).all()) - int(not np.isnan(leaving).all())
        sums = self._sums + come - gone
        # One product of rank four: the column in, the column out, the new mean out, the old mean in.
        left = np.stack([come, -gone, -sums / max(columns, 1), self._sums / max(self.columns, 1)], axis=1)
        right = np.stack([come, gone, sums, self._sums])
        left_, right_ = left.astype(np.float32), right.astype(np.float32)
        for (start, stop, products), change in zip(self.blocks, self._change, strict=True):
            np.matmul(left_[start:stop], right_[:, start:], out=change)
            np.add(products, change, out=products)
        self.columns, self._sums = columns, sums
        self._raw_squares += come * come - gone * gone
        self._centre_squares()
        self.worn = bool((gone * gone > _WORN * self.squares).any())

    def _centre_squares(self) -> None:
        self.squares = np.maximum(self._raw_squares - self._sums**2 / max(self.columns, 1), 0.0)

"""Centred cross products of many series over a window that slides by one column at a time."""

from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
SingleArray: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)

BLOCK: Final = 64
"""Rows of a block: few enough that it stays in the processor's cache from one step to the next."""
_WORN: Final = 1_000.0
"""How many times the square that leaves a row may be what is left of the row, before single precision wears off."""


class Block(NamedTuple, Generic[Number]):
    """Rows from `start` to `stop`, and what is known of each with the columns from `start` on."""

    start: int
    stop: int
    values: npt.NDArray[Number]


class Triangle(Generic[Number]):
    """Room for a number of every pair of rows, block by block: a lower triangle would say nothing new."""

    def __init__(self, rows: int, kind: type[Number]) -> None:
        starts = np.arange(0, rows, BLOCK)
        self._width = rows - starts
        sizes = np.minimum(BLOCK, self._width) * self._width
        self._offset = np.cumsum(sizes) - sizes
        self._flat = np.zeros(int(sizes.sum()), kind)
        pieces = np.split(self._flat, self._offset[1:].tolist())
        self.blocks = [
            Block(start, min(start + BLOCK, rows), piece.reshape(-1, rows - start))
            for start, piece in zip(starts.tolist(), pieces, strict=True)
        ]

    def at(self, rows: IntArray, columns: IntArray) -> npt.NDArray[Number]:
        """The numbers of some pairs, row <= column."""
        block = rows // BLOCK
        start = block * BLOCK
        places = self._offset[block] + (rows - start) * self._width[block] + columns - start
        found: npt.NDArray[Number] = self._flat[places]
        return found

    def nonzero(self) -> tuple[IntArray, IntArray]:
        """Rows and columns of the numbers that are not zero."""
        places = np.flatnonzero(self._flat)
        block = np.searchsorted(self._offset, places, side="right") - 1
        row, column = np.divmod(places - self._offset[block], self._width[block])
        return row + block * BLOCK, column + block * BLOCK


class SlidingProducts:
    """Sums of (x - mean x)(y - mean y) for every pair of rows.

    Those of two rows are in single precision: quick, and good to about three digits of a correlation, which is enough
    to choose which pairs deserve a computation from scratch. Those of a row with itself, `squares`, are in double.
    Missing data count as 0, so only pairs of rows without missing data are right; columns in which every row
    is missing count for nobody. A slide costs O(rows): the products of two rows follow when they are `settled`, many
    columns at hardly more cost than one. Each column adds rounding, so rebuild now and then, and when `worn`.
    """

    def __init__(self, rows: int) -> None:
        self.columns = 0
        """Columns of the window in which any row has data."""
        self.worn = False
        """Whether something so large has left that its rounding hides what is left."""
        self.version = 0
        """Another one whenever the products of two rows have been settled or rebuilt."""
        self.squares = np.zeros(rows)
        self._products = Triangle(rows, np.float32)
        self._work = np.empty(BLOCK * rows, np.float32)
        self._sums = np.zeros(rows)
        self._raw_squares = np.zeros(rows)
        self._settle()

    def rebuild(self, filled: FloatArray, columns: int) -> None:
        """Compute from scratch. filled: shape (rows, columns), 0 where missing; columns: those with any data."""
        self.columns, self.worn = columns, False
        self._sums = filled.sum(axis=1)
        self._raw_squares = np.einsum("ij,ij->i", filled, filled)
        self._centre_squares()
        single = filled.astype(np.float32)
        sums, means = self._sums.astype(np.float32), (self._sums / max(columns, 1)).astype(np.float32)
        for start, stop, products in self._products.blocks:
            np.matmul(single[start:stop], single[start:].T, out=products)
            np.subtract(products, sums[start:stop, None] * means[start:], out=products)
        self._settle()

    def slide(self, entering: FloatArray, leaving: FloatArray) -> None:
        """Take in one column and let one go, each of shape (rows,)."""
        (come, any_come), (gone, any_gone) = _filled(entering), _filled(leaving)
        self._sums = self._sums + come - gone
        self.columns += int(any_come) - int(any_gone)
        self._raw_squares += come * come - gone * gone
        self._centre_squares()
        self.worn = bool((gone * gone > _WORN * self.squares).any())
        for column, is_there, kept in ((come, any_come, self._come), (gone, any_gone, self._gone)):
            kept.append(column)
            if is_there:
                self._moved += (column - self._centre) ** 2

    def settled(self) -> Iterator[Block[np.float32]]:
        """Each block of products, brought to the present when it is asked for: go through all of them."""
        left, right = self._late()
        for block in self._products.blocks:
            start, stop, products = block
            late = self._work[: products.size].reshape(products.shape)
            np.matmul(left[start:stop], right[:, start:], out=late)
            np.add(products, late, out=products)
            yield block
        self._settle()

    def at(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """The present products of some pairs, row <= column, whether they are settled or not."""
        products = self._products.at(rows, columns).astype(np.float64)
        if not self._come:
            return products
        left, right = self._late()
        return np.asarray(products + np.einsum("ij,ji->i", left[rows], right[:, columns]))

    def drift(self, rows: BoolArray) -> float:
        """How far the correlation of any two of these rows can have moved since the products were settled: a bound.

        About the means of then, what came, what left and the shift of the means are vectors, by whose lengths the
        products of two rows have changed at most (Cauchy and Schwarz); the rest is the change of their variances.
        """
        if np.count_nonzero(rows) < 2:
            return 0.0
        shift = self._sums - self._centre * self.columns
        lengths = self._moved + shift * shift / max(self.columns, 1)
        scale = 1.0 / self.squares[rows]
        moved = np.partition(lengths[rows] * scale, -2)[-2:]
        ratios = np.partition(self._settled_squares[rows] * scale, (1, -2))
        least, less, more, most = ratios[[0, 1, -2, -1]]
        return float(np.sqrt(moved.prod()) + max(np.sqrt(more * most) - 1.0, 1.0 - np.sqrt(least * less)))

    def _settle(self) -> None:
        """The products are of the present window: what comes and leaves from here on has yet to be added."""
        self.version += 1
        self._come: list[FloatArray] = []
        self._gone: list[FloatArray] = []
        self._moved = np.zeros_like(self._sums)
        self._centre = self._sums / max(self.columns, 1)
        self._settled_sums, self._settled_columns = self._sums, self.columns
        self._settled_squares = self.squares

    def _late(self) -> tuple[SingleArray, SingleArray]:
        """Two factors, whose product is what has to be added: columns in and out, the new means out, the old ones in."""
        count = len(self._come)
        means = -1.0 / max(self.columns, 1), 1.0 / max(self._settled_columns, 1)
        weights = np.array([1.0] * count + [-1.0] * count + [*means])
        right = np.array([*self._come, *self._gone, self._sums, self._settled_sums])
        return (right.T * weights).astype(np.float32, order="C"), right.astype(np.float32)

    def _centre_squares(self) -> None:
        self.squares = np.maximum(self._raw_squares - self._sums**2 / max(self.columns, 1), 0.0)


def _filled(column: FloatArray) -> tuple[FloatArray, bool]:
    """A copy with 0 where data are missing, and whether any are there."""
    missing = np.isnan(column)
    return np.where(missing, 0.0, column), not missing.all()

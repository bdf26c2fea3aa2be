"""Bars of many symbols on one fixed time grid: a row a symbol, a column a bar."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from regimes.errors import DataError
from regimes.timeframe import bar_open

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

# Free columns to the right: the arrays slide back by this share of their length, once in as many bars.
_ROOM: Final = 4


class BarPanel:
    """The newest `capacity` bars of every row, by open time.

    rows: how many symbols. capacity: bars kept. step_ms: length of a bar. empty: each field's name and the
    value of a bar that is missing; it also gives the type (NaN: float64, False: bool).

    All rows share the grid, whose newest bar is `head_ms`. A bar is stored at its own time, however late it
    comes, unless it is `capacity` bars or more behind the head: then it is refused. Bars not stored read as
    missing. The arrays are fixed; a window is a view of them, valid until the next `columns`. The bars of one
    time lie side by side in memory, as most work is on those of all rows.
    """

    def __init__(self, rows: int, capacity: int, step_ms: int, empty: Mapping[str, float | bool]) -> None:
        if rows < 1 or capacity < 1:
            raise ValueError(f"a panel needs at least 1 row and 1 bar (got {rows} x {capacity})")
        self.rows = rows
        self.capacity = capacity
        self.step_ms = step_ms
        self.head_ms: int | None = None
        width = capacity + max(capacity // _ROOM, 1)
        self.fields: dict[str, npt.NDArray[Any]] = {
            name: np.full((width, rows), value).T for name, value in empty.items()
        }
        self._empty = dict(empty)
        self._width = width
        self._phase_ms = bar_open(0, step_ms)
        self._head = -1  # column of the newest bar
        self._origin = 0  # number of the bar in column 0

    def column(self, open_ms: int) -> int:
        """Column of the bar that holds this time, with room made for it if it is the newest; -1 where it is too old."""
        bar = (open_ms - self._phase_ms) // self.step_ms
        self._advance(bar)
        column = bar - self._origin
        return column if column > self._head - self.capacity else -1

    def columns(self, open_ms: IntArray) -> IntArray:
        """Columns of the bars that hold these times, with room made for the newest; -1 where it is too old."""
        bars = (open_ms - self._phase_ms) // self.step_ms
        if bars.size:
            self._advance(int(bars.max()))
        columns = bars - self._origin
        return np.where(columns > self._head - self.capacity, columns, -1)

    def places(self, rows: IntArray, columns: IntArray) -> IntArray:
        """Where these bars lie in a field as `flat` gives it; one index is much faster than two."""
        return columns * self.rows + rows

    def flat(self, field: str) -> npt.NDArray[Any]:
        """All bars of a field as one row, to be written to."""
        return self.fields[field].T.reshape(-1)

    def window(self, field: str, end_ms: int, length: int) -> npt.NDArray[Any]:
        """The `length` bars of every row up to and including the one that opens at `end_ms`, oldest first.

        Shape (rows, length), read-only. Bars older than the capacity or newer than the head read as missing.
        """
        values = self.fields[field]
        stop = (end_ms - self._phase_ms) // self.step_ms - self._origin + 1
        start = stop - length
        first, beyond = max(self._head - self.capacity + 1, 0), self._head + 1
        if first <= start and stop <= beyond:
            view = values[:, start:stop]
        else:
            view = np.full((length, self.rows), self._empty[field], dtype=values.dtype).T
            low, high = max(start, first), min(stop, beyond)
            if low < high:
                view[:, low - start : high - start] = values[:, low:high]
        view.flags.writeable = False
        return view

    def has_previous(self, columns: IntArray | np.int64) -> BoolArray | np.bool_:
        """Whether the bar before each column is still within the capacity."""
        return columns - 1 > self._head - self.capacity

    def has_next(self, columns: IntArray | np.int64) -> BoolArray | np.bool_:
        """Whether there is room for the bar after each column: the head has none."""
        return columns < self._head

    @property
    def oldest_ms(self) -> int:
        """Open time of the oldest bar that may be known."""
        return (self.head_ms or 0) - (self.capacity - 1) * self.step_ms

    def snapshot(self, *fields: str) -> dict[str, Any]:
        """Head and the kept bars of these fields (all, when none is named) as bytes."""
        kept = slice(max(self._head - self.capacity + 1, 0), self._head + 1)
        return {
            "head_ms": self.head_ms,
            "fields": {name: self.fields[name][:, kept].T.tobytes() for name in (fields or self.fields)},
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take back a snapshot of a panel of the same shape; fields not in it are left missing.

        Raises DataError when the shape is another.
        """
        for name, values in self.fields.items():
            values[:] = self._empty[name]
        self.head_ms, self._head = None, -1
        if snapshot["head_ms"] is None:
            return
        for name, raw in snapshot["fields"].items():
            kept = np.frombuffer(raw, dtype=self.fields[name].dtype)
            if kept.size != self.rows * self.capacity:
                raise DataError(
                    f"snapshot of bars: field {name} has {kept.size} values, this panel holds {self.rows} x"
                    f" {self.capacity}; it was made with other settings: start without it"
                )
            self.fields[name][:, : self.capacity] = kept.reshape(self.capacity, self.rows).T
        self._advance((snapshot["head_ms"] - self._phase_ms) // self.step_ms)

    def _advance(self, bar: int) -> None:
        """Make `bar` the head if it is newer; slide when the room to the right is used up."""
        if self.head_ms is None:
            self._head = self.capacity - 1
        else:
            ahead = bar - self._origin - self._head
            if ahead <= 0:
                return
            if self._head + ahead < self._width:
                self._head += ahead
            else:
                self._slide(ahead)
        self._origin = bar - self._head
        self.head_ms = bar * self.step_ms + self._phase_ms

    def _slide(self, ahead: int) -> None:
        """Move the bars that stay to the left end, clear the rest, and put the head at the capacity."""
        kept = max(self.capacity - ahead, 0)
        for name, values in self.fields.items():
            values[:, :kept] = values[:, self._head + 1 - kept : self._head + 1].copy(order="K")
            values[:, kept:] = self._empty[name]
        self._head = self.capacity - 1

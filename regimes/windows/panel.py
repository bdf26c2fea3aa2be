"""Hourly log returns of many symbols on one time grid, so that a whole market is one array."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
NEVER = -1


class ReturnPanel:
    """The newest `hours` hourly log returns of `rows` symbols; NaN where a return is missing.

    Hours are whole numbers since 1970 (`open_ms // 3,600,000`). A return belongs to the hour whose close ends
    it, and exists only if the hour before has a close too. The first close of an hour wins; closes may come
    late and in any order, and those older than the panel are refused. What the panel answers depends only on
    the closes it holds, never on the order in which they came. spare: hours before the window that are kept
    as well.
    """

    def __init__(self, rows: int, hours: int, *, spare: int = 0) -> None:
        self.hours = hours
        self.head = NEVER
        """The newest hour with a close, or NEVER."""
        self.newest = np.full(rows, NEVER, dtype=np.int64)
        """The newest hour with a close, for each row."""
        self.counts = np.zeros(rows, dtype=np.int64)
        """Returns in the window, for each row."""
        self._kept = hours + spare + 1
        # Twice as wide as needed: the window is always one contiguous slice, moved back once a width.
        self._log_close = np.full((rows, 2 * self._kept), np.nan)
        self._returns = np.full((rows, 2 * self._kept), np.nan)
        self._end = self._kept

    def put(self, bars: Iterable[tuple[int, int, float]]) -> int:
        """Take (row, hour, close) with close > 0; answers how many were new."""
        by_hour: dict[int, dict[int, float]] = {}
        closes: dict[int, float] = {}
        last = NEVER
        for row, hour, close in bars:
            if hour != last:
                closes, last = by_hour.setdefault(hour, {}), hour
            closes.setdefault(row, close)
        return sum(self._put_hour(hour, by_hour[hour]) for hour in sorted(by_hour))

    def returns(self, hours: int, *, ago: int = 0) -> FloatArray:
        """A view of shape (rows, hours), oldest first, whose last column is `ago` hours before the head."""
        if hours + ago >= self._kept:
            raise ValueError(f"the panel holds {self._kept - 1} hours, not {hours + ago}")
        last = self._end - ago
        return self._returns[:, last - hours : last]

    def snapshot(self) -> dict[str, Any]:
        """The closes and what is known of each row, as bytes."""
        window = self._log_close[:, self._end - self._kept : self._end]
        return {"head": self.head, "newest": self.newest.tobytes(), "log_close": window.tobytes()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot of a panel of the same size."""
        rows = len(self.newest)
        self.head = snapshot["head"]
        self.newest = np.frombuffer(snapshot["newest"], dtype=np.int64).copy()
        window = np.frombuffer(snapshot["log_close"], dtype=np.float64).reshape(rows, self._kept)
        self._end = self._kept
        self._log_close[:] = np.nan
        self._returns[:] = np.nan
        self._log_close[:, : self._kept] = window
        self._returns[:, 1 : self._kept] = np.diff(window, axis=1)
        self.counts = np.count_nonzero(~np.isnan(self.returns(self.hours)), axis=1).astype(np.int64)

    def _put_hour(self, hour: int, closes: dict[int, float]) -> int:
        if hour > self.head:
            self._advance(hour)
        column = self._end - 1 - (self.head - hour)
        if column < self._end - self._kept:
            return 0
        rows = np.fromiter(closes.keys(), dtype=np.int64, count=len(closes))
        values = np.log(np.fromiter(closes.values(), dtype=np.float64, count=len(closes)))
        new = np.isnan(self._log_close[rows, column])
        rows = rows[new]
        self._log_close[rows, column] = values[new]
        self.newest[rows] = np.maximum(self.newest[rows], hour)
        for end in (column, column + 1):
            if 0 < end < self._end:
                self._set_returns(rows, end)
        return len(rows)

    def _set_returns(self, rows: npt.NDArray[np.int64], column: int) -> None:
        """Fill in the returns that end in a column; those of `rows` were missing until now."""
        returns = self._log_close[rows, column] - self._log_close[rows, column - 1]
        self._returns[rows, column] = returns
        if column >= self._end - self.hours:
            self.counts[rows] += ~np.isnan(returns)

    def _advance(self, hour: int) -> None:
        step = hour - self.head
        if self.head == NEVER or step >= self._kept:
            self._log_close[:] = np.nan
            self._returns[:] = np.nan
            self._end = self._kept
            self.counts[:] = 0
        else:
            if self._end + step > 2 * self._kept:
                self._move_back()
            first = self._end - self.hours
            leaving = self._returns[:, first : first + min(step, self.hours)]
            self.counts -= np.count_nonzero(~np.isnan(leaving), axis=1)
            self._end += step
        self.head = hour

    def _move_back(self) -> None:
        kept = slice(self._end - self._kept, self._end)
        for array in (self._log_close, self._returns):
            array[:, : self._kept] = array[:, kept].copy()
            array[:, self._kept :] = np.nan
        self._end = self._kept

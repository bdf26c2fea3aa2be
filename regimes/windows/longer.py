"""Longer bars of many symbols, built from closed hourly ones as these come."""

import math
from typing import Any, Final

import numpy as np

from regimes.timeframe import HOUR_MS, bar_open
from regimes.windows.bars import BarPanel, BoolArray, FloatArray, IntArray

_EMPTY: Final = {"close": np.nan, "volume": 0.0, "hours": 0.0, "last_ms": -np.inf}


class LongerBars:
    """Close and volume of the newest `capacity` bars of `step_ms`, a whole number of hours.

    A bar is closed once an hour at or after its end is known, and complete when at least `completeness` of
    its hours were there; its close is that of its last hour. Each hour must be added once only.
    """

    def __init__(self, rows: int, capacity: int, step_ms: int, *, completeness: float) -> None:
        self.step_ms = step_ms
        self._hours_needed = math.ceil(completeness * (step_ms // HOUR_MS) - 1e-9)
        self._panel = BarPanel(rows, capacity, step_ms, _EMPTY)

    def add(self, rows: IntArray, open_ms: IntArray | int, close: FloatArray, volume: FloatArray) -> None:
        """Add hours, in any order; one whose bar is beyond the capacity is left out.

        open_ms: one for each, or one for all, which then are of different rows.
        """
        if isinstance(open_ms, int):
            self._add_hour(rows, open_ms, close, volume)
            return
        columns = self._panel.columns(open_ms)
        kept = columns >= 0
        at, open_ms = self._panel.places(rows[kept], columns[kept]), open_ms[kept].astype(np.float64)
        close_, volume_, hours, last_ms = (self._panel.flat(name) for name in _EMPTY)
        np.add.at(volume_, at, volume[kept])
        np.add.at(hours, at, 1.0)
        np.maximum.at(last_ms, at, open_ms)
        last = last_ms[at] == open_ms
        close_[at[last]] = close[kept][last]

    def _add_hour(self, rows: IntArray, open_ms: int, close: FloatArray, volume: FloatArray) -> None:
        column = self._panel.column(open_ms)
        if column < 0:
            return
        close_, volume_, hours, last_ms = (self._panel.fields[name][:, column] for name in _EMPTY)
        volume_[rows] += volume
        hours[rows] += 1.0
        last = last_ms[rows] <= open_ms
        if not last.all():
            rows, close = rows[last], close[last]
        last_ms[rows], close_[rows] = open_ms, close

    def newest_closed_ms(self, hour_ms: int) -> int:
        """Open time of the newest bar that is closed once the hour that opened at `hour_ms` is."""
        return bar_open(hour_ms + HOUR_MS, self.step_ms) - self.step_ms

    def complete(self, end_ms: int, length: int) -> tuple[FloatArray, FloatArray]:
        """Closes and volumes of `length` bars up to the one that opens at `end_ms`; NaN where incomplete.

        Both may be views, valid until the next `add`.
        """
        enough = self._panel.window("hours", end_ms, length) >= self._hours_needed
        close = self._panel.window("close", end_ms, length)
        volume = self._panel.window("volume", end_ms, length)
        if enough.all():
            return close, volume
        return np.where(enough, close, np.nan), np.where(enough, volume, np.nan)

    def unfinished(self, hour_ms: int) -> tuple[FloatArray, float] | None:
        """Close so far, and elapsed share, of the bar that the hour leaves unfinished; None when it ends it."""
        open_ms = bar_open(hour_ms, self.step_ms)
        elapsed = (hour_ms + HOUR_MS - open_ms) / self.step_ms
        if elapsed >= 1:
            return None
        close: FloatArray = self._panel.window("close", open_ms, 1)[:, 0]
        return close, elapsed

    def snapshot(self) -> dict[str, Any]:
        """All bars."""
        return self._panel.snapshot()

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot of bars of the same shape."""
        self._panel.restore(snapshot)


class HoursSeen:
    """Which hours were added already, so that a bar that comes again, even weeks later, is not added twice."""

    def __init__(self, rows: int, hours: int) -> None:
        self._panel = BarPanel(rows, hours, HOUR_MS, {"seen": False})

    def mark(self, rows: IntArray, open_ms: IntArray | int) -> BoolArray:
        """Mark hours as seen; True for those that are new. Hours beyond the capacity are never new.

        open_ms: one for each, or one for all, which then are of different rows.
        """
        if isinstance(open_ms, int):
            return self._mark_hour(rows, open_ms)
        columns = self._panel.columns(open_ms)
        seen = self._panel.fields["seen"]
        new: BoolArray = (columns >= 0) & ~seen[rows, columns]
        seen[rows[new], columns[new]] = True
        return new

    def _mark_hour(self, rows: IntArray, open_ms: int) -> BoolArray:
        column = self._panel.column(open_ms)
        if column < 0:
            return np.zeros(len(rows), dtype=np.bool_)
        seen = self._panel.fields["seen"][:, column]
        new: BoolArray = ~seen[rows]
        seen[rows] = True
        return new

    def at(self, hour_ms: int) -> BoolArray:
        """Which rows have this hour."""
        seen: BoolArray = self._panel.window("seen", hour_ms, 1)[:, 0]
        return seen

    def snapshot(self) -> dict[str, Any]:
        """The marks, a bit each."""
        plain = self._panel.snapshot()
        return {**plain, "fields": {name: _pack(raw) for name, raw in plain["fields"].items()}}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back the marks of a snapshot of the same shape."""
        count = self._panel.rows * self._panel.capacity
        fields = {name: _unpack(raw, count) for name, raw in snapshot["fields"].items()}
        self._panel.restore({**snapshot, "fields": fields})


def _pack(raw: bytes) -> bytes:
    return np.packbits(np.frombuffer(raw, dtype=np.bool_)).tobytes()


def _unpack(raw: bytes, count: int) -> bytes:
    return np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=count).astype(np.bool_).tobytes()

"""Sums over a trailing window of hours whose inner days are added up once a day."""

from typing import TypeAlias

import numpy as np

from regimes.maths.stats import FloatArray, IntArray, sum_and_count
from regimes.timeframe import DAY_MS, HOUR_MS
from regimes.windows.bars import BarPanel

Sums: TypeAlias = tuple[FloatArray, IntArray]


class TrailingSums:
    """Sum and number of the values of a field of hours, over the `days` that end with any hour, of every row.

    A window is the hours of its first and its last day, and the days between: these are added up for the first of its
    hours that is asked for, and again if one of them has changed. Nothing is ever subtracted, and what is answered
    follows from the panel alone, bit for bit, whatever was asked before.
    """

    def __init__(self, panel: BarPanel, field: str, days: int) -> None:
        self._panel = panel
        self._field = field
        self._days = days
        self._between_ms = -1
        self._between: Sums = (np.zeros(0), np.zeros(0, dtype=np.int64))

    def changed(self, open_ms: int) -> None:
        """Say that hours from this one on may have changed."""
        if open_ms < self._between_ms:
            self._between_ms = -1

    def ending(self, hour_ms: int) -> Sums:
        """Sum and number of the values that are there, in the hours up to and including this one."""
        day_ms = hour_ms // DAY_MS * DAY_MS
        inner_ms = day_ms - (self._days - 1) * DAY_MS
        # What has left the panel since must not be remembered.
        if self._between_ms != day_ms or inner_ms < self._panel.oldest_ms:
            self._between_ms, self._between = day_ms, self._sum(inner_ms, day_ms)
        total, count = self._between
        end_ms = hour_ms + HOUR_MS
        for first_ms, beyond_ms in ((end_ms - self._days * DAY_MS, inner_ms), (day_ms, end_ms)):
            if first_ms < beyond_ms:
                more, number = self._sum(first_ms, beyond_ms)
                total, count = total + more, count + number
        return total, count

    def _sum(self, first_ms: int, beyond_ms: int) -> Sums:
        hours = (beyond_ms - first_ms) // HOUR_MS
        return sum_and_count(self._panel.window(self._field, beyond_ms - HOUR_MS, hours))

"""Sums over a trailing window of hours whose inner days are added up once a day."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from regimes.maths.stats import FloatArray, IntArray, sum_and_count
from regimes.timeframe import DAY_MS, HOUR_MS
from regimes.windows.bars import BarPanel

_DAY_HOURS: Final = DAY_MS // HOUR_MS
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
        self._hours = days * _DAY_HOURS
        self._inner_day_ms = -1
        self._inner_sums: Sums = (np.zeros(0), np.zeros(0, dtype=np.int64))

    def changed(self, open_ms: int) -> None:
        """Say that hours from this one on may have changed."""
        if open_ms < self._inner_day_ms:
            self._inner_day_ms = -1

    def ending(self, hours_ms: Sequence[int]) -> Sums:
        """Sum and number of the values that are there, up to and including each of some hours in a row.

        Shape (hours, rows).
        """
        window = self._panel.window(self._field, hours_ms[-1], self._hours + len(hours_ms) - 1)
        edges = window.T[[self._edges(place, hour_ms) for place, hour_ms in enumerate(hours_ms)]]
        rows = edges.transpose(1, 0, 2).reshape(_DAY_HOURS, -1).T
        total, count = sum_and_count(rows)
        total, count = total.reshape(len(hours_ms), -1), count.reshape(len(hours_ms), -1)
        for place, hour_ms in enumerate(hours_ms):
            more, number = self._inner(hour_ms // DAY_MS * DAY_MS)
            total[place] += more
            count[place] += number
        return total, count

    def _edges(self, place: int, hour_ms: int) -> list[int]:
        """The hours of the first and the last day, as many as one day has, in a window that begins at `place`."""
        beyond = place + self._hours
        on_last_day = hour_ms % DAY_MS // HOUR_MS + 1
        return [*range(place, place + _DAY_HOURS - on_last_day), *range(beyond - on_last_day, beyond)]

    def _inner(self, day_ms: int) -> Sums:
        """Sums over the days between, of the windows that end on a day."""
        hours = self._hours - _DAY_HOURS
        # What has left the panel since must not be remembered.
        if self._inner_day_ms != day_ms or day_ms - hours * HOUR_MS < self._panel.oldest_ms:
            window = self._panel.window(self._field, day_ms - HOUR_MS, hours)
            self._inner_day_ms, self._inner_sums = day_ms, sum_and_count(window)
        return self._inner_sums

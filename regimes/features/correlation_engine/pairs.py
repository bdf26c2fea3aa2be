"""The windows, and what follows from a pair's correlations in them."""

from typing import Final, NamedTuple

import numpy as np

from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import (
    BoolArray,
    Correlations,
    FloatArray,
    IntArray,
    fisher_z,
    is_break,
)

WEEK_HOURS: Final = 168
WEEK_NEEDED: Final = 140
DAY_HOURS: Final = 24
DAY_NEEDED: Final = 20
NORMAL_HOURS: Final = 720
NORMAL_NEEDED: Final = 500
PANEL_HOURS: Final = WEEK_HOURS + NORMAL_HOURS
DIGITS: Final = 9
"""Decimals that are published and compared: beyond them a sum depends on the machine that adds it up."""

NO_BREAK, BREAK, CRITICAL_BREAK = 0, 1, 2


class Horizon(NamedTuple):
    """Correlations of a recent window, and of the 30 days before it."""

    recent: Correlations
    before: Correlations


class Pairs(NamedTuple):
    """Numbers of some pairs, one element each; NaN where one cannot be computed.

    row, column: the pair's places in the universe, row < column.
    """

    row: IntArray
    column: IntArray
    current: FloatArray
    normal: FloatArray
    change: FloatArray
    fisher_z: FloatArray
    current_24h: FloatArray
    normal_24h: FloatArray
    change_24h: FloatArray
    fisher_z_24h: FloatArray

    @property
    def strength(self) -> FloatArray:
        """The larger change of the two windows; 0 where neither is known."""
        return np.fmax(np.fmax(np.abs(self.change), np.abs(self.change_24h)), 0.0)

    def chosen(self, which: BoolArray) -> "Pairs":
        """Only some of them."""
        row, column, *values = self
        return Pairs(row[which], column[which], *(value[which] for value in values))

    def levels(self, settings: CorrelationSettings, *, factor: float = 1.0) -> IntArray:
        """NO_BREAK, BREAK or CRITICAL_BREAK, with all thresholds times `factor`."""
        broken = np.zeros(len(self.row), dtype=np.int64)
        for change, z in ((self.change, self.fisher_z), (self.change_24h, self.fisher_z_24h)):
            for level, least in ((BREAK, settings.min_change), (CRITICAL_BREAK, settings.critical_change)):
                bound = max(least, settings.min_change) * factor
                found = is_break(change, z, min_change=bound, min_z=settings.min_fisher_z * factor)
                broken[found] = np.maximum(broken[found], level)
        return broken


def numbers(rows: IntArray, columns: IntArray, week: Horizon, day: Horizon) -> Pairs:
    """What is known of the given pairs. week, day: their correlations, one element a pair."""
    return Pairs(rows, columns, *_compare(week), *_compare(day))


def _compare(pair: Horizon) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    recent, before = pair.recent.r.round(DIGITS), pair.before.r.round(DIGITS)
    z = fisher_z(recent, pair.recent.n, before, pair.before.n).round(DIGITS)
    return recent, before, (recent - before).round(DIGITS), z

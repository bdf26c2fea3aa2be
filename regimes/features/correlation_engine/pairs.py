"""The windows, and what follows from a pair's correlations in them."""

from typing import Final, NamedTuple

import numpy as np

from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import (
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

    def levels(self, settings: CorrelationSettings, *, factor: float = 1.0) -> IntArray:
        """NO_BREAK, BREAK or CRITICAL_BREAK, with all thresholds times `factor`."""
        broken = np.full(len(self.row), NO_BREAK)
        critical = max(settings.critical_change, settings.min_change)
        for change, z in ((self.change, self.fisher_z), (self.change_24h, self.fisher_z_24h)):
            for level, least in ((BREAK, settings.min_change), (CRITICAL_BREAK, critical)):
                found = is_break(change, z, min_change=least * factor, min_z=settings.min_fisher_z * factor)
                np.maximum(broken, level, out=broken, where=found)
        return broken


def numbers(rows: IntArray, columns: IntArray, week: Horizon, day: Horizon) -> Pairs:
    """What is known of the given pairs. week, day: their correlations, one element a pair."""
    (r, n), (r0, n0) = (
        (np.stack((of_week.r, of_day.r)).round(DIGITS), np.stack((of_week.n, of_day.n)))
        for of_week, of_day in zip(week, day, strict=True)
    )
    change, z = (r - r0).round(DIGITS), fisher_z(r, n, r0, n0).round(DIGITS)
    return Pairs(rows, columns, r[0], r0[0], change[0], z[0], r[1], r0[1], change[1], z[1])

"""The four correlations of each pair at one hour, and what follows from them."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import (
    Correlations,
    FloatArray,
    IntArray,
    fisher_z,
    is_break,
    pearson_matrix,
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
    """A recent window and the 30 days before it."""

    recent: Correlations
    before: Correlations


class Hour(NamedTuple):
    """All correlations as of one closed hour."""

    week: Horizon
    day: Horizon


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
        broken = np.zeros(len(self.row), dtype=np.int64)
        for change, z in ((self.change, self.fisher_z), (self.change_24h, self.fisher_z_24h)):
            for level, least in ((BREAK, settings.min_change), (CRITICAL_BREAK, settings.critical_change)):
                bound = max(least, settings.min_change) * factor
                found = is_break(change, z, min_change=bound, min_z=settings.min_fisher_z * factor)
                broken[found] = np.maximum(broken[found], level)
        return broken


def horizon(returns: FloatArray, *, hours: int, needed: int) -> Horizon:
    """Correlate the last `hours` columns, and the NORMAL_HOURS before those."""
    stop = returns.shape[1]
    start = stop - hours
    recent = pearson_matrix(returns[:, start:stop], at_least=needed)
    before = pearson_matrix(returns[:, start - NORMAL_HOURS : start], at_least=NORMAL_NEEDED)
    return Horizon(recent, before)


def correlate(returns: FloatArray) -> Hour:
    """All four matrices as of the last column. returns: shape (symbols, >= 888), oldest first, NaN = missing."""
    return Hour(
        week=horizon(returns, hours=WEEK_HOURS, needed=WEEK_NEEDED),
        day=horizon(returns, hours=DAY_HOURS, needed=DAY_NEEDED),
    )


def all_pairs(size: int) -> tuple[IntArray, IntArray]:
    """Every pair of `size` symbols once, row < column."""
    rows, columns = np.triu_indices(size, 1)
    return rows.astype(np.int64), columns.astype(np.int64)


def moved_pairs(hour: Hour, least: float) -> tuple[IntArray, IntArray]:
    """The pairs whose change is at least `least` (or a hair less) on either window."""
    found: npt.NDArray[np.bool_] | None = None
    for recent, before in hour:
        moved = np.abs(recent.r - before.r) >= least - 10.0**-DIGITS
        found = moved if found is None else found | moved
    places = np.flatnonzero(np.triu(found, 1)) if found is not None and found.any() else np.empty(0, np.int64)
    rows, columns = np.divmod(places, len(hour.week.recent.r))
    return rows.astype(np.int64), columns.astype(np.int64)


def numbers(hour: Hour, rows: IntArray, columns: IntArray) -> Pairs:
    """What is known of the given pairs."""
    return Pairs(rows, columns, *_compare(hour.week, rows, columns), *_compare(hour.day, rows, columns))


def _compare(
    pair: Horizon, rows: IntArray, columns: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    at = (rows, columns)
    recent, before = pair.recent.r[at].round(DIGITS), pair.before.r[at].round(DIGITS)
    z = fisher_z(recent, pair.recent.n[at], before, pair.before.n[at]).round(DIGITS)
    return recent, before, (recent - before).round(DIGITS), z

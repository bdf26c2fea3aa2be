"""All correlations of hundreds of symbols, kept up to date from hour to hour."""

from typing import Final

import numpy as np

from regimes.features.correlation_engine.market import (
    BEFORE_DAY,
    BEFORE_WEEK,
    DAY,
    WEEK,
    WINDOWS,
    BoolArray,
    Window,
)
from regimes.features.correlation_engine.pairs import (
    DIGITS,
    PANEL_HOURS,
    WEEK_NEEDED,
    Horizon,
    Pairs,
    numbers,
)
from regimes.maths.correlation import FLAT_STD, Correlations, FloatArray, IntArray, masked_rows
from regimes.windows.panel import ReturnPanel
from regimes.windows.products import SlidingProducts

ANCHOR_HOURS: Final = 24
"""Sliding sums start anew at every UTC midnight: rounding never grows, and what they say depends on the panel
alone, not on when the program was started."""


class LargeMarket:
    """Slides the sums behind every pair from hour to hour.

    Rows that miss an hour that others have are few as a rule; their pairs are computed anew each hour.
    """

    def __init__(self, rows: int) -> None:
        self._sliding = {window: SlidingProducts(rows) for window in (WEEK, BEFORE_WEEK, BEFORE_DAY)}
        self._hour: int | None = None
        self._day = np.full((rows, DAY.hours), np.nan)
        self._scale = {window: np.full(rows, np.nan) for window in WINDOWS}
        self._columns = dict.fromkeys(WINDOWS, 0)
        self._holed: IntArray = np.empty(0, dtype=np.int64)
        self._line = np.full(rows, -1)
        """Which line of `_apart` a row with missing hours has, else -1."""
        self._apart: dict[Window, Correlations] = {}
        self._work = np.empty((rows, rows)), np.empty((rows, rows))

    def advance(self, panel: ReturnPanel, *, rebuild: bool = False) -> None:
        self._slide(panel, rebuild=rebuild)
        self._columns = {window: sums.columns for window, sums in self._sliding.items()}
        day = panel.returns(DAY.hours)
        self._columns[DAY] = int(np.count_nonzero(~np.isnan(day).all(axis=0)))
        whole = panel.counts == self._columns[WEEK] + self._columns[BEFORE_WEEK]
        self._holed = np.flatnonzero(~whole)
        self._line[:] = -1
        self._line[self._holed] = np.arange(len(self._holed))
        for window, sums in self._sliding.items():
            self._scale[window] = self._scale_of(window, np.diagonal(sums.products), whole)
        self._day = np.nan_to_num(day)
        self._day -= self._day.sum(axis=1, keepdims=True) / max(self._columns[DAY], 1)
        self._day[np.isnan(day)] = 0.0
        self._scale[DAY] = self._scale_of(DAY, np.einsum("ij,ij->i", self._day, self._day), whole)
        self._day *= self._scale[DAY][:, None]
        self._apart = (
            {window: self._of_holed(window, panel) for window in WINDOWS} if len(self._holed) else {}
        )

    def _slide(self, panel: ReturnPanel, *, rebuild: bool) -> None:
        anchor = panel.head // ANCHOR_HOURS * ANCHOR_HOURS
        hour = self._hour
        if rebuild or hour is None or hour < anchor:
            hour = anchor
            self._rebuild(panel.returns(PANEL_HOURS, ago=panel.head - hour))
        while hour < panel.head:
            hour += 1
            for window, sums in self._sliding.items():
                ago = window.ago + panel.head - hour
                sums.slide(panel.returns(1, ago=ago)[:, 0], panel.returns(1, ago=ago + window.hours)[:, 0])
        self._hour = hour

    def _rebuild(self, returns: FloatArray) -> None:
        missing = np.isnan(returns)
        live = np.asarray(~missing.all(axis=0))
        filled = np.where(missing, 0.0, returns)
        for window, sums in self._sliding.items():
            last = PANEL_HOURS - window.ago
            span = slice(last - window.hours, last)
            sums.rebuild(filled[:, span], int(np.count_nonzero(live[span])))

    def _scale_of(self, window: Window, squares: FloatArray, whole: BoolArray) -> FloatArray:
        """What turns centred sums into correlations; NaN for rows that cannot have one, or have it apart."""
        columns = self._columns[window]
        usable = whole & (squares > FLAT_STD**2 * columns) & (columns >= window.needed)
        return 1.0 / np.sqrt(np.where(usable, squares, np.nan))

    def _of_holed(self, window: Window, panel: ReturnPanel) -> Correlations:
        values = panel.returns(window.hours, ago=window.ago)
        return masked_rows(values, ~np.isnan(values), self._holed, window.needed)

    def _product(self, window: Window, out: FloatArray) -> FloatArray:
        """Correlations of all whole rows, into `out`."""
        if window is DAY:
            return np.matmul(self._day, self._day.T, out=out)
        scale = self._scale[window]
        np.multiply(self._sliding[window].products, scale[:, None], out=out)
        out *= scale
        return out

    def pairs(self, rows: IntArray, columns: IntArray) -> Pairs:
        week, before_week, day, before_day = (self._at(window, rows, columns) for window in WINDOWS)
        return numbers(rows, columns, Horizon(week, before_week), Horizon(day, before_day))

    def _at(self, window: Window, rows: IntArray, columns: IntArray) -> Correlations:
        if window is DAY:
            r = np.einsum("ij,ij->i", self._day[rows], self._day[columns])
        else:
            scale = self._scale[window]
            r = self._sliding[window].products[rows, columns] * scale[rows] * scale[columns]
        n = np.full(len(rows), self._columns[window])
        for own, other in ((rows, columns), (columns, rows)):
            apart = np.flatnonzero(self._line[own] >= 0)
            if len(apart):
                lines = self._line[own[apart]]
                r[apart] = self._apart[window].r[lines, other[apart]]
                n[apart] = self._apart[window].n[lines, other[apart]]
        return Correlations(np.clip(r, -1.0, 1.0), n)

    def candidates(self, least: float) -> tuple[IntArray, IntArray]:
        bound = least - 10.0**-DIGITS
        change, before = self._work
        moved = np.zeros(change.shape, dtype=np.bool_)
        for recent, normal in ((WEEK, BEFORE_WEEK), (DAY, BEFORE_DAY)):
            if min(self._columns[recent] - recent.needed, self._columns[normal] - normal.needed) >= 0:
                self._product(recent, change)
                change -= self._product(normal, before)
                moved |= np.abs(change, out=change) >= bound
            if len(self._holed):
                apart = np.abs(self._apart[recent].r - self._apart[normal].r) >= bound
                moved[self._holed] |= apart
                moved[:, self._holed] |= apart.T
        rows, columns = np.divmod(np.flatnonzero(moved), len(self._line))
        once = rows < columns
        return rows[once], columns[once]

    def matrix(self) -> FloatArray:
        r = np.clip(self._product(WEEK, np.empty_like(self._work[0])), -1.0, 1.0)
        if len(self._holed):
            apart = self._apart[WEEK].r
            r[self._holed], r[:, self._holed] = apart, apart.T
        return r

    def known(self) -> BoolArray:
        known = np.zeros(len(self._line), dtype=np.bool_)
        for recent, normal in ((WEEK, BEFORE_WEEK), (DAY, BEFORE_DAY)):
            both = ~np.isnan(self._scale[recent] + self._scale[normal])
            if np.count_nonzero(both) > 1:
                known |= both
            if len(self._holed):
                found = ~np.isnan(self._apart[recent].r + self._apart[normal].r)
                found[np.arange(len(self._holed)), self._holed] = False
                known[self._holed] |= found.any(axis=1)
                known |= found.any(axis=0)
        return known

    def flat(self) -> BoolArray:
        flat = np.isnan(self._scale[WEEK]) & (self._columns[WEEK] >= WEEK_NEEDED)
        if len(self._holed):
            at = np.arange(len(self._holed)), self._holed
            flat[self._holed] = np.isnan(self._apart[WEEK].r[at]) & (self._apart[WEEK].n[at] >= WEEK_NEEDED)
        return np.asarray(flat)

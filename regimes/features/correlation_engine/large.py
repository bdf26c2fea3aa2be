"""All correlations of hundreds of symbols: what may have broken is found quickly, and then computed exactly."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from regimes.features.correlation_engine.limits import MARGIN, Limits, as_hundredths, bounds
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
    PANEL_HOURS,
    WEEK_NEEDED,
    Horizon,
    Pairs,
    numbers,
)
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import (
    FLAT_STD,
    Correlations,
    FloatArray,
    IntArray,
    masked_rows,
    pearson_matrix,
    pearson_pairs,
)
from regimes.windows.panel import ReturnPanel
from regimes.windows.products import BLOCK, SingleArray, SlidingProducts

ANCHOR_HOURS: Final = 24
"""Sliding sums start anew at every UTC midnight: rounding never grows, and what they say depends on the panel
alone, not on when the program was started."""
_NONE: Final = np.empty(0, dtype=np.int64)
_HORIZONS: Final = ((WEEK, BEFORE_WEEK), (DAY, BEFORE_DAY))


class LargeMarket:
    """Slides the sums behind every pair from hour to hour, and computes chosen pairs from their returns.

    The sums say which pairs may have broken; what is told of a pair never depends on their rounding. Rows that miss
    an hour that others have are few as a rule; their pairs are computed anew each hour.
    """

    def __init__(self, rows: int) -> None:
        self._sliding = {window: SlidingProducts(rows) for window in (WEEK, BEFORE_WEEK, BEFORE_DAY)}
        self._hour: int | None = None
        self._panel: ReturnPanel | None = None
        self._day = np.full((rows, DAY.hours), np.nan)
        self._scale = {window: np.full(rows, np.nan) for window in WINDOWS}
        self._columns = dict.fromkeys(WINDOWS, 0)
        self._holed: IntArray = _NONE
        self._line = np.full(rows, -1)
        """Which line of `_apart` a row with missing hours has, else -1."""
        self._apart: dict[Window, Correlations] = {}
        self._limits = {normal: Limits(rows) for _, normal in _HORIZONS}
        self._work = np.empty(BLOCK * rows, "f4")

    def advance(self, panel: ReturnPanel, *, rebuild: bool = False) -> None:
        self._panel = panel
        self._slide(panel, rebuild=rebuild)
        self._columns = {window: sums.columns for window, sums in self._sliding.items()}
        self._day = panel.returns(DAY.hours).copy()
        missing = np.isnan(self._day)
        self._columns[DAY] = int(np.count_nonzero(~missing.all(axis=0)))
        whole = panel.counts == self._columns[WEEK] + self._columns[BEFORE_WEEK]
        self._holed = np.flatnonzero(~whole)
        self._line[:] = -1
        self._line[self._holed] = np.arange(len(self._holed))
        for window, sums in self._sliding.items():
            self._scale[window] = self._scale_of(window, sums.squares, whole)
        self._day[missing] = 0.0
        self._day -= self._day.sum(axis=1, keepdims=True) / max(self._columns[DAY], 1)
        self._day[missing] = 0.0
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
            for window, sums in self._sliding.items():
                _rebuild(window, sums, panel, panel.head - hour)
        while hour < panel.head:
            hour += 1
            for window, sums in self._sliding.items():
                ago = window.ago + panel.head - hour
                sums.slide(panel.returns(1, ago=ago)[:, 0], panel.returns(1, ago=ago + window.hours)[:, 0])
                if sums.worn:
                    _rebuild(window, sums, panel, panel.head - hour)
        self._hour = hour

    def _scale_of(self, window: Window, squares: FloatArray, whole: BoolArray) -> FloatArray:
        """What turns centred sums into correlations; NaN for rows that cannot have one, or have it apart."""
        columns = self._columns[window]
        usable = whole & (squares > FLAT_STD**2 * columns) & (columns >= window.needed)
        return 1.0 / np.sqrt(np.where(usable, squares, np.nan))

    def _of_holed(self, window: Window, panel: ReturnPanel) -> Correlations:
        values = panel.returns(window.hours, ago=window.ago)
        return masked_rows(values, ~np.isnan(values), self._holed, window.needed)

    def pairs(self, rows: IntArray, columns: IntArray) -> Pairs:
        week, before_week, day, before_day = self._at(rows, columns)
        return numbers(rows, columns, Horizon(week, before_week), Horizon(day, before_day))

    def _at(self, rows: IntArray, columns: IntArray) -> list[Correlations]:
        """Correlations of these pairs in each window."""
        if self._panel is None or not len(rows):
            return [Correlations(np.full(len(rows), np.nan), np.zeros(len(rows), np.int64))] * len(WINDOWS)
        returns, spans = self._panel.returns(PANEL_HOURS), [window.span for window in WINDOWS]
        if not len(self._holed):
            found = pearson_pairs(returns, rows, columns, spans)
        else:
            found = np.full((len(WINDOWS), len(rows)), np.nan)
            whole = np.flatnonzero((self._line[rows] < 0) & (self._line[columns] < 0))
            if len(whole):
                found[:, whole] = pearson_pairs(returns, rows[whole], columns[whole], spans)
        return [self._usable(window, r, rows, columns) for window, r in zip(WINDOWS, found, strict=True)]

    def _usable(self, window: Window, r: FloatArray, rows: IntArray, columns: IntArray) -> Correlations:
        """The correlations of whole rows that are usable, and of the others what was computed apart."""
        scale = self._scale[window]
        r[np.isnan(scale[rows] + scale[columns])] = np.nan
        n = np.full(len(rows), self._columns[window])
        if len(self._holed):
            for own, other in ((rows, columns), (columns, rows)):
                apart = np.flatnonzero(self._line[own] >= 0)
                lines = self._line[own[apart]]
                r[apart] = self._apart[window].r[lines, other[apart]]
                n[apart] = self._apart[window].n[lines, other[apart]]
        return Correlations(np.clip(r, -1.0, 1.0), n)

    def candidates(self, settings: CorrelationSettings) -> tuple[IntArray, IntArray]:
        places = [*self._screened(settings)]
        if len(self._holed):
            places.append(self._screened_apart(settings.min_change))
        if not places:
            return _NONE, _NONE
        rows, columns = (np.concatenate(parts) for parts in zip(*places, strict=True))
        return rows, columns

    def _screened(self, settings: CorrelationSettings) -> Iterator[tuple[IntArray, IntArray]]:
        """Pairs of whole rows that may have broken, row < column."""
        for recent, normal in _HORIZONS:
            n = self._columns[recent], self._columns[normal]
            if n[0] < recent.needed or n[1] < normal.needed:
                continue
            limits, scale = self._limits[normal], self._scale[normal]
            limits.keep(self._sliding[normal], scale, n, settings)
            for number, r in enumerate(self._correlations(recent)):
                limits.compare(number, r)
            rows, columns = limits.beyond()
            now = self._now(recent, rows, columns)
            high, low = bounds(self._now(normal, rows, columns), n, settings)
            near = ((now >= high) | (now <= low)) & (rows < columns)
            yield rows[near], columns[near]

    def _now(self, window: Window, rows: IntArray, columns: IntArray) -> FloatArray:
        """The correlations of some pairs of whole rows, as good as sums in single precision are."""
        if window is DAY:
            return np.asarray(np.vecdot(self._day[rows], self._day[columns]))
        scale = self._scale[window]
        return np.asarray(self._sliding[window].at(rows, columns) * scale[rows] * scale[columns])

    def _correlations(self, recent: Window) -> Iterator[SingleArray]:
        """Those of each block in a recent window, in hundredths; the next block takes the place of the last."""
        if recent is DAY:
            day = as_hundredths(self._day)
            across = day.T.copy()
            for start in range(0, len(day), BLOCK):
                yield np.matmul(day[start : start + BLOCK], across[:, start:], out=self._block(start))
            return
        scale = as_hundredths(self._scale[recent])
        for start, stop, products in self._sliding[recent].settled():
            r = np.multiply(products, scale[start:], out=self._block(start))
            r *= scale[start:stop, None]
            yield r

    def _block(self, start: int) -> SingleArray:
        """Room for the block from a row on."""
        rows, columns = min(BLOCK, len(self._line) - start), len(self._line) - start
        return self._work[: rows * columns].reshape(rows, columns)

    def _screened_apart(self, min_change: float) -> tuple[IntArray, IntArray]:
        """The same for rows with missing hours, by the change alone."""
        moved = np.zeros((len(self._holed), len(self._line)), dtype=np.bool_)
        for recent, normal in _HORIZONS:
            moved |= np.abs(self._apart[recent].r - self._apart[normal].r) >= min_change - MARGIN
        lines, others = np.nonzero(moved)
        own = self._holed[lines]
        apart = own != others
        return np.minimum(own, others)[apart], np.maximum(own, others)[apart]

    def matrix(self) -> FloatArray:
        size = len(self._line)
        if self._panel is None:
            return np.full((size, size), np.nan)
        return pearson_matrix(self._panel.returns(WEEK.hours), at_least=WEEK.needed).r

    def known(self) -> BoolArray:
        known = np.zeros(len(self._line), dtype=np.bool_)
        for recent, normal in _HORIZONS:
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


def _rebuild(window: Window, sums: SlidingProducts, panel: ReturnPanel, ago: int) -> None:
    """Sums of a window as they were `ago` hours before the panel's newest."""
    span = panel.returns(PANEL_HOURS, ago=ago)[:, slice(*window.span)]
    missing = np.isnan(span)
    sums.rebuild(np.where(missing, 0.0, span), int(np.count_nonzero(~missing.all(axis=0))))

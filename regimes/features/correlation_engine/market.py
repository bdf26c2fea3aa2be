"""All correlations as of one hour: what is asked of them, and how few symbols answer it."""

from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from regimes.features.correlation_engine.pairs import (
    DAY_HOURS,
    DAY_NEEDED,
    NORMAL_HOURS,
    NORMAL_NEEDED,
    PANEL_HOURS,
    WEEK_HOURS,
    WEEK_NEEDED,
    Horizon,
    Pairs,
    numbers,
)
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import Correlations, FloatArray, IntArray, pearson_matrix
from regimes.windows.panel import ReturnPanel

BoolArray: TypeAlias = npt.NDArray[np.bool_]


class Market(Protocol):
    """What is asked of the correlations of one hour."""

    def advance(self, panel: ReturnPanel, *, rebuild: bool = False) -> None:
        """Go to the panel's newest hour. rebuild: returns up to the last hour may have changed."""
        ...

    def pairs(self, rows: IntArray, columns: IntArray) -> Pairs:
        """The numbers of the given pairs."""
        ...

    def candidates(self, settings: CorrelationSettings) -> tuple[IntArray, IntArray]:
        """Every pair that may be broken by these settings on either window, and perhaps others; row < column."""
        ...

    def matrix(self) -> FloatArray:
        """The 7-day correlation of each row with each, NaN where unknown."""
        ...

    def known(self) -> BoolArray:
        """Whether a row has a change, on either window, with any other."""
        ...

    def flat(self) -> BoolArray:
        """Whether a row has enough data in the last 7 days but did not move."""
        ...


class Window(NamedTuple):
    """Columns of the panel: `hours` of them, the last one `ago` hours before the newest."""

    hours: int
    ago: int
    needed: int

    @property
    def span(self) -> tuple[int, int]:
        """The first of its columns, and the one after its last."""
        return PANEL_HOURS - self.ago - self.hours, PANEL_HOURS - self.ago


WEEK: Final = Window(WEEK_HOURS, 0, WEEK_NEEDED)
BEFORE_WEEK: Final = Window(NORMAL_HOURS, WEEK_HOURS, NORMAL_NEEDED)
DAY: Final = Window(DAY_HOURS, 0, DAY_NEEDED)
BEFORE_DAY: Final = Window(NORMAL_HOURS, DAY_HOURS, NORMAL_NEEDED)
WINDOWS: Final = (WEEK, BEFORE_WEEK, DAY, BEFORE_DAY)


class SmallMarket:
    """Computes every pair anew each hour."""

    def __init__(self, rows: int) -> None:
        self._all = tuple(index.astype(np.int64) for index in np.triu_indices(rows, 1))
        unknown = Correlations(np.full((rows, rows), np.nan), np.zeros((rows, rows), dtype=np.int64))
        self._found = [unknown] * len(WINDOWS)

    def advance(self, panel: ReturnPanel, *, rebuild: bool = False, ago: int = 0) -> None:  # noqa: ARG002 (it always does)
        self._found = [
            pearson_matrix(panel.returns(window.hours, ago=window.ago + ago), at_least=window.needed)
            for window in WINDOWS
        ]

    def pairs(self, rows: IntArray, columns: IntArray) -> Pairs:
        at = (rows, columns)
        week, before_week, day, before_day = (Correlations(found.r[at], found.n[at]) for found in self._found)
        return numbers(rows, columns, Horizon(week, before_week), Horizon(day, before_day))

    def candidates(self, settings: CorrelationSettings) -> tuple[IntArray, IntArray]:  # noqa: ARG002 (all are few)
        return self._all[0], self._all[1]

    def matrix(self) -> FloatArray:
        return self._found[0].r

    def known(self) -> BoolArray:
        week, before_week, day, before_day = (found.r for found in self._found)
        changes = ~np.isnan(week + before_week) | ~np.isnan(day + before_day)
        np.fill_diagonal(changes, val=False)
        return np.asarray(changes.any(axis=1))

    def flat(self) -> BoolArray:
        week = self._found[0]
        return np.asarray(np.isnan(np.diagonal(week.r)) & (np.diagonal(week.n) >= WEEK_NEEDED))

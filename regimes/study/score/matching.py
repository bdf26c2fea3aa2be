"""Which hours an event is compared with: the same hour of the week and volatility, and no event of its kind about."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from regimes.study.score.series import Series, volatility_ratio
from regimes.timeframe import HOUR_MS

if TYPE_CHECKING:
    from regimes.maths.stats import IntArray

STATE_EDGES: Final = (0.5, 0.75, 1.0, 1.5, 2.5)
"""Bounds of the volatility states: the last day's volatility over the last month's. From 1.0 on those of the signal."""
LEAST_MATCHES: Final = 5
LATE_MS: Final = 60_000
"""An event in the first minute of an hour counts from that hour's open: it was told for the bar that had just closed."""
WEEK_HOURS: Final = 168
DAY_HOURS: Final = 24
_MONDAY_HOURS: Final = 72
"""1970-01-01 was a Thursday, 72 hours after its week had begun."""
_FRIDAY_END: Final = 5 * DAY_HOURS


class Calendar:
    """Where each hour of a series belongs.

    exact: number of its stratum by hour of week and volatility state; wide: by hour of day, weekday or weekend, and
    state; both -1 where the state is not known. week: calendar week, counted from 1970.
    """

    def __init__(self, series: Series) -> None:
        hours = series.start_ms // HOUR_MS + np.arange(series.hours, dtype=np.int64) + _MONDAY_HOURS
        ratio = volatility_ratio(series)
        state = np.searchsorted(STATE_EDGES, ratio, side="right").astype(np.int64)
        known = np.isfinite(ratio)
        of_week = hours % WEEK_HOURS
        of_day = of_week % DAY_HOURS + DAY_HOURS * (of_week >= _FRIDAY_END)
        states = len(STATE_EDGES) + 1
        self.exact = np.where(known, of_week * states + state, -1)
        self.wide = np.where(known, of_day * states + state, -1) + np.where(known, WEEK_HOURS * states, 0)
        self.week: IntArray = hours // WEEK_HOURS


def start_place(series: Series, ts_ms: int) -> int:
    """The first hour that begins after an event, from whose open its outcome is measured."""
    return -(-(ts_ms - LATE_MS - series.start_ms) // HOUR_MS)


def is_aftermath(hours: int, events: Sequence[int], horizon_hours: int) -> npt.NDArray[np.bool_]:
    """Whether each of so many hours begins while the outcome of an event is still being measured, shape (hours,).

    Only events before or at that hour count. That one will come is not known then; to leave such hours out as well
    would compare with times chosen for their calm future.
    """
    steps = np.zeros(hours + 1)
    for place in events:
        if place < hours and place + horizon_hours > 0:
            steps[max(place, 0)] += 1
            steps[min(place + horizon_hours, hours)] -= 1
    return np.asarray(np.cumsum(steps)[:hours] > 0)

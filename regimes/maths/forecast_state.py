"""The calibrated volatility state: the forecast without its season against the symbol's own year."""

from typing import Final

import numpy as np

from regimes.maths.stats import FloatArray, IntArray, reached

# A state is left downwards once the score is so far below its threshold (logarithm of volatility), and a day old.
LEAVE_BELOW: Final = 0.33
STAY_HOURS: Final = 24
# Nor does it rise within so many hours of its last change.
RISE_AFTER_HOURS: Final = 6


def score(log_forecast: FloatArray, log_season: FloatArray, year_p90: FloatArray) -> FloatArray:
    """Half the logarithm of the forecast variance in a usual season over the year's 90th percentile; NaN without."""
    there = year_p90 > 0
    log_p90 = np.log(np.where(there, year_p90, 1.0))
    return np.where(there, 0.5 * (log_forecast - log_season - log_p90), np.nan)


def next_level(
    scores: FloatArray, level: IntArray, age_hours: IntArray, thresholds: tuple[float, ...]
) -> IntArray:
    """Level after one closed bar: up after six hours at the old one, down after a day and only with a margin.

    scores: one a row; NaN keeps the level. age_hours: hours since each row's level last changed.
    """
    enter = reached(scores, thresholds)
    hold = reached(scores, [bound - LEAVE_BELOW for bound in thresholds])
    rises = (enter > level) & (age_hours >= RISE_AFTER_HOURS)
    falls = (hold < level) & (age_hours >= STAY_HOURS) & ~np.isnan(scores)
    return np.where(rises, enter, np.where(falls, hold, level))

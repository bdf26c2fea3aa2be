"""What followed each hour of a series: all measured from the open of that hour, forwards only."""

from collections.abc import Callable
from math import sqrt
from typing import Final

import msgspec
import numpy as np

from regimes.alerting.track_record import FUNDING, RETURN, VOLATILITY
from regimes.maths.stats import FloatArray
from regimes.maths.volatility import HOURS_A_DAY
from regimes.study.score.series import Series, month_volatility

LEAST_SHARE: Final = 0.9
"""An outcome needs so many of its hours' bars, the first and the last among them."""
_TINY: Final = 1e-6


class Outcome(msgspec.Struct, frozen=True):
    """Something that can be measured after an event.

    scale: `ratio` to what is usual, or `difference` from it. is_log: values are logarithms, so that the ratio is one
    of geometric means. measure: from a series and a number of hours to one value for each hour, NaN where unknown.
    """

    name: str
    scale: str
    is_log: bool
    measure: Callable[[Series, int], FloatArray]


def volatility(series: Series, hours: int) -> FloatArray:
    """Log of the realised volatility of the next hours over what the last 30 days let expect for so many hours.

    From each hour's high and low (Parkinson, 1980): one hour has one too, which squared returns of closes would only
    know with much noise. In units of the month before, as calm years and wild ones could not be compared otherwise.
    """
    squares = np.log(series.high / series.low) ** 2 / (4 * np.log(2))
    total, count = _window(squares, hours)
    variance = total / np.maximum(count, 1) * hours
    return _known(
        0.5 * np.log(np.maximum(variance, _TINY**2)) - np.log(_expected(series, hours)), series, hours
    )


def price_return(series: Series, hours: int) -> FloatArray:
    """Close of the last of the next hours over the open of the first, less one."""
    later = np.full(series.hours, np.nan)
    if series.hours >= hours:
        later[: series.hours - hours + 1] = series.close[hours - 1 :]
    return _known(later / series.open - 1, series, hours)


def drawdown(series: Series, hours: int) -> FloatArray:
    """How far the lowest low of the next hours lies under the first open, in units of the month's volatility too."""
    lows = np.concatenate([series.low, np.full(hours - 1, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(np.where(np.isfinite(lows), lows, np.inf), hours)
    lowest = windows.min(axis=1) if series.hours else np.empty(0)
    return _known(np.maximum(1 - lowest / series.open, 0.0) / _expected(series, hours), series, hours)


def funding_change(series: Series, hours: int) -> FloatArray:
    """The rate in force after these hours less the rate in force at their begin, for eight hours."""
    later = np.full(series.hours, np.nan)
    later[: max(series.hours - hours, 0)] = series.funding[hours:]
    return later - series.funding


def liquidated(series: Series, hours: int) -> FloatArray:
    """Dollars liquidated in the next hours; unknown where an hour of them was not watched."""
    total, count = _window(series.liquidated_usd, hours)
    return np.where(count == hours, total, np.nan)


OUTCOMES: Final = (
    Outcome(VOLATILITY, "ratio", is_log=True, measure=volatility),
    Outcome(RETURN, "difference", is_log=False, measure=price_return),
    Outcome("drawdown", "ratio", is_log=False, measure=drawdown),
    Outcome(FUNDING, "difference", is_log=False, measure=funding_change),
    Outcome("liquidations", "ratio", is_log=False, measure=liquidated),
)


def _expected(series: Series, hours: int) -> FloatArray:
    """Volatility of so many hours at the pace of the last 30 days."""
    return month_volatility(series) * sqrt(hours / HOURS_A_DAY)


def _window(values: FloatArray, hours: int) -> tuple[FloatArray, FloatArray]:
    """Sum and number of the values of each hour and those after it; hours beyond the end are not known."""
    known = np.isfinite(values)
    begins = np.arange(len(values))
    ends = np.minimum(begins + hours, len(values))
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0.0], np.cumsum(known)])
    return sums[ends] - sums[begins], counts[ends] - counts[begins]


def _known(values: FloatArray, series: Series, hours: int) -> FloatArray:
    """Only where nearly all bars are there and the window ends inside the series."""
    _, count = _window(series.close, hours)
    enough = count >= LEAST_SHARE * hours
    enough &= np.isfinite(series.open)
    last = np.arange(series.hours) + hours - 1
    inside = last < series.hours
    enough &= inside & np.isfinite(series.close[np.minimum(last, max(series.hours - 1, 0))])
    return np.where(enough, values, np.nan)

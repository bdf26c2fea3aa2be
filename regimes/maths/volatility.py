"""Realised volatility of hourly closes, and the regime it stands for."""

from typing import Final, Literal, TypeAlias

import numpy as np

from regimes.maths.stats import FloatArray, IntArray, divide, reached, sum_and_count

ClassifyBy: TypeAlias = Literal["absolute", "ratio", "both"]
HOURS_A_DAY: Final = 24
BASELINE_HOURS: Final = 720
MIN_DAY_HOURS: Final = 20
MIN_BASELINE_HOURS: Final = 480


def log_returns(close: FloatArray) -> FloatArray:
    """Log return of each bar on the bar before, along the last axis; NaN where either is missing.

    close: shape (..., n), oldest first. Returns shape (..., n - 1).
    """
    return np.diff(np.log(close), axis=-1)


def volatility_24h(squared_returns: FloatArray) -> tuple[FloatArray, IntArray]:
    """Square root of the sum of the last 24 hourly squared log returns, and how many of them there are.

    squared_returns: shape (rows, >= 24). A daily figure, a fraction. Hours that are missing add nothing, so
    with gaps it is a lower bound; below MIN_DAY_HOURS it should not be used.
    """
    total, count = sum_and_count(squared_returns[:, -HOURS_A_DAY:])
    return np.sqrt(total), count


def baseline_30d(squared_returns: FloatArray) -> tuple[FloatArray, IntArray]:
    """Square root of the mean daily realised variance over 720 hours, and how many of these there are.

    squared_returns: shape (rows, >= 720). The daily variance is 24 times the mean of the squared hourly log
    returns that are there, so gaps do not lower it; below MIN_BASELINE_HOURS it should not be used. NaN
    when there is none.
    """
    total, count = sum_and_count(squared_returns[:, -BASELINE_HOURS:])
    return baseline(total, count), count


def baseline(total: FloatArray, count: IntArray) -> FloatArray:
    """Root of the mean daily variance, from the sum of squared hourly returns and how many there are."""
    found: FloatArray = np.sqrt(HOURS_A_DAY * divide(total, count))
    return found


def ratio(volatility: FloatArray, baseline: FloatArray) -> FloatArray:
    """Volatility over its baseline; NaN where the baseline is zero or missing."""
    return divide(volatility, baseline)


def levels(
    volatility: FloatArray,
    ratios: FloatArray,
    *,
    absolute: tuple[float, ...],
    relative: tuple[float, ...],
    classify_by: ClassifyBy,
    factor: float = 1.0,
) -> IntArray:
    """How many thresholds, each times `factor`, are reached; lower bounds are inclusive.

    absolute: ascending thresholds of volatility. relative: of its ratio to the baseline. `both` takes the
    lower of the two counts. A value that is missing reaches none.
    """
    by_absolute = reached(volatility, [bound * factor for bound in absolute])
    by_ratio = reached(ratios, [bound * factor for bound in relative])
    if classify_by == "absolute":
        return by_absolute
    return by_ratio if classify_by == "ratio" else np.minimum(by_absolute, by_ratio)

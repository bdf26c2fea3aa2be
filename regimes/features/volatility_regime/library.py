"""The volatility regime of a series, without a service."""

from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from regimes.errors import DataError
from regimes.features.volatility_regime.settings import REGIMES, VolatilitySettings
from regimes.maths import volatility
from regimes.maths.stats import FloatArray
from regimes.maths.volatility import BASELINE_HOURS, MIN_BASELINE_HOURS, MIN_DAY_HOURS, ClassifyBy
from regimes.timeframe import HOUR_MS

Prices: TypeAlias = npt.ArrayLike | pl.Series


class Classification(msgspec.Struct, frozen=True):
    """The regime at the end of a series, without memory; None where there are too few bars."""

    vol_regime: str | None
    volatility_24h: float | None
    baseline_30d: float | None
    ratio: float | None
    n: int
    n_24h: int


def classify(
    close: Prices,
    open_ms: npt.ArrayLike | pl.Series | None = None,
    *,
    settings: VolatilitySettings | None = None,
    classify_by: ClassifyBy | None = None,
) -> Classification:
    """Classify the newest of a series of closed hourly bars.

    close: prices, oldest first, NaN or null where a bar is missing; needs 480 returns within the last 720
    hours and 20 within the last 24. open_ms: open time of each bar, which puts bars with gaps between them
    on the hourly grid. classify_by: overrides the one in settings. Raises DataError for prices that are not
    positive and times that do not ascend.

    >>> import polars as pl
    >>> frame = pl.DataFrame({"close": [100.0, 101.0] * 372})
    >>> classify(frame["close"], classify_by="absolute").vol_regime
    'HIGH_VOL'
    >>> classify([100.0, 101.0]).vol_regime is None
    True
    """
    rules = settings or VolatilitySettings()
    if classify_by is not None:
        rules = rules.model_copy(update={"classify_by": classify_by})
    prices = _on_grid(np.asarray(close, dtype=np.float64), open_ms)[-(BASELINE_HOURS + 1) :]
    squares = np.full((1, BASELINE_HOURS), np.nan)
    if len(prices) > 1:
        squares[0, 1 - len(prices) :] = volatility.log_returns(prices) ** 2
    vol, n_24h = volatility.volatility_24h(squares)
    base, n = volatility.baseline_30d(squares)
    ready = n[0] >= MIN_BASELINE_HOURS and n_24h[0] >= MIN_DAY_HOURS
    ratios = volatility.ratio(vol, base)
    return Classification(
        vol_regime=REGIMES[rules.levels(vol, ratios)[0]] if ready else None,
        volatility_24h=_number(vol[0]) if ready else None,
        baseline_30d=_number(base[0]) if ready else None,
        ratio=_number(ratios[0]) if ready else None,
        n=int(n[0]),
        n_24h=int(n_24h[0]),
    )


def _on_grid(prices: FloatArray, open_ms: npt.ArrayLike | pl.Series | None) -> FloatArray:
    """One price an hour, NaN where there is none."""
    if np.any(prices <= 0) or np.any(np.isinf(prices)):
        raise DataError("close must be positive and finite, or NaN where a bar is missing")
    if open_ms is None or not len(prices):
        return prices
    hours = np.asarray(open_ms, dtype=np.int64) // HOUR_MS
    if hours.shape != prices.shape or np.any(np.diff(hours) <= 0):
        raise DataError(
            "open_ms must ascend by at least an hour and have one time a price"
            f" (got {len(hours)} times, {len(prices)} prices)"
        )
    hours = hours - hours[-1] + BASELINE_HOURS
    grid = np.full(BASELINE_HOURS + 1, np.nan)
    grid[hours[hours >= 0]] = prices[hours >= 0]
    return grid


def _number(value: float) -> float | None:
    """A plain float, None for NaN."""
    return None if np.isnan(value) else float(value)

"""The regimes at the end of a series, without a service."""

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from regimes.errors import DataError
from regimes.features.base import Universe
from regimes.features.multi_timeframe.feature import MultiTimeframe
from regimes.features.multi_timeframe.reading import RegimeReading
from regimes.features.multi_timeframe.settings import RegimesSettings
from regimes.timeframe import HOUR_MS
from regimes.windows.inbox import Batch

Values: TypeAlias = npt.ArrayLike | pl.Series


def classify(
    close: Values,
    volume: Values,
    open_ms: Values,
    *,
    timeframes: Sequence[str] = ("1h", "4h", "1d", "1w"),
    settings: RegimesSettings | None = None,
) -> RegimeReading:
    """Reading at the end of a series of closed hourly bars, hysteresis over its last 48 hours included.

    close: prices; volume: base volume; open_ms: open time of each bar, ms UTC, ascending, gaps allowed.
    All of one length, NaN nowhere; 21 bars of the longest timeframe make every timeframe speak. Raises
    DataError for values that are missing, not positive (close) or negative (volume).
    """
    prices, volumes = (np.asarray(values, dtype=np.float64) for values in (close, volume))
    times = np.asarray(open_ms, dtype=np.int64)
    if any(values.shape != times.shape for values in (prices, volumes)) or np.any(np.diff(times) < HOUR_MS):
        raise DataError("close, volume and open_ms must be of one length, and open_ms ascend by hours")
    if not (np.all(prices > 0) and np.all(volumes >= 0) and np.all(np.isfinite((prices, volumes)))):
        raise DataError("close must be positive, volume not negative, both finite; leave missing bars out")
    feature = MultiTimeframe(settings or RegimesSettings(), Universe(("series",), tuple(timeframes)))
    feature.load(Batch(np.zeros(len(times), dtype=np.int64), times, prices, volumes))
    return cast("RegimeReading", feature.readings()[0])

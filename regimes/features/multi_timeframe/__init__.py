"""Regime of each symbol on several timeframes, and the one most of them share.

As a library:

>>> import numpy as np
>>> hours = np.arange(24 * 7 * 22)
>>> close = 100 + np.sin(hours / 50)
>>> volume = np.full(hours.shape, 10.0)
>>> found = classify(close, volume, hours * 3_600_000 + 4 * 86_400_000)
>>> found.primary_regime, found.timeframes_ok
('SPOT_NEUTRAL', 4)
"""

from regimes.features.multi_timeframe.feature import MultiTimeframe
from regimes.features.multi_timeframe.library import classify
from regimes.features.multi_timeframe.reading import Provisional, RegimeReading, TimeframeReading
from regimes.features.multi_timeframe.settings import RegimesSettings

__all__ = [
    "MultiTimeframe",
    "Provisional",
    "RegimeReading",
    "RegimesSettings",
    "TimeframeReading",
    "classify",
]

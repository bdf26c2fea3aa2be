"""Volatility regime of each symbol: how much it moved in 24 h, absolutely and against its own 30 days.

As a library:

>>> import numpy as np
>>> close = 100 * np.exp(np.cumsum(np.tile([0.004, -0.004], 372)))
>>> found = classify(close)
>>> found.vol_regime, round(found.volatility_24h, 4), round(found.ratio, 2)
('HIGH_VOL', 0.0196, 1.0)
"""

from regimes.features.volatility_regime.feature import VolatilityReading, VolatilityRegime
from regimes.features.volatility_regime.library import Classification, classify
from regimes.features.volatility_regime.settings import REGIMES, VolatilitySettings

__all__ = [
    "REGIMES",
    "Classification",
    "VolatilityReading",
    "VolatilityRegime",
    "VolatilitySettings",
    "classify",
]

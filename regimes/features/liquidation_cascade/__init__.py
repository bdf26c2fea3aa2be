"""Liquidation cascades: how much is being liquidated, how fast, and where it stands out.

The feature is `LiquidationCascade`; `velocity`, `severity` and `clusters` are the same formulas on arrays.

>>> import numpy as np
>>> from regimes.features import liquidation_cascade
>>> minutes = np.arange(60) * 60_000
>>> fast = liquidation_cascade.velocity(minutes, np.full(60, 40_000.0), now_ms=59 * 60_000)
>>> fast, liquidation_cascade.severity(total_usd=2_400_000, velocity_usd_per_hour=fast)
(2400000.0, 5)
"""

from regimes.features.liquidation_cascade.feature import LiquidationCascade
from regimes.features.liquidation_cascade.reading import (
    CascadeReading,
    MarketCascadeReading,
    SymbolCascadeReading,
)
from regimes.features.liquidation_cascade.settings import CascadeSettings
from regimes.maths.cascade import label, severity, severity_bounds, velocity
from regimes.maths.zones import Zone, clusters, walls

__all__ = [
    "CascadeReading",
    "CascadeSettings",
    "LiquidationCascade",
    "MarketCascadeReading",
    "SymbolCascadeReading",
    "Zone",
    "clusters",
    "label",
    "severity",
    "severity_bounds",
    "velocity",
    "walls",
]

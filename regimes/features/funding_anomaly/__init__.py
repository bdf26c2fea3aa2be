"""Funding anomalies: how unusual the settled funding rate is, against 30 days of its own.

The feature is `FundingAnomaly`; the rest are the same measures on arrays.

>>> from regimes.features import funding_anomaly
>>> rates = [1e-5] * 45 + [3e-5] * 45
>>> round(funding_anomaly.z_score(rates), 3), funding_anomaly.percentile(rates)
(0.994, 75.0)
"""

from regimes.features.funding_anomaly.arrays import (
    percentile,
    persistence,
    rate_8h,
    reversal,
    run_length,
    z_robust,
    z_score,
)
from regimes.features.funding_anomaly.feature import FundingAnomaly
from regimes.features.funding_anomaly.reading import FundingReading
from regimes.features.funding_anomaly.settings import FundingSettings

__all__ = [
    "FundingAnomaly",
    "FundingReading",
    "FundingSettings",
    "percentile",
    "persistence",
    "rate_8h",
    "reversal",
    "run_length",
    "z_robust",
    "z_score",
]

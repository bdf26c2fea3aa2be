"""Funding rates from the premium of a perpetual, as Binance defines them."""

from typing import Final

import numpy as np

from regimes.feeds.simulator.source import FloatArray

_INTEREST_8H: Final = 0.0001
_DAMPER: Final = 0.0005
_CAP: Final = 0.02


def funding_rate(premium: FloatArray, interval_hours: int) -> float:
    """The rate that an interval's premiums settle at, a fraction of notional per interval.

    premium: over the index, as sampled in the interval so far, shape (n,), n >= 1.
    (average premium + clamp(interest - average premium, +-0.05 %)) x interval / 8 h, so that a small premium settles at
    the interest of one basis point exactly; capped at +-2 %.
    """
    average = float(np.mean(premium))
    rate = average + min(max(_INTEREST_8H - average, -_DAMPER), _DAMPER)
    capped = min(max(rate * interval_hours / 8, -_CAP), _CAP)
    return round(capped, 8)

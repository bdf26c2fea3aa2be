"""Numbers of `p_persist_24h`, fitted on hourly bars of 14 spot symbols from 2020-01-01 to the day before 2025-02-01.

Written by `python -m bench.signals --fit`; see docs/signals.md for what they are and how good they are.
"""

from typing import Final

TIMEFRAMES: Final = ("1h", "4h", "1d", "1w")

# fmt: off
WEIGHTS: Final = (
    0.0, 0.0, 0.0, -1.0582, 0.0, -0.4648, -0.7465, -0.3068,
    0.0, -0.592, -0.439, 0.1391, 1.0049, 2.0391, 2.6598, 3.504,
    0.0, 0.0, 0.0, -0.0317, 0.0, 0.4899, 0.107, 0.3052,
    0.0, 0.9809, 0.4656, 0.4385, 1.0821, 1.0229, 0.8519, 1.0096,
    0.0639, 0.0394,
)
"""Of `regimes.maths.spot_regime.persistence`."""

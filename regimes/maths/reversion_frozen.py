"""Numbers of funding reversion, fitted on ADA, BTC, ETH, LTC, SOL, XRP, 1961 days to the day before 2025-02-01.

Written by `python -m bench.signals --fit`; see docs/signals.md for what they are and how good they are.
"""

from typing import Final

# fmt: off
WEIGHTS: Final = (
    (1.5925, -0.4851, -0.8842, -0.0718, 1.3923, -0.2566),
    (3.5312, -0.3761, -0.8651, -0.1104, 1.1757, -0.46),
)
"""Of `regimes.maths.reversion.TERMS`, for 24 and 72 hours."""

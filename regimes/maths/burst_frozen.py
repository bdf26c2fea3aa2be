"""Numbers of bursts of liquidations, fitted on a simulated market.

Written by `python -m bench.signals --fit`; see docs/signals.md for what they are and how good they are.
"""

from typing import Final

from regimes.maths.calibration import Table

# fmt: off
THRESHOLD: Final = (6.062, 0.598)
"""Evidence reached once a symbol-week by chance: the first, and the second times log liquidations an hour."""
LEAST_THRESHOLD: Final = 4.0
CONFIDENCE: Final = Table(
    (1.062, 1.211, 1.414, 1.925),
    (0.167, 0.3, 0.733, 1.0),
)
"""Share of alarms that were cascades, by the highest evidence over the threshold."""

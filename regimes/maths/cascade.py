"""How fast positions are being liquidated, and how severe that is."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import truediv
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

VELOCITY_HOURS: Final = (1, 4, 12, 24)
"""Trailing windows whose fastest is the velocity."""
WORST: Final = 5
CASCADE_THRESHOLD_USD: Final = 500_000.0
CRITICAL_VELOCITY: Final = 200_000.0
# Severity 3 begins at the critical velocity; 2, 4 and 5 stand in these proportions to it.
_PROPORTIONS: Final = (0.5, 1.0, 2.0, 3.0)
_CENT_HOURS: Final = tuple(100 * hours for hours in VELOCITY_HOURS)
_HOUR_MS: Final = 3_600_000
_LABELS: Final = (None, "INFO", "INFO", "WARNING", "CRITICAL", "CRITICAL")


def velocity(ts_ms: IntArray, usd: FloatArray, now_ms: int) -> float:
    """The largest of total(w) / w over trailing windows w of 1, 4, 12 and 24 h, in USD an hour.

    ts_ms, usd: shape (n,), one entry a liquidation, any order; counted to the cent. A window is
    `(now - w, now]`.

    >>> import numpy as np
    >>> hours = np.arange(1, 25) * 3_600_000
    >>> velocity(hours, np.full(24, 100_000.0), now_ms=24 * 3_600_000)
    100000.0
    >>> velocity(hours, np.where(hours > 14 * 3_600_000, 500_000.0, 0.0), now_ms=24 * 3_600_000)
    500000.0
    """
    times, cents = np.asarray(ts_ms), np.rint(np.asarray(usd) * 100).astype(np.int64)
    sums = [
        int(cents[(times > now_ms - hours * _HOUR_MS) & (times <= now_ms)].sum()) for hours in VELOCITY_HOURS
    ]
    return velocity_of(sums)


def velocity_of(cents: Sequence[int]) -> float:
    """The velocity, in USD an hour, from the sums over 1, 4, 12 and 24 h, in cents."""
    fastest: float = max(map(truediv, cents, _CENT_HOURS))
    return fastest


def severity_bounds(critical_velocity: float = CRITICAL_VELOCITY) -> tuple[float, ...]:
    """Velocities from which severity is 2, 3, 4 and 5, in USD an hour.

    >>> severity_bounds(200_000.0)
    (100000.0, 200000.0, 400000.0, 600000.0)
    """
    return tuple(critical_velocity * share for share in _PROPORTIONS)


def severity(
    total_usd: float,
    velocity_usd_per_hour: float,
    *,
    threshold_usd: float = CASCADE_THRESHOLD_USD,
    critical_velocity: float = CRITICAL_VELOCITY,
) -> int:
    """From 0 (no cascade: the 24 h total is not above the threshold) to 5, by velocity.

    >>> severity(2_400_000, 100_000), severity(5_000_000, 500_000), severity(2_000_000, 2_000_000), severity(500_000, 1e9)
    (2, 4, 5, 0)
    """
    return severity_within(
        total_usd, velocity_usd_per_hour, threshold_usd, severity_bounds(critical_velocity)
    )


def severity_within(
    total_usd: float, velocity_usd_per_hour: float, threshold_usd: float, bounds: tuple[float, ...]
) -> int:
    """The same with the velocities from which severity is 2, 3, 4 and 5 given."""
    return 1 + bisect_right(bounds, velocity_usd_per_hour) if total_usd > threshold_usd else 0


def label(level: int) -> str | None:
    """The word for a severity: INFO for 1 and 2, WARNING for 3, CRITICAL for 4 and 5, None for 0."""
    return _LABELS[level]

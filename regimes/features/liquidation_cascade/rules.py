from math import ceil, floor
from operator import sub

import msgspec

from regimes.features.liquidation_cascade.settings import CascadeSettings
from regimes.maths import cascade
from regimes.timeframe import HOUR_MS, MINUTE_MS


class Rules(msgspec.Struct, frozen=True):
    """The settings as a tracker uses them.

    bounds: velocities from which severity is 2, 3, 4 and 5, USD an hour. least_cents: for each severity from 1 on, the
    sums over 1, 4, 12 and 24 h of which one is needed for it; more_than_cents: the sum over 24 h that all need besides.
    """

    threshold_usd: float
    bounds: tuple[float, ...]
    least_cents: tuple[tuple[int, ...], ...]
    more_than_cents: int
    alert_from: int
    intensity_ms: int
    calm_fraction: float
    calm_ms: int
    hours_needed: int
    relative_from: int | None

    @classmethod
    def of(cls, settings: CascadeSettings, multiple: float = 1.0) -> "Rules":
        """The rules for one symbol, or with `multiple` for the market."""
        threshold_usd = settings.cascade_threshold_usd * multiple
        bounds = cascade.severity_bounds(settings.critical_velocity * multiple)
        return cls(
            threshold_usd=threshold_usd,
            bounds=bounds,
            least_cents=tuple(
                tuple(ceil(velocity * 100 * hours) for hours in cascade.VELOCITY_HOURS)
                for velocity in (0.0, *bounds)
            ),
            more_than_cents=floor(threshold_usd * 100),
            alert_from=settings.alert_from_severity,
            intensity_ms=settings.intensity_minutes * MINUTE_MS,
            calm_fraction=settings.calm_fraction,
            calm_ms=settings.calm_minutes * MINUTE_MS,
            hours_needed=settings.relative_hours_needed,
            relative_from=settings.alert_from_relative,
        )

    def severity(self, cents: list[int]) -> int:
        """Severity from the sums over 1, 4, 12 and 24 h."""
        return cascade.severity_within(
            cents[-1] / 100, cascade.velocity_of(cents), self.threshold_usd, self.bounds
        )

    def velocity_for(self, severity: int) -> float:
        """The velocity from which a severity begins; 0 for severity 1."""
        return self.bounds[severity - 2] if severity > 1 else 0.0

    def missing(self, cents: list[int], severity: int) -> int:
        """Cents that must still come, at the least, before these sums can reach `severity`."""
        pace: int = min(map(sub, self.least_cents[severity - 1], cents))
        return max(self.more_than_cents + 1 - cents[-1], pace)

    @property
    def alert_velocity(self) -> float:
        """The velocity from which it alerts, USD an hour."""
        return self.velocity_for(max(2, self.alert_from))

    def cents_at(self, velocity: float) -> float:
        """The sum over the intensity's minutes at a velocity in USD an hour."""
        return velocity * 100 * self.intensity_ms / HOUR_MS

    def per_hour(self, cents: int) -> float:
        """Intensity in USD an hour, from the sum over the intensity's minutes."""
        return cents * HOUR_MS / (100 * self.intensity_ms)

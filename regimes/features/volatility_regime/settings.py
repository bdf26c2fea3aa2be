"""The settings of the volatility regime, and the regimes they divide."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from regimes.events import Severity
from regimes.features.base import FeatureSettings
from regimes.maths import volatility
from regimes.maths.stats import FloatArray, IntArray

REGIMES: Final = ("STABLE", "HIGH_VOL", "EXPLOSIVE", "EXTREME")
SEVERITIES: Final = (None, Severity.INFO, Severity.WARNING, Severity.CRITICAL)


class VolatilitySettings(FeatureSettings):
    """Which volatility is which state, and how long a state is kept."""

    stable_threshold: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="24 h realised volatility (fraction) from which HIGH_VOL begins; lower = more alerts",
    )
    high_vol_threshold: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="24 h realised volatility (fraction) from which EXPLOSIVE begins; lower = more alerts",
    )
    explosive_threshold: float = Field(
        default=0.10,
        gt=0,
        lt=5,
        description="24 h realised volatility (fraction) from which EXTREME begins; lower = more alerts",
    )
    stable_ratio: float = Field(
        default=1.0,
        gt=0,
        description="volatility over its 30-day baseline from which HIGH_VOL begins; lower = more alerts",
    )
    high_vol_ratio: float = Field(
        default=1.5,
        gt=0,
        description="volatility over its 30-day baseline from which EXPLOSIVE begins; lower = more alerts",
    )
    explosive_ratio: float = Field(
        default=2.5,
        gt=0,
        description="volatility over its 30-day baseline from which EXTREME begins; lower = more alerts",
    )
    classify_by: Literal["absolute", "ratio", "both"] = Field(
        default="both",
        description="which thresholds decide: absolute, ratio, or both (the lower state; fewest alerts)",
    )
    leave_factor: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="a state is left only below this share of its threshold; lower = longer states, fewer alerts",
    )
    min_dwell_hours: float = Field(
        default=6.0,
        ge=0,
        description="hours before a state may be left downwards; lower = more changes",
    )
    refit_forecast: bool = Field(
        default=True,
        description="whether the forecast goes on learning from these symbols; changes no alert",
    )
    calibrated_in_events: bool = Field(
        default=False,
        description="whether events say the calibrated state and probabilities too; alerting.volatility_basis = both sets "
        "it; changes no alert by itself",
    )
    risk_multipliers: tuple[float, float, float, float] = Field(
        default=(0.7, 1.2, 1.8, 2.5),
        description="risk multiplier shown in STABLE, HIGH_VOL, EXPLOSIVE, EXTREME; changes no alert",
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for names in (
            ("stable_threshold", "high_vol_threshold", "explosive_threshold"),
            ("stable_ratio", "high_vol_ratio", "explosive_ratio"),
        ):
            values = [getattr(self, name) for name in names]
            if not values[0] < values[1] < values[2]:
                raise ValueError(f"{' < '.join(names)} must hold (got {', '.join(map(str, values))})")
        return self

    @property
    def absolute(self) -> tuple[float, float, float]:
        """Thresholds of the volatility itself, ascending."""
        return (self.stable_threshold, self.high_vol_threshold, self.explosive_threshold)

    @property
    def relative(self) -> tuple[float, float, float]:
        """Thresholds of its ratio to the baseline, ascending."""
        return (self.stable_ratio, self.high_vol_ratio, self.explosive_ratio)

    def levels(self, vol: FloatArray, ratios: FloatArray, *, leaving: bool = False) -> IntArray:
        """Index into REGIMES, by the thresholds for entering, or by the lower ones for leaving."""
        return volatility.levels(
            vol,
            ratios,
            absolute=self.absolute,
            relative=self.relative,
            classify_by=self.classify_by,
            factor=self.leave_factor if leaving else 1.0,
        )

from typing import Self

from pydantic import Field, model_validator

from regimes.features.base import FeatureSettings
from regimes.maths.anomaly import ANOMALY_Z


class FundingSettings(FeatureSettings):
    """When a funding rate is unusual, and when it is so no longer."""

    anomaly_z_threshold: float = Field(
        default=ANOMALY_Z,
        gt=0,
        description="standard deviations from the 30-day mean that make an anomaly; lower = more alerts",
    )
    watch_z_threshold: float = Field(
        default=1.0,
        gt=0,
        description="standard deviations from which funding is watched, and below which an anomaly is over; "
        "lower = anomalies last longer",
    )
    critical_z_threshold: float = Field(
        default=3.0,
        gt=0,
        description="standard deviations from which an anomaly is CRITICAL; lower = more critical alerts",
    )
    robust_z_threshold: float = Field(
        default=3.0,
        gt=0,
        description="robust standard deviations that are shown as an alarm; it sends no alert",
    )
    window_days: float = Field(
        default=30.0,
        ge=10,
        le=365,
        description="days of settlements that a rate is compared with; longer = slower to forget",
    )
    settlements_needed: int = Field(
        default=30,
        ge=3,
        description="settlements in the window before there is a z-score; lower = earlier, less certain",
    )
    reversal_within_hours: float = Field(
        default=72.0,
        gt=0,
        description="hours after an extreme in which a change of sign is a reversal; longer = more reversals",
    )
    late_minutes: float = Field(
        default=30.0, gt=0, description="minutes a settlement may be overdue before the reading is stale"
    )
    forget_after_hours: float = Field(
        default=24.0,
        gt=0,
        description="hours a settlement may be overdue before open events are closed as out of sight",
    )

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        if not self.watch_z_threshold < self.anomaly_z_threshold <= self.critical_z_threshold:
            raise ValueError(
                "watch_z_threshold < anomaly_z_threshold <= critical_z_threshold must hold "
                f"(got {self.watch_z_threshold}, {self.anomaly_z_threshold}, {self.critical_z_threshold})"
            )
        return self

"""The settings of the multi-timeframe regime."""

from typing import Self

from pydantic import Field, model_validator

from regimes.features.base import FeatureSettings


class RegimesSettings(FeatureSettings):
    """What heats a timeframe up, and when the timeframes agree."""

    heat_enter: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="heat (0 to 1) from which a timeframe leaves neutral; lower = more alerts",
    )
    heat_leave: float = Field(
        default=0.35,
        gt=0,
        le=1,
        description="heat below which it returns to neutral, at most heat_enter; lower = longer states, fewer alerts",
    )
    price_z_enter: float = Field(
        default=0.5,
        gt=0,
        description="price distance from its 20-bar mean, in standard deviations, that gives a direction; lower = more alerts",
    )
    price_z_leave: float = Field(
        default=0.35,
        gt=0,
        description="distance below which the direction is lost, at most price_z_enter; lower = longer states, fewer alerts",
    )
    price_weight: float = Field(
        default=0.3, ge=0, le=1, description="weight of |price_z| in heat; lower = fewer alerts"
    )
    volume_weight: float = Field(
        default=0.2, ge=0, le=1, description="weight of a positive volume_z in heat; lower = fewer alerts"
    )
    alert_confidence: float = Field(
        default=0.70,
        gt=0,
        le=1,
        description="share of the known timeframes that must agree before a change alerts; lower = more alerts",
    )
    alert_min_timeframes: int = Field(
        default=2,
        ge=1,
        description="timeframes that must be known before a change alerts; lower = alerts sooner after a listing",
    )
    completeness: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="share of its hours a longer bar needs to count; lower = gaps in the data silence less, blur more",
    )

    @model_validator(mode="after")
    def _leave_below_enter(self) -> Self:
        for leave, enter in (("heat_leave", "heat_enter"), ("price_z_leave", "price_z_enter")):
            if getattr(self, leave) > getattr(self, enter):
                raise ValueError(
                    f"{leave} must be <= {enter} (got {getattr(self, leave)} > {getattr(self, enter)})"
                )
        return self

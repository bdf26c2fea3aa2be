from pydantic import Field

from regimes.features.base import FeatureSettings
from regimes.maths.cascade import CASCADE_THRESHOLD_USD, CRITICAL_VELOCITY


class CascadeSettings(FeatureSettings):
    """What makes a cascade, when it is over, and where support and resistance are seen."""

    cascade_threshold_usd: float = Field(
        default=CASCADE_THRESHOLD_USD,
        gt=0,
        description="USD liquidated in 24 h above which there is a cascade; lower = more cascades",
    )
    critical_velocity: float = Field(
        default=CRITICAL_VELOCITY,
        gt=0,
        description="USD an hour from which severity is 3; severity 2 begins at half of it, 4 at twice, "
        "5 at three times; lower = more severe, more alerts",
    )
    market_multiple: float = Field(
        default=1.0,
        ge=1,
        description="times both thresholds for the whole market (symbol ALL); higher = fewer market alerts",
    )
    alert_from_severity: int = Field(
        default=3,
        ge=1,
        le=5,
        description="lowest severity (1 to 5) that is worth an event; lower = more alerts",
    )
    intensity_minutes: int = Field(
        default=10,
        ge=1,
        le=59,
        description="minutes over which the present intensity of an episode is measured; longer = episodes end later",
    )
    calm_fraction: float = Field(
        default=0.25,
        gt=0,
        lt=1,
        description="share of the peak intensity below which an episode is dying down; higher = ends sooner",
    )
    calm_minutes: int = Field(
        default=10, ge=0, description="minutes it must stay below that share before the episode is closed"
    )
    minutes_needed: int = Field(
        default=60,
        ge=1,
        le=1440,
        description="minutes that must have been watched in the last 24 h before the reading stops warming",
    )
    alert_from_relative: int | None = Field(
        default=None,
        ge=2,
        le=5,
        description="severity against the symbol's own 30 days from which a cascade is worth an event however few dollars "
        "it is; where nothing stands here, only alerting.cascade_basis = relative sets it; lower = more events",
    )
    relative_hours_needed: int = Field(
        default=24,
        ge=3,
        le=720,
        description="watched hours before a symbol's cascades are also judged against its own hours; until then dollars "
        "alone decide; lower = sooner, less certain",
    )
    wall_multiple: float = Field(
        default=5.0,
        gt=1,
        description="times the usual depth of its side that makes a level of the order book a wall; lower = more zones",
    )
    zone_half_life_hours: float = Field(
        default=24.0, gt=0, description="hours in which a liquidation loses half its weight in the zones"
    )
    zone_width: float = Field(
        default=0.002,
        gt=0,
        lt=0.1,
        description="width of a zone as a fraction of price (0.002 is 0.2 %); wider = fewer zones",
    )
    zone_min_share: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="smallest share of a symbol's liquidated notional that makes a zone; lower = more zones",
    )
    zones_shown: int = Field(default=5, ge=1, le=50, description="zones shown on each side of the price")
    symbol_capacity: int = Field(
        default=100_000,
        ge=1000,
        le=2_000_000,
        description="liquidations of one symbol kept in 24 h; beyond it the oldest are dropped",
    )
    market_capacity: int = Field(
        default=1_000_000,
        ge=1000,
        le=2_000_000,
        description="liquidations of all symbols kept in 24 h; beyond it the oldest are dropped",
    )

"""Settings of the alert policy."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from regimes.events import Severity
from regimes.timeframe import MINUTE_MS

SeverityName = Literal["INFO", "WARNING", "CRITICAL"]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class AlertingSettings(BaseModel):
    """Which events become messages, and how many."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    minimum_severity: Annotated[SeverityName, BeforeValidator(_upper)] = Field(
        default="WARNING",
        description="Least severity that is sent: INFO, WARNING or CRITICAL; lower = more messages.",
    )
    cooldown_minutes: float = Field(
        default=1440.0,
        ge=0,
        description="After a message, minutes in which a new episode of the same type and symbol is not sent "
        "unless it is more severe; higher = fewer messages.",
    )
    funding_cooldown_minutes: float = Field(
        default=4320.0,
        ge=0,
        description="The same for funding, which settles every few hours and often swings to and fro for days; higher = "
        "fewer messages.",
    )
    system_cooldown_minutes: float = Field(
        default=180.0,
        ge=0,
        description="The same for what the program tells of itself; higher = fewer messages.",
    )
    cascade_basis: Literal["absolute", "relative", "both", "burst"] = Field(
        default="both",
        description="What makes a liquidation cascade worth a message: absolute (dollars alone), relative (unusual for that "
        "symbol, however few dollars, see cascade_relative_severity), both together (fewest messages), or burst (dollars, and "
        "unusual or in a burst when it begins or gets worse). A change from or to relative takes effect with a restart.",
    )
    cascade_relative_severity: int = Field(
        default=5,
        ge=1,
        le=5,
        description="With basis relative or both, least severity of a cascade against the symbol's own 30 days: 2, 3, 4 and 5 are "
        "its busiest 10, 3, 1 and 0.3 % of hours; lower = more messages.",
    )
    volatility_basis: Literal["plain", "both"] = Field(
        default="plain",
        description="What makes a volatility regime worth a message: plain (vol_regime alone), or both (vol_regime_calibrated "
        "is as severe when it begins or gets worse; fewer messages). A change takes effect with a restart.",
    )
    funding_basis: Literal["plain", "both"] = Field(
        default="plain",
        description="What makes a funding anomaly worth a message: plain (z_score alone), or both (robust_alarm too when it "
        "begins or gets worse; fewer messages).",
    )
    burst_count: int = Field(
        default=4,
        ge=2,
        description="From this many new episodes of one type within burst_seconds on, they become one message.",
    )
    burst_seconds: float = Field(
        default=30.0,
        gt=0,
        le=300,
        description="Length of that window in seconds; the message leaves when it ends.",
    )
    repeat_hours: float = Field(
        default=24.0,
        ge=0,
        description="A CRITICAL episode that stays open is sent again after so many hours, then after twice as many, and "
        "so on; 0 = never; higher = fewer messages.",
    )
    daily_cap: int = Field(
        default=40,
        ge=0,
        description="Messages an endpoint gets in 24 h before all but CRITICAL ones are held back; a last message "
        "says so; 0 = no cap.",
    )
    digest: bool = Field(
        default=False, description="Send what was below minimum_severity once a day in one message."
    )
    digest_hour_utc: int = Field(
        default=8, ge=0, le=23, description="Hour of the day, UTC, in which the digest leaves."
    )

    def cooldown_ms(self, source: str) -> int:
        """The cooldown of events of one source, such as `FUNDING`."""
        special = {"FUNDING": self.funding_cooldown_minutes, "SYSTEM": self.system_cooldown_minutes}
        return int(special.get(source, self.cooldown_minutes) * MINUTE_MS)

    @property
    def minimum(self) -> Severity:
        """The least severity as a rank."""
        return Severity[self.minimum_severity]


class AdminSettings(BaseModel):
    """When the service speaks of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    feed_stale_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds a stream may be without connection before SYSTEM_FEED_STALE; lower = sooner, more often.",
    )
    gap_seconds: float = Field(
        default=60.0,
        ge=0,
        description="Least length in seconds of a gap in the liquidations that SYSTEM_FEED_GAP tells once it has ended.",
    )
    clock_skew_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Seconds between this machine's clock and the exchange's from which on SYSTEM_CLOCK_SKEW is told.",
    )
    db_down_minutes: float = Field(
        default=30.0,
        ge=0,
        description="Minutes the database may be away before SYSTEM_DB_DOWN; until then the spool quietly takes all.",
    )
    disk_free_mb: float = Field(
        default=500.0,
        ge=0,
        description="Megabytes free where data are stored below which SYSTEM_DISK_LOW is told; 0 = never.",
    )

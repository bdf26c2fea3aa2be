"""What can be set about correlations."""

from typing import Literal

from pydantic import Field

from regimes.features.base import FeatureSettings


class CorrelationSettings(FeatureSettings):
    """What is a break of a correlation, and who leads."""

    min_change: float = Field(
        default=0.30,
        gt=0,
        le=2,
        description="Smallest change of a correlation from its normal that is a break; lower = more alerts.",
    )
    min_fisher_z: float = Field(
        default=3.8,
        gt=0,
        description="Standard errors the change must span as well (Fisher z); lower = more alerts, 1.96 would ring "
        "four times a month on quiet majors.",
    )
    critical_change: float = Field(
        default=0.60,
        gt=0,
        le=2,
        description="Change from which a break is CRITICAL instead of WARNING; lower = more critical alerts.",
    )
    leave_factor: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="A break ends below this share of min_change and min_fisher_z; lower = longer, fewer alerts.",
    )
    min_hours: int = Field(
        default=6,
        ge=0,
        le=168,
        description="Hours a break lasts at least once it began; higher = fewer, longer alerts.",
    )
    max_open_breaks: int = Field(
        default=100,
        ge=1,
        le=5_000,
        description="Pairs that can be broken at once, the largest change first; keeps a broad move of hundreds "
        "of symbols from becoming thousands of alerts.",
    )
    grace_seconds: int = Field(
        default=30,
        ge=0,
        le=1_800,
        description="Seconds of event time after an hour's close to wait for symbols that have not delivered their "
        "bar yet; lower = earlier, with fewer symbols.",
    )
    leadership_window_hours: int = Field(
        default=720,
        ge=200,
        le=888,
        description="Hours of returns in which a leading asset is looked for with leadership_bars 1h; higher = surer, "
        "slower to change.",
    )
    leadership_bars: Literal["1h", "1m"] = Field(
        default="1h",
        description="Bars in which a leading asset is looked for; 1m streams and keeps 8.3 days of minutes of the first "
        "6 symbols, in which a lead of minutes can be proved; it fetches them at the start.",
    )
    leadership_alpha: float = Field(
        default=0.01,
        gt=0,
        le=0.2,
        description="Chance of naming any leader where there is none, over all tested pairs together (Holm); "
        "lower = a leader is named less often.",
    )

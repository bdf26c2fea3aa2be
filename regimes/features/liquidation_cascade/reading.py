from typing import Literal

from regimes.features.base import Reading
from regimes.maths.zones import Zone

Dominance = Literal["long", "short", "balanced"]


class CascadeReading(Reading, frozen=True, kw_only=True):
    """What was liquidated in one symbol in the last 24 h, and how fast.

    n: whole minutes watched in the last 24 h. Sums are of what was *seen*; with `is_lower_bound` there was more:
    the venue publishes only some, or part of the 24 h was not watched. label: INFO, WARNING or CRITICAL, None
    without a cascade. duration_hours: since the onset of the episode now open, None without one.
    intensity_usd_per_hour: the present pace, over the last minutes. severity_relative: the last 60 minutes against
    the symbol's own watched hours of 30 days, 1 (usual) to 5, None while fewer than needed were watched.
    dropped: liquidations let go before 24 h because there were too many.

    burst: whether they come so much faster and larger than usual that it is no chance; burst_since_ms: since when;
    burst_strength: the evidence over its threshold; burst_confidence: share of such alarms that were cascades in a
    simulated market; branching_ratio: how many others each liquidation brings about, 0 to 1. None before half a day.
    branching_ratio_fitted: the same by maximum likelihood once an hour, with the half-life in seconds of what each brings
    about. Not for the market.
    """

    total_liquidation_usd: float | None = None
    cascade_detected: bool | None = None
    velocity_usd_per_hour: float | None = None
    intensity_usd_per_hour: float | None = None
    severity: int | None = None
    severity_relative: int | None = None
    label: str | None = None
    long_usd: float | None = None
    short_usd: float | None = None
    dominant_side: Dominance | None = None
    event_count: int | None = None
    largest_usd: float | None = None
    duration_hours: float | None = None
    is_lower_bound: bool | None = None
    dropped: int = 0
    burst: bool | None = None
    burst_since_ms: int | None = None
    burst_strength: float | None = None
    burst_confidence: float | None = None
    branching_ratio: float | None = None
    branching_ratio_fitted: float | None = None
    branching_half_life_s: float | None = None


class SymbolCascadeReading(CascadeReading, frozen=True, kw_only=True):
    """The same, with what is known of one symbol alone.

    liquidated_share_of_open_interest: total over the open interest's notional, None when that is not known.
    support, resistance: nearest first; the levels are the prices of the zones.
    """

    liquidated_share_of_open_interest: float | None = None
    support_levels: tuple[float, ...] = ()
    resistance_levels: tuple[float, ...] = ()
    support_zones: tuple[Zone, ...] = ()
    resistance_zones: tuple[Zone, ...] = ()


class MarketCascadeReading(CascadeReading, frozen=True, kw_only=True):
    """The same for all symbols of the venues together. breadth: configured symbols with an episode open.

    burst_breadth: configured symbols in a burst.
    """

    breadth: int = 0
    burst_breadth: int = 0

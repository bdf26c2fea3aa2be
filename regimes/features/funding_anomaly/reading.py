from typing import Literal

from regimes.features.base import Reading

Band = Literal["normal", "watch", "anomaly"]
Direction = Literal["longs_pay", "shorts_pay", "none"]


class FundingReading(Reading, frozen=True, kw_only=True):
    """How unusual the last settled funding rate of one symbol is.

    n: settlements in the window. funding_rate: as settled, a fraction for `interval_hours`; rate_8h, mean_8h,
    std_8h: for eight hours. predicted_rate: what would settle at next_funding_ms as things stand, never in the
    window. percentile: 0 to 100, mid-rank. persistence: share of the window that is as far out as an anomaly.
    run_length: settlements in the present extreme, 0 outside one. direction: who pays. reversal: this rate's
    sign is opposite to an extreme shortly before; it says nothing about price. robust_alarm: shown, sends nothing.
    p_revert_24h, p_revert_72h: probability that funding is usual again (|z| < 1) at some settlement within that time;
    None while it is usual, and while too little is known.
    """

    funding_rate: float | None = None
    interval_hours: float | None = None
    rate_8h: float | None = None
    predicted_rate: float | None = None
    next_funding_ms: int | None = None
    mean_8h: float | None = None
    std_8h: float | None = None
    z_score: float | None = None
    z_robust: float | None = None
    robust_alarm: bool | None = None
    band: Band | None = None
    is_anomaly: bool | None = None
    percentile: float | None = None
    persistence: float | None = None
    run_length: int | None = None
    direction: Direction | None = None
    reversal: bool | None = None
    p_revert_24h: float | None = None
    p_revert_72h: float | None = None

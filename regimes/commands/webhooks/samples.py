"""One event of each type, with the keys and the wording that real ones have."""

from typing import Any, Final

import msgspec

from regimes.alerting import bulletins
from regimes.alerting.system import SystemWatch, Trouble
from regimes.events import Event, EventType, Phase, Severity
from regimes.timeframe import HOUR_MS, MINUTE_MS


def sample(kind: EventType, now_ms: int) -> Event:
    """An event of this type as if it had just been opened, marked as a test. now_ms: real time."""
    made = _SYSTEM.get(kind) or _BULLETINS.get(kind)
    event = made(now_ms) if made else _market(kind, now_ms)
    return msgspec.structs.replace(
        event,
        description=f"This is a test. {event.description}",
        data={**event.data, "is_test": True},
    )


class _Sample(msgspec.Struct, frozen=True):
    symbol: str
    severity: Severity
    began_ms: int
    title: str
    description: str
    why: str
    data: dict[str, Any]


def _market(kind: EventType, now_ms: int) -> Event:
    shown = _MARKET[kind]
    return Event(
        type=kind,
        symbol=shown.symbol,
        severity=shown.severity,
        phase=Phase.OPENED,
        ts_ms=now_ms,
        started_ms=now_ms - shown.began_ms,
        revision=0,
        title=shown.title,
        description=shown.description,
        why=shown.why,
        data=shown.data,
    )


_MARKET: Final = {
    EventType.LIQUIDATION_CASCADE: _Sample(
        "BTC/USDT",
        Severity.CRITICAL,
        10 * HOUR_MS,
        "BTC/USDT liquidation cascade: 5.0 M USD in 10 h",
        "Severity 4 of 5 at its peak, 500,000 USD/h at its fastest. Support: 45,000, 44,500.",
        "velocity 500,000 USD/h >= 400,000 and 24 h total 5,000,000 USD > 500,000",
        {
            "severity": 4,
            "total_liquidation_usd": 5_000_000,
            "velocity_usd_per_hour": 500_000,
            "dominant_side": "long",
            "largest_usd": 310_000,
            "support_levels": [45_000, 44_500],
            "resistance_levels": [46_200],
            "episode_usd": 5_000_000,
            "peak_severity": 4,
        },
    ),
    EventType.FUNDING_ANOMALY: _Sample(
        "ETH/USDT",
        Severity.WARNING,
        0,
        "ETH/USDT funding unusually high: +0.0800 % per 8 h (z +2.60)",
        "Funding is 2.6 standard deviations above its mean. Longs pay shorts.",
        "|z| 2.60 >= 2",
        {
            "funding_rate": 0.0008,
            "interval_hours": 8.0,
            "z_score": 2.6,
            "mean_8h": 0.0001,
            "percentile": 98.9,
            "direction": "longs_pay",
        },
    ),
    EventType.FUNDING_REVERSAL: _Sample(
        "SOL/USDT",
        Severity.WARNING,
        0,
        "SOL/USDT funding reversal: -0.0200 % per 8 h after an extreme of the other sign",
        "Funding turned negative. Shorts pay longs.",
        "sign changed within 24 h after |z| >= 2",
        {
            "funding_rate": -0.0002,
            "interval_hours": 8.0,
            "z_score": -1.9,
            "mean_8h": 0.0001,
            "direction": "shorts_pay",
        },
    ),
    EventType.VOLATILITY_REGIME: _Sample(
        "BTC/USDT",
        Severity.WARNING,
        0,
        "BTC/USDT volatility: HIGH_VOL",
        "STABLE to HIGH_VOL: 2.10 % in 24 h, 1.17x the usual.",
        "24 h volatility 2.10 % >= 2.00 %",
        {
            "vol_regime": "HIGH_VOL",
            "previous_regime": "STABLE",
            "volatility_24h": 0.021,
            "baseline_30d": 0.018,
            "ratio": 1.17,
            "risk_multiplier": 1.5,
        },
    ),
    EventType.REGIME_SHIFT: _Sample(
        "BTC/USDT",
        Severity.WARNING,
        0,
        "BTC/USDT regime: SPOT_IGNITION",
        "SPOT_NEUTRAL to SPOT_IGNITION: 3 of 4 timeframes agree.",
        "primary regime is SPOT_IGNITION, confidence 3/4 >= 0.70",
        {
            "primary_regime": "SPOT_IGNITION",
            "previous_regime": "SPOT_NEUTRAL",
            "confidence": 0.75,
            "agreement_count": 3,
            "timeframes_ok": 4,
            "1h_regime": "SPOT_IGNITION",
            "4h_regime": "SPOT_IGNITION",
            "1d_regime": "SPOT_IGNITION",
            "1w_regime": "SPOT_NEUTRAL",
        },
    ),
    EventType.CORRELATION_BREAK: _Sample(
        "BTC/ETH",
        Severity.WARNING,
        0,
        "BTC/ETH correlation broke: 0.15 instead of 0.87",
        "The correlation of 7 days fell from 0.87 to 0.15.",
        "|change| 0.72 >= 0.30 and |Fisher z| 9.8 >= 4.0",
        {
            "pair": "BTC/ETH",
            "symbols": ["BTC/USDT", "ETH/USDT"],
            "current": 0.15,
            "normal": 0.87,
            "change": -0.72,
            "fisher_z": -9.8,
        },
    ),
    EventType.LEADERSHIP_CHANGE: _Sample(
        "ALL",
        Severity.INFO,
        0,
        "BTC/USDT leads ETH/USDT, SOL/USDT",
        "Hourly returns of ETH/USDT, SOL/USDT followed those of BTC/USDT.",
        "lagged correlation, lags 1 to 5 h, block bootstrap with Holm's correction at 0.01",
        {"leading_asset": "BTC/USDT", "lagging_assets": ["ETH/USDT", "SOL/USDT"]},
    ),
}


def _told(kind: EventType, subject: str, trouble: Trouble, now_ms: int) -> Event:
    return SystemWatch().tell(kind, subject, trouble, now_ms)


def _feed_stale(now_ms: int) -> Event:
    trouble = Trouble(
        severity=Severity.CRITICAL,
        title="Blind: no liquidation data from binanceusdm",
        description="The service keeps dialling. Signals that need this data are marked stale.",
        why="not connected for 1 min",
        since_ms=now_ms - MINUTE_MS,
        data={"venue": "binanceusdm", "stream": "liquidation", "reconnects": 3},
    )
    return _told(EventType.SYSTEM_FEED_STALE, "binanceusdm liquidation", trouble, now_ms)


def _feed_gap(now_ms: int) -> Event:
    trouble = Trouble(
        severity=Severity.WARNING,
        title="No liquidations from binanceusdm for 2 min",
        description="What was liquidated in that time is in no sum: no exchange gives it out afterwards.",
        why="connection closed (1006)",
        since_ms=now_ms - 2 * MINUTE_MS,
        data={"venue": "binanceusdm", "seconds": 120.0, "symbol": None},
    )
    return _told(EventType.SYSTEM_FEED_GAP, "binanceusdm liquidation", trouble, now_ms)


def _clock_skew(now_ms: int) -> Event:
    trouble = Trouble(
        severity=Severity.WARNING,
        title="Clock 9 s behind binanceus",
        description="The exchange's time is used, so signals are right; correct this machine's clock (NTP).",
        why="offset +9.0 s, limit 5 s",
        data={"venue": "binanceus", "offset_seconds": 9.0},
    )
    return _told(EventType.SYSTEM_CLOCK_SKEW, "clock", trouble, now_ms)


def _db_down(now_ms: int) -> Event:
    trouble = Trouble(
        severity=Severity.CRITICAL,
        title="Database away",
        description="Everything goes to the local spool and flows back when the server returns.",
        why="PostgreSQL has not answered for 30 min",
    )
    return _told(EventType.SYSTEM_DB_DOWN, "database", trouble, now_ms)


def _disk_low(now_ms: int) -> Event:
    trouble = Trouble(
        severity=Severity.CRITICAL,
        title="Disk nearly full: 420 MB free",
        description="When it is full nothing more can be stored. Free some space or shorten storage.keep_*_days.",
        why="420 MB free < 500 MB",
        data={"free_mb": 420},
    )
    return _told(EventType.SYSTEM_DISK_LOW, "disk", trouble, now_ms)


def _endpoint_disabled(now_ms: int) -> Event:
    trouble = Trouble(
        severity=Severity.CRITICAL,
        title="Endpoint discord-all-1 disabled",
        description="Nothing is sent to it until it is enabled again or its URL is changed.",
        why="HTTP 404",
        data={"endpoint": "discord-all-1", "kind": "discord"},
    )
    return _told(EventType.SYSTEM_ENDPOINT_DISABLED, "discord-all-1", trouble, now_ms)


_SYSTEM: Final = {
    EventType.SYSTEM_FEED_STALE: _feed_stale,
    EventType.SYSTEM_FEED_GAP: _feed_gap,
    EventType.SYSTEM_CLOCK_SKEW: _clock_skew,
    EventType.SYSTEM_DB_DOWN: _db_down,
    EventType.SYSTEM_DISK_LOW: _disk_low,
    EventType.SYSTEM_ENDPOINT_DISABLED: _endpoint_disabled,
}
_BULLETINS: Final = {
    EventType.SYSTEM_ALERT_CAP: lambda now_ms: bulletins.cap_reached("discord-all-1", 40, 40, now_ms),
    EventType.SYSTEM_DIGEST: lambda now_ms: bulletins.digest(
        [_market(EventType.LEADERSHIP_CHANGE, now_ms)], 0, now_ms
    ),
}

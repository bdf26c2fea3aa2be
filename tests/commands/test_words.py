from typing import Any

import pytest

from regimes.commands.words import event_line, lines, say, table
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.events import Event, EventType, Phase, Severity
from regimes.features.base import Universe

COMMON = {
    "status": "ok",
    "ready": True,
    "stale": False,
    "n": 1,
    "needed": 1,
    "coverage": 1.0,
    "detail": None,
    "alert_level": None,
}


@pytest.mark.parametrize(
    ("key", "fields", "words"),
    [
        (
            "cascades",
            {"severity": 4, "velocity_usd_per_hour": 500_000.0, "total_liquidation_usd": 5e6},
            "severity 4, 500,000 USD/h, 5.0 M USD in 24 h",
        ),
        (
            "cascades",
            {"severity": 0, "velocity_usd_per_hour": 10.0, "total_liquidation_usd": 240.0},
            "none, 240 USD in 24 h",
        ),
        ("funding", {"funding_rate": 0.0000125, "z_score": 1.5}, "0.0013 %, z +1.5"),
        ("funding", {"funding_rate": 0.0001, "z_score": None}, "0.0100 %, z ?"),
        (
            "volatility",
            {"vol_regime": "HIGH_VOL", "volatility_24h": 0.021, "ratio": 1.17, "risk_multiplier": 1.2},
            "HIGH_VOL 2.1 %, 1.17x normal, risk 1.2x",
        ),
        (
            "regimes",
            {
                "primary_regime": "SPOT_IGNITION",
                "confidence": 0.5,
                "timeframes": {"1h": {"regime": "SPOT_IGNITION"}, "4h": {"regime": "SPOT_COOLING"}},
            },
            "SPOT_IGNITION 50 % (1h up 4h down)",
        ),
        (
            "correlations",
            {
                "current": {"BTC/ETH": 0.15, "BTC/SOL": None},
                "breaks": ["BTC/ETH"],
                "leading_asset": "BTC/USDT",
            },
            "BTC/ETH 0.15 BREAK, BTC/USDT leads",
        ),
        ("correlations", {"current": {}, "breaks": [], "leading_asset": None}, "no pair"),
        ("of_another_package", {}, "ok"),
    ],
)
def test_a_signal_that_is_ready_is_said_with_its_numbers(
    key: str, fields: dict[str, Any], words: str
) -> None:
    assert say(key, COMMON | fields) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "warming", "n": 412, "needed": 720}, "warming 412/720"),
        ({"status": "unavailable", "detail": "venue has no funding"}, "unavailable: venue has no funding"),
        ({"status": "degenerate"}, "degenerate"),
    ],
)
def test_a_signal_without_numbers_says_why(fields: dict[str, Any], words: str) -> None:
    assert say("funding", COMMON | {"ready": False} | fields) == words


def test_old_numbers_are_marked() -> None:
    signal = COMMON | {"stale": True, "status": "stale", "funding_rate": 0.0001, "z_score": 0.0}
    assert say("funding", signal) == "0.0100 %, z 0.0 (stale)"


def test_packages_of_a_fresh_engine_can_be_shown() -> None:
    engine = Engine.build(installed(), Universe(("BTC/USDT", "ETH/USDT")))
    packages = engine.packages()
    assert len(lines(packages)) == 2
    assert "warming" in lines(packages)[0]
    assert table(packages).row_count == 2


def test_an_event_is_one_line_with_its_reason_and_its_length_at_the_end() -> None:
    def event(phase: Phase) -> Event:
        return Event(
            type=EventType.LIQUIDATION_CASCADE,
            symbol="BTC/USDT",
            severity=Severity.CRITICAL,
            phase=phase,
            ts_ms=1_738_000_000_000,
            started_ms=1_738_000_000_000 - 600_000,
            revision=0,
            title="BTC/USDT liquidation cascade",
            description="",
            why="velocity 500,000 USD/h >= 200,000",
            data={},
        )

    opened, closed = event_line(event(Phase.OPENED)), event_line(event(Phase.CLOSED))
    assert "CRITICAL LIQUIDATION_CASCADE BTC/USDT opened: BTC/USDT liquidation cascade" in opened
    assert opened.endswith("(velocity 500,000 USD/h >= 200,000)")
    assert "closed after 10 min" in closed
    assert "\n" not in opened + closed

"""The combined package: its shape, its words, and the state of the market."""

import json
from typing import Any

import pytest

from regimes.events import Severity
from regimes.features.base import Reading, Status
from regimes.package import SIGNALS, combine, encode, flatten, market_state
from regimes.package.sentence import sentence

NOW = 1_706_972_460_000
COMMON = ["status", "ready", "stale", "as_of", "n", "needed", "coverage", "detail", "alert_level"]


class Cascade(Reading, frozen=True, kw_only=True):
    total_liquidation_usd: float | None = None
    cascade_detected: bool | None = None
    velocity_usd_per_hour: float | None = None
    severity: int | None = None


class Volatility(Reading, frozen=True, kw_only=True):
    vol_regime: str | None = None
    ratio: float | None = None
    volatility_24h: float | None = None


def reading(kind: type[Reading] = Reading, symbol: str = "BTC/USDT", **fields: Any) -> Reading:
    known: dict[str, Any] = {
        "status": Status.OK,
        "as_of_ms": NOW - 60_000,
        "n": 5,
        "needed": 3,
        "coverage": 1.0,
    }
    return kind(feature="any", symbol=symbol, **(known | fields))


def market(*places: tuple[str, str, Severity | None]) -> str:
    table = {(key, symbol): reading(symbol=symbol, alert_level=level) for key, symbol, level in places}
    return str(market_state(table)["state"])


def test_a_signal_is_flat_with_the_common_fields_first() -> None:
    flat = flatten(reading(Cascade, alert_level=Severity.WARNING, severity=3))
    assert list(flat)[: len(COMMON)] == COMMON
    assert flat["as_of"] == "2024-02-03T15:00:00Z"
    assert (flat["ready"], flat["stale"], flat["alert_level"]) == (True, False, "WARNING")
    assert flat["severity"] == 3
    assert not {"feature", "symbol", "as_of_ms"} & set(flat)


@pytest.mark.parametrize(
    ("status", "ready", "stale"),
    [("ok", True, False), ("stale", True, True), ("warming", False, False), ("unavailable", False, False)],
)
def test_ready_and_stale_follow_from_the_status(status: str, *, ready: bool, stale: bool) -> None:
    flat = flatten(reading(status=Status(status), as_of_ms=None))
    assert (flat["status"], flat["ready"], flat["stale"], flat["as_of"]) == (status, ready, stale, None)


def test_a_package_has_every_signal_in_the_promised_order() -> None:
    package = combine("BTC/USDT", NOW, {"moon": reading(), "funding": reading()}, market_state({}))
    assert list(package) == ["timestamp", "symbol", *SIGNALS, "moon", "narrative", "market"]
    assert package["timestamp"] == "2024-02-03T15:01:00Z"
    assert package["volatility"]["status"] == "unavailable"
    assert package["volatility"]["detail"] == "this signal is switched off"
    assert json.loads(encode(package)) == package


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_stops_the_encoder_and_names_its_place(bad: float) -> None:
    package = combine("BTC/USDT", NOW, {"volatility": reading(Volatility, ratio=bad)}, market_state({}))
    with pytest.raises(ValueError, match=r"package\.volatility\.ratio is"):
        encode(package)
    with pytest.raises(ValueError, match=r"package\.a\[1\]\.b is"):
        encode({"a": [1.0, {"b": bad}]})


@pytest.mark.parametrize(
    ("places", "state"),
    [
        ([], "NORMAL"),
        ([("funding", "BTC/USDT", None)], "NORMAL"),
        ([("volatility", "BTC/USDT", Severity.INFO), ("regimes", "BTC/USDT", Severity.INFO)], "NORMAL"),
        ([("funding", "BTC/USDT", Severity.WARNING)], "ACTIVE"),
        ([("cascades", "BTC/USDT", Severity.CRITICAL)], "ACTIVE"),
        ([("cascades", "BTC/USDT", Severity.CRITICAL), ("funding", "ETH/USDT", Severity.CRITICAL)], "CRISIS"),
        (
            [("cascades", "BTC/USDT", Severity.CRITICAL), ("cascades", "ETH/USDT", Severity.CRITICAL)],
            "CRISIS",
        ),
        ([("cascades", "BTC/USDT", Severity.CRITICAL), ("cascades", "ALL", Severity.CRITICAL)], "ACTIVE"),
        ([("cascades", "ALL", Severity.CRITICAL)], "ACTIVE"),
        (
            [(("correlations"), symbol, Severity.CRITICAL) for symbol in ("BTC/USDT", "ETH/USDT", "ALL")],
            "ACTIVE",
        ),
        ([("correlations", "ALL", Severity.CRITICAL), ("cascades", "ALL", Severity.CRITICAL)], "CRISIS"),
    ],
)
def test_the_state_of_the_market(places: list[tuple[str, str, Severity | None]], state: str) -> None:
    assert market(*places) == state


@pytest.mark.parametrize(
    ("severity", "regime", "state"),
    [
        (5, "EXPLOSIVE", "CRISIS"),
        (5, "EXTREME", "CRISIS"),
        (4, "EXTREME", "ACTIVE"),
        (5, "HIGH_VOL", "ACTIVE"),
    ],
)
def test_the_largest_cascade_in_explosive_volatility_is_a_crisis(
    severity: int, regime: str, state: str
) -> None:
    table = {
        ("cascades", "BTC/USDT"): reading(Cascade, severity=severity, alert_level=Severity.CRITICAL),
        ("volatility", "ETH/USDT"): reading(Volatility, vol_regime=regime, alert_level=Severity.WARNING),
    }
    assert market_state(table)["state"] == state


def test_the_market_says_why() -> None:
    table = {
        ("cascades", "BTC/USDT"): reading(alert_level=Severity.CRITICAL),
        ("funding", "ETH/USDT"): reading(alert_level=Severity.WARNING),
    }
    told = market_state(table)
    assert told["why"] == "alerting: cascades BTC/USDT, funding ETH/USDT"
    assert (told["critical"], told["warning"]) == (["cascades BTC/USDT"], ["funding ETH/USDT"])


def test_the_sentence_tells_the_worked_example_in_english() -> None:
    package: dict[str, Any] = {
        "symbol": "BTC/USDT",
        "cascades": {
            "total_liquidation_usd": 5_000_000,
            "cascade_detected": True,
            "velocity_usd_per_hour": 500_000,
            "severity": 4,
        },
        "funding": {"funding_rate": 0.0000125, "z_score": 1.5, "is_anomaly": False},
        "volatility": {"vol_regime": "HIGH_VOL", "volatility_24h": 0.021, "ratio": 1.17},
        "regimes": {"primary_regime": "SPOT_IGNITION", "confidence": 0.5},
        "correlations": {
            "ready": True,
            "breaks": ["BTC/ETH", "ETH/SOL"],
            "current": {"BTC/ETH": 0.15},
            "normal": {"BTC/ETH": 0.87},
            "change": {"BTC/ETH": -0.72},
            "change_24h": {"BTC/ETH": -0.1, "ETH/SOL": None},
            "leading_asset": None,
        },
    }
    assert sentence(package, {"state": "ACTIVE", "why": "alerting: cascades BTC/USDT"}) == (
        "BTC/USDT: volatility is HIGH_VOL at 2.10 % a day, 1.17x its usual; a cascade of severity 4 of 5, "
        "5.0 M USD of liquidations seen in 24 h, up to 500,000 USD/h; funding is 0.0013 %, +1.5 standard deviations "
        "from its mean; the primary regime is SPOT_IGNITION with 50 % agreement; correlation is broken for BTC/ETH "
        "(0.15 over 7 d, normally 0.87), ETH/SOL. Market: ACTIVE (alerting: cascades BTC/USDT)."
    )


def test_the_sentence_says_what_it_does_not_know() -> None:
    package: dict[str, Any] = {"symbol": "BTC/USDT", **{key: {} for key in SIGNALS}}
    normal = {"state": "NORMAL", "why": "nothing above INFO"}
    assert sentence(package, normal) == "BTC/USDT: nothing is known yet. Market: NORMAL (nothing above INFO)."
    package["correlations"] = {"ready": True, "breaks": (), "leading_asset": "ETH/USDT"}
    assert sentence(package, normal) == (
        "BTC/USDT: correlations are near their normal, led by ETH/USDT. "
        "Not known yet: volatility, cascades, funding, regimes. Market: NORMAL (nothing above INFO)."
    )

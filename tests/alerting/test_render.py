from typing import Any

import pytest
from hypothesis import given, strategies as st

from regimes.alerting.message import delivery_id, pack, unpack
from regimes.alerting.render import facts, render
from regimes.events import EventType, Phase, Severity
from tests.delivery.messages import event


def said(data: dict[str, Any]) -> dict[str, str]:
    return {fact.label: fact.value for fact in facts(data)}


def test_a_cascade_tells_its_numbers_with_units() -> None:
    told = said(
        {
            "severity": 4,
            "velocity_usd_per_hour": 500_000,
            "total_liquidation_usd": 5_000_000,
            "dominant_side": "long",
            "support_levels": [45_000, 44_500.5],
            "resistance_levels": [],
            "duration_hours": 1.5,
            "is_lower_bound": True,
        }
    )
    assert told == {
        "Severity": "4 of 5",
        "Velocity": "500,000 USD/h",
        "Liquidated in 24 h": "5.0 M USD",
        "Mostly": "longs",
        "Support": "45,000, 44,500",
        "Lasts": "1.5 h",
    }


def test_what_has_just_begun_does_not_say_how_long_it_lasts() -> None:
    assert said({"severity": 4, "duration_hours": 0.0}) == {"Severity": "4 of 5"}


def test_funding_volatility_regimes_and_correlation_have_their_own() -> None:
    assert said(
        {
            "funding_rate": 0.00125,
            "interval_hours": 8,
            "z_score": 2.4,
            "percentile": 99.1,
            "direction": "longs_pay",
        }
    ) == {
        "Funding rate": "+0.1250 %",
        "Paid every": "8 h",
        "z-score": "+2.40",
        "Percentile in 30 d": "99.1 of 100",
        "Who pays": "longs pay shorts",
    }
    assert said(
        {"vol_regime": "EXPLOSIVE", "previous_regime": "HIGH_VOL", "volatility_24h": 0.052, "ratio": 4.3}
    ) == {
        "Regime": "EXPLOSIVE",
        "Before": "HIGH_VOL",
        "Volatility 24 h": "5.20 %",
        "Against usual": "4.30x",
    }
    assert said({"primary_regime": "SPOT_IGNITION", "confidence": 0.75, "1h_regime": "SPOT_NEUTRAL"}) == {
        "Regime": "SPOT_IGNITION",
        "Confidence": "75 %",
        "1h": "SPOT_NEUTRAL",
    }
    assert said({"current": 0.15, "normal": 0.87, "change": -0.72}) == {
        "Correlation 7 d": "+0.15",
        "Usual (30 d)": "+0.87",
        "Change 7 d": "-0.72",
    }
    assert said({"leading_asset": "BTC/USDT", "lagging_assets": [f"S{n}" for n in range(12)]})[
        "Follow"
    ].endswith("S9 and 2 more")


def test_the_message_carries_everything_of_the_event() -> None:
    told = render(event(revision=3, phase="closed"), may_edit=False, reminder=2, late_ms=5, suppressed=4)
    assert (told.severity, told.phase, told.revision) == (Severity.CRITICAL, Phase.CLOSED, 3)
    assert (told.may_edit, told.reminder, told.late_ms, told.suppressed) == (False, 2, 5, 4)
    assert told.ts_ms - told.started_ms == 10 * 3_600_000
    assert [link.label for link in told.links] == ["View on dashboard", "More info"]
    assert not told.is_test
    assert render(event(data={"is_test": True})).is_test


def test_milliseconds_of_the_event_are_kept() -> None:
    assert render(event(timestamp="2024-02-03T15:01:00.123Z")).ts_ms == 1_706_972_460_123


@pytest.mark.parametrize("kind", list(EventType))
def test_an_event_of_any_type_without_data_is_told_all_the_same(kind: EventType) -> None:
    told = render(event(event_type=kind.value, data={}))
    assert told.facts == ()
    assert told.title


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_NUMBERS = (
    "severity",
    "velocity_usd_per_hour",
    "duration_hours",
    "funding_rate",
    "z_score",
    "ratio",
    "count",
)
_OTHERS = ("support_levels", "dominant_side", "lagging_assets", "vol_regime", "1h_regime", "is_test")


@given(st.dictionaries(st.sampled_from((*_NUMBERS, *_OTHERS)), json_values, max_size=13))
def test_no_value_of_a_known_key_ever_breaks_it(data: dict[str, Any]) -> None:
    assert all(fact.value for fact in facts(data))


@given(
    st.dictionaries(st.sampled_from(_NUMBERS), st.sampled_from([float("nan"), float("inf"), None, True, "x"]))
)
def test_what_is_no_finite_number_is_left_out(data: dict[str, Any]) -> None:
    assert facts(data) == ()


def test_what_is_packed_comes_back_with_the_very_bytes_of_the_event() -> None:
    body = event()
    parcel = unpack(pack(body, render(body)))
    assert parcel.message == render(body)
    assert bytes(parcel.event).startswith(
        b'{"event_type":"LIQUIDATION_CASCADE","timestamp":"2024-02-03T15:01:00Z"'
    )


def test_a_delivery_id_tells_states_reminders_and_endpoints_apart() -> None:
    ids = {
        delivery_id("evt_a", revision, endpoint, reminder=reminder)
        for revision in (0, 1)
        for endpoint in ("x", "y")
        for reminder in (0, 1)
    }
    assert len(ids) == 8
    assert not any("." in each for each in ids)

import jsonschema
import msgspec
import pytest

from regimes.alerting.render import render
from regimes.alerting.track_record import FEW, Effect, Group, ScoreTable, TrackRecords, variant_of
from regimes.commands.webhooks.samples import sample
from regimes.events import EventType, body, event_schema

KIND = EventType.VOLATILITY_REGIME


def effect(
    outcome: str = "volatility",
    n: int = 41,
    value: float | None = 1.7,
    q: float | None = 0.001,
    free: float = 0.9,
) -> Effect:
    known = value is not None
    return Effect(
        outcome=outcome,
        horizon_hours=24,
        scale="ratio" if outcome == "volatility" else "difference",
        n=n,
        weeks=30,
        truncated=0,
        unmatched=0,
        missing=0,
        free=free,
        median=1.0,
        usual=1.0,
        effect=value,
        ci=(value - 0.3, value + 0.4) if value is not None else None,
        p=q if known else None,
        q=q if known else None,
    )


def group(*effects: Effect, symbol: str = "", variant: str = "HIGH_VOL") -> Group:
    return Group(event_type=KIND, variant=variant, symbol=symbol, events=50, effects=effects)


def records(*groups: Group) -> TrackRecords:
    table = ScoreTable(
        source="x",
        symbols=["BTC/USDT"],
        from_ms=1_672_531_200_000,
        to_ms=1_735_689_600_000,
        settings="s",
        events=50,
        groups=groups,
    )
    return TrackRecords(table)


def words(*groups: Group) -> str:
    found = records(*groups).of(KIND, "BTC/USDT", {"vol_regime": "HIGH_VOL"})
    assert found is not None
    return found.words


def test_a_record_says_how_many_since_when_and_how_sure() -> None:
    assert words(group(effect(), effect("return", value=0.001, q=0.4))) == (
        "after 41 like this since 2023: 24 h volatility 1.70x usual (CI 1.40 to 2.10); direction: no evidence"
    )


def test_an_effect_that_chance_explains_is_not_told_as_one() -> None:
    assert "(CI 1.40 to 2.10, within chance)" in words(group(effect(q=0.2)))


def test_funding_is_told_where_there_is_evidence_of_it() -> None:
    assert "; funding -0.020% against usual" in words(group(effect(), effect("funding", value=-0.0002)))
    assert "funding" not in words(group(effect(), effect("funding", value=-0.0002, q=0.3)))


def test_events_that_leave_no_time_to_compare_with_claim_nothing() -> None:
    told = words(group(effect(free=0.3), effect("return", free=0.3)))
    assert "too frequent to compare" in told
    assert told.endswith("direction: no evidence")


def test_a_direction_is_told_only_with_evidence() -> None:
    assert words(group(effect(), effect("return", value=-0.012))).endswith(
        "; direction: -1.20% against usual in 24 h (CI -31.20% to +38.80%)"
    )


@pytest.mark.parametrize("few", [effect(n=FEW - 1), effect(value=None)])
def test_too_few_events_or_weeks_say_so_and_nothing_else(few: Effect) -> None:
    found = records(group(few)).of(KIND, "BTC/USDT", {"vol_regime": "HIGH_VOL"})
    assert found is not None
    assert found.few
    assert found.words == f"{few.n} like this in 30 weeks since 2023: too few to say what follows"


def test_the_symbols_own_record_is_taken_where_there_are_enough_of_it() -> None:
    pooled = group(effect(n=100))
    assert "after 41" in words(pooled, group(effect(n=41), symbol="BTC/USDT"))
    assert "after 100" in words(pooled, group(effect(n=FEW - 1), symbol="BTC/USDT"))
    assert "after 100" in words(pooled, group(effect(n=41), symbol="ETH/USDT"))


def test_events_of_another_variant_or_kind_have_no_record() -> None:
    known = records(group(effect()))
    assert known.of(KIND, "BTC/USDT", {"vol_regime": "EXTREME"}) is None
    assert known.of(EventType.FUNDING_ANOMALY, "BTC/USDT", {"direction": "longs_pay"}) is None
    assert known.of(EventType.SYSTEM_DB_DOWN, "database", {}) is None


def test_a_correlation_that_fell_is_another_variant_than_one_that_rose() -> None:
    told = [
        variant_of("CORRELATION_BREAK", data)
        for data in (
            {"change": -0.1, "change_24h": 0.5},
            {"change": -0.6, "change_24h": 0.5},
            {"change": None},
            {},
        )
    ]
    assert told == ["rose", "fell", "", ""]


def test_a_message_says_the_record_in_one_line_and_the_body_fits_the_schema() -> None:
    record = records(group(effect())).of(KIND, "BTC/USDT", {"vol_regime": "HIGH_VOL"})
    whole = msgspec.structs.replace(body(sample(KIND, 1_700_000_000_000)), track_record=record)
    assert [fact.value for fact in render(whole).facts if fact.label == "Track record"] == [
        record.words if record else ""
    ]
    jsonschema.Draft202012Validator(event_schema()).validate(msgspec.json.decode(msgspec.json.encode(whole)))

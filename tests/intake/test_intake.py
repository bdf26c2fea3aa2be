"""The intake as a table: what passes, what does not, and by which reason."""

from typing import Any

import msgspec
import pytest

from regimes.features.base import Universe
from regimes.intake import Intake, Reason
from regimes.observations import (
    BookDepth,
    Candle,
    FeedGap,
    FundingRate,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Tick,
    Unavailable,
)
from regimes.timeframe import DAY_MS, HOUR_MS

NOW = 1_738_000_800_000
NAN, INF = float("nan"), float("inf")
CANDLE = Candle("binanceus", "BTC/USDT", "1h", NOW - HOUR_MS, 100.0, 102.0, 99.0, 101.0, 5.0, 500.0, 2.0)
ORDER = Liquidation(NOW - 500, "binanceusdm", "1000PEPE/USDT", "long", 0.02, 1e6, 20_000.0)
FUNDING = FundingRate(NOW, "binanceusdm", "BTC/USDT", 0.0001, 8.0)
MARK = MarkPrice(NOW, "binanceusdm", "BTC/USDT", 100.0, 100.1, 0.0001, NOW + HOUR_MS)
INTEREST = OpenInterest(NOW, "binanceusdm", "BTC/USDT", 90_000.0, 9e9)
BOOK = BookDepth(NOW, "binanceus", "BTC/USDT", ((100.0, 1.0), (99.9, 2.0)), ((100.1, 1.0), (100.2, 3.0)))
GAP = FeedGap(NOW, "binanceusdm", "liquidation", None, NOW - DAY_MS, NOW, "start")
ABSENT = Unavailable(NOW, "binanceus", "funding", None, "spot only")
GOOD: list[Observation] = [CANDLE, ORDER, FUNDING, MARK, INTEREST, BOOK, GAP, ABSENT, Tick(NOW + 1)]


def at_now() -> Intake:
    intake = Intake(Universe(("BTC/USDT", "ETH/USDT")))
    assert intake.admit(Tick(NOW)) is None
    return intake


def altered(observation: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(observation, **changes)


@pytest.mark.parametrize("observation", GOOD, ids=lambda o: type(o).__name__)
def test_sound_observations_of_each_type_pass(observation: Observation) -> None:
    intake = at_now()
    assert intake.admit(observation) is None
    assert sum(intake.rejected.values()) == 0


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (altered(CANDLE, close=NAN), Reason.NOT_FINITE),
        (altered(CANDLE, high=INF), Reason.NOT_FINITE),
        (altered(CANDLE, low=-1.0), Reason.NOT_POSITIVE),
        (altered(CANDLE, open=0.0), Reason.NOT_POSITIVE),
        (altered(CANDLE, high=1e13), Reason.TOO_LARGE),
        (altered(CANDLE, high=100.5), Reason.INCONSISTENT),
        (altered(CANDLE, low=100.5), Reason.INCONSISTENT),
        (altered(CANDLE, base_volume=NAN), Reason.NOT_FINITE),
        (altered(CANDLE, base_volume=-1.0), Reason.NOT_POSITIVE),
        (altered(CANDLE, quote_volume=INF), Reason.NOT_FINITE),
        (altered(CANDLE, taker_buy_volume=6.0), Reason.INCONSISTENT),
        (altered(CANDLE, open="100"), Reason.MALFORMED),
        (altered(CANDLE, close=None), Reason.MALFORMED),
        (altered(CANDLE, high=10**400), Reason.MALFORMED),
        (altered(CANDLE, open_ms=NOW - 2 * HOUR_MS + 1), Reason.MISALIGNED),
        (altered(CANDLE, timeframe="1w", open_ms=NOW - NOW % DAY_MS - 60 * DAY_MS), Reason.MISALIGNED),
        (altered(CANDLE, timeframe="h1"), Reason.MALFORMED),
        (altered(CANDLE, timeframe=None), Reason.MALFORMED),
        (altered(CANDLE, open_ms=NOW), Reason.FUTURE),
        (altered(CANDLE, open_ms=NOW + HOUR_MS, closed=False), Reason.FUTURE),
        (altered(CANDLE, open_ms=0), Reason.TOO_OLD),
        (altered(CANDLE, open_ms=float(NOW - HOUR_MS)), Reason.MALFORMED),
        (altered(CANDLE, open_ms=10**30), Reason.FUTURE),
        (altered(CANDLE, symbol="DOGE/USDT"), Reason.UNKNOWN_SYMBOL),
        (altered(CANDLE, symbol=""), Reason.MALFORMED),
        (altered(CANDLE, symbol=["BTC"]), Reason.MALFORMED),
        (altered(CANDLE, venue=None), Reason.MALFORMED),
        (altered(ORDER, fill_price=NAN), Reason.NOT_FINITE),
        (altered(ORDER, base_qty=0.0), Reason.NOT_POSITIVE),
        (altered(ORDER, quote_usd=1e14), Reason.TOO_LARGE),
        (altered(ORDER, quote_usd="20000"), Reason.MALFORMED),
        (altered(ORDER, closed="SELL"), Reason.MALFORMED),
        (altered(ORDER, symbol="X" * 65), Reason.MALFORMED),
        (altered(ORDER, ts_ms=NOW + 60_001), Reason.FUTURE),
        (altered(ORDER, ts_ms=NOW - 25 * HOUR_MS - 1), Reason.TOO_OLD),
        (altered(FUNDING, rate=NAN), Reason.NOT_FINITE),
        (altered(FUNDING, rate=-1.5), Reason.TOO_LARGE),
        (altered(FUNDING, interval_hours=0.0), Reason.NOT_POSITIVE),
        (altered(FUNDING, interval_hours=INF), Reason.NOT_FINITE),
        (altered(FUNDING, ts_ms=NOW + HOUR_MS), Reason.FUTURE),
        (altered(FUNDING, symbol="DOGE/USDT"), Reason.UNKNOWN_SYMBOL),
        (altered(MARK, mark_price=-1.0), Reason.NOT_POSITIVE),
        (altered(MARK, index_price=0.0), Reason.NOT_POSITIVE),
        (altered(MARK, predicted_rate=2.0), Reason.TOO_LARGE),
        (altered(MARK, next_funding_ms=-5), Reason.TOO_OLD),
        (altered(INTEREST, base_qty=-1.0), Reason.NOT_POSITIVE),
        (altered(INTEREST, notional_usd=NAN), Reason.NOT_FINITE),
        (altered(BOOK, bids=((99.9, 1.0), (100.0, 1.0))), Reason.INCONSISTENT),
        (altered(BOOK, asks=((99.0, 1.0),)), Reason.INCONSISTENT),
        (altered(BOOK, asks=((101.0, NAN),)), Reason.INCONSISTENT),
        (altered(BOOK, bids=(), asks=()), Reason.INCONSISTENT),
        (altered(BOOK, bids=((100.0,),)), Reason.MALFORMED),
        (altered(GAP, kind="weather"), Reason.MALFORMED),
        (altered(GAP, to_ms=NOW - 2 * DAY_MS), Reason.INCONSISTENT),
        (altered(GAP, from_ms=NOW + HOUR_MS), Reason.FUTURE),
        (altered(ABSENT, venue=""), Reason.MALFORMED),
        (Tick(NOW - 1), Reason.OUT_OF_ORDER),
        (Tick(-1), Reason.TOO_OLD),
        (Tick(10**15), Reason.FUTURE),
        (Tick(1.5), Reason.MALFORMED),  # type: ignore[arg-type]
        ({"type": "candle"}, Reason.MALFORMED),
        (None, Reason.MALFORMED),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else type(value).__name__,
)
def test_what_is_wrong_stays_outside_with_its_reason(observation: Any, reason: Reason) -> None:
    intake = at_now()
    rejection = intake.admit(observation)
    assert rejection is not None
    assert rejection.reason is reason
    assert rejection.rule
    assert sum(intake.rejected.values()) == 1
    assert intake.last_rejected[-1] == rejection
    assert intake.admit(ORDER) is None


def test_a_rejection_names_place_value_and_rule() -> None:
    intake = at_now()
    rejection = intake.admit(altered(CANDLE, low=-3.0))
    assert rejection is not None
    assert rejection.place == "candle binanceus BTC/USDT 1h"
    assert rejection.value == "low -3.0"
    assert rejection.rule == "low > 0"
    assert rejection.ts_ms == NOW
    assert intake.rejected == {("candle", Reason.NOT_POSITIVE): 1}


def test_a_closed_bar_counts_once_and_a_different_second_version_is_a_conflict() -> None:
    intake = at_now()
    assert intake.admit(CANDLE) is None
    again = intake.admit(CANDLE)
    other = intake.admit(altered(CANDLE, close=101.5))
    assert again is not None
    assert other is not None
    assert (again.reason, other.reason) == (Reason.DUPLICATE, Reason.CONFLICT)
    assert "101.0" in other.rule
    assert "101.5" in other.value
    assert intake.admit(altered(CANDLE, venue="binance")) is None
    assert intake.admit(altered(CANDLE, timeframe="15m")) is None


def test_unfinished_bars_pass_any_number_of_times_until_the_bar_has_closed() -> None:
    intake = at_now()
    unfinished = altered(CANDLE, closed=False)
    assert intake.admit(unfinished) is None
    assert intake.admit(altered(unfinished, close=100.5)) is None
    assert intake.admit(CANDLE) is None
    late = intake.admit(unfinished)
    assert late is not None
    assert late.reason is Reason.OUT_OF_ORDER


def test_a_bar_that_comes_late_fills_its_gap_once() -> None:
    intake = at_now()
    order = [10, 3, 5, 4, 9, 8]
    bars = [altered(CANDLE, open_ms=NOW - hours * HOUR_MS) for hours in order]
    assert [intake.admit(bar) for bar in bars] == [None] * len(order)
    reasons = [r.reason for r in (intake.admit(bar) for bar in bars) if r is not None]
    assert reasons == [Reason.DUPLICATE] * len(order)


def test_a_bar_from_before_the_memory_is_too_old() -> None:
    intake = at_now()
    assert intake.admit(CANDLE) is None
    assert intake.admit(altered(CANDLE, open_ms=CANDLE.open_ms - 9_999 * HOUR_MS)) is None
    old = intake.admit(altered(CANDLE, open_ms=CANDLE.open_ms - 10_000 * HOUR_MS))
    assert old is not None
    assert old.reason is Reason.TOO_OLD


def test_a_settlement_counts_once_however_many_milliseconds_after_the_hour() -> None:
    intake = at_now()
    assert intake.admit(altered(FUNDING, ts_ms=NOW - 8 * HOUR_MS + 3)) is None
    again = intake.admit(altered(FUNDING, ts_ms=NOW - 8 * HOUR_MS + 7))
    other = intake.admit(altered(FUNDING, ts_ms=NOW - 8 * HOUR_MS, rate=0.0002))
    assert again is not None
    assert other is not None
    assert (again.reason, other.reason) == (Reason.DUPLICATE, Reason.CONFLICT)


def test_a_liquidation_counts_once_and_each_difference_makes_another() -> None:
    intake = at_now()
    others = [
        altered(ORDER, ts_ms=ORDER.ts_ms + 1),
        altered(ORDER, base_qty=ORDER.base_qty + 1),
        altered(ORDER, fill_price=0.021),
        altered(ORDER, closed="short"),
        altered(ORDER, symbol="币安人生/USDT"),
        altered(ORDER, venue="binance"),
    ]
    assert [intake.admit(order) for order in [ORDER, *others]] == [None] * 7
    repeated = [intake.admit(order) for order in [ORDER, *others]]
    assert {r.reason for r in repeated if r is not None} == {Reason.DUPLICATE}
    assert None not in repeated


def test_memory_of_liquidations_is_bounded_and_keeps_at_least_the_last_hour() -> None:
    intake = at_now()
    for minute in range(0, 600, 10):
        intake.admit(Tick(NOW + minute * 60_000))
        assert intake.admit(altered(ORDER, ts_ms=NOW + minute * 60_000)) is None
    kept = intake.snapshot()["liquidations"]
    assert len(kept["new"]) + len(kept["old"]) <= 14
    within_the_hour = intake.admit(altered(ORDER, ts_ms=NOW + 540 * 60_000))
    assert within_the_hour is not None
    assert within_the_hour.reason is Reason.DUPLICATE


def test_a_flood_of_liquidations_stays_within_bounds() -> None:
    intake = at_now()
    for number in range(120_000):
        intake.admit(altered(ORDER, base_qty=1.0 + number))
    kept = intake.snapshot()["liquidations"]
    assert len(kept["new"]) + len(kept["old"]) <= 100_000
    assert intake.admit(altered(ORDER, base_qty=80_000.0)) is not None


def test_states_of_the_past_are_refused_equal_times_are_not() -> None:
    intake = at_now()
    assert intake.admit(MARK) is None
    assert intake.admit(altered(MARK, mark_price=101.0)) is None
    assert intake.admit(altered(INTEREST, ts_ms=NOW - 1)) is None
    older = intake.admit(altered(MARK, ts_ms=NOW - 1))
    assert older is not None
    assert older.reason is Reason.OUT_OF_ORDER


def test_before_the_first_tick_history_of_any_age_passes() -> None:
    intake = Intake(Universe(("BTC/USDT",)))
    assert intake.admit(altered(CANDLE, open_ms=NOW - NOW % HOUR_MS - 300 * DAY_MS)) is None
    assert intake.admit(altered(ORDER, ts_ms=NOW - 300 * DAY_MS)) is None


def test_a_clock_an_hour_slow_shows_as_refused_future_data() -> None:
    intake = Intake(Universe(("BTC/USDT",)))
    intake.admit(Tick(NOW - HOUR_MS))
    for observation in (CANDLE, ORDER, MARK):
        intake.admit(observation)
    assert {reason for _, reason in intake.rejected} == {Reason.FUTURE}
    assert sum(intake.rejected.values()) == 3


def test_where_ticks_are_rare_data_may_be_further_ahead() -> None:
    intake = Intake(Universe(("BTC/USDT",)), ahead_ms=300_000)
    intake.admit(Tick(NOW))
    assert intake.admit(altered(ORDER, ts_ms=NOW + 300_000)) is None
    assert intake.admit(altered(ORDER, ts_ms=NOW + 300_001)) is not None


def test_a_restored_intake_knows_what_it_has_seen() -> None:
    intake = at_now()
    for observation in GOOD:
        intake.admit(observation)
    resumed = Intake(Universe(("BTC/USDT", "ETH/USDT")))
    resumed.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(intake.snapshot())))
    for observation in (CANDLE, ORDER, FUNDING, Tick(NOW)):
        rejection = resumed.admit(observation)
        assert rejection is not None
        assert rejection.reason in {Reason.DUPLICATE, Reason.OUT_OF_ORDER}
    assert resumed.snapshot() == intake.snapshot()


def test_only_the_last_few_rejections_are_kept_in_words() -> None:
    intake = at_now()
    for _ in range(50):
        intake.admit(altered(CANDLE, close=NAN))
    assert len(intake.last_rejected) == 20
    assert intake.rejected["candle", Reason.NOT_FINITE] == 50

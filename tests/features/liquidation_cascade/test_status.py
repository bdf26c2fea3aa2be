"""What is known, what is not, and how the reading says so."""

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from regimes.events import Phase
from regimes.features.base import Status, Universe
from regimes.features.liquidation_cascade import (
    CascadeSettings,
    LiquidationCascade,
    SymbolCascadeReading,
)
from regimes.observations import (
    BookDepth,
    FeedGap,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Tick,
    Unavailable,
)
from tests.features.liquidation_cascade.market import (
    BTC,
    DAY,
    ETH,
    HOUR,
    MINUTE,
    START,
    VENUE,
    Market,
    gap,
    liquidation,
)


def bare() -> LiquidationCascade:
    return LiquidationCascade(CascadeSettings(), Universe((BTC, ETH)))


def symbol_reading(market: Market) -> SymbolCascadeReading:
    reading = market.reading()
    assert isinstance(reading, SymbolCascadeReading)
    return reading


def test_before_anything_was_watched_there_are_no_numbers() -> None:
    feature = bare()
    output = feature.update(Tick(START))
    assert [r.symbol for r in output.readings] == [BTC, ETH, "ALL"]
    for reading in output.readings:
        numbers = msgspec.to_builtins(reading)
        assert reading.status is Status.WARMING
        assert (reading.n, reading.coverage, reading.as_of_ms) == (0, 0, None)
        assert numbers["total_liquidation_usd"] is None
        assert numbers["severity"] is None


def test_a_quiet_market_that_is_watched_reads_zero_and_is_ok_after_an_hour() -> None:
    market = Market()
    market.wait(59 * MINUTE)
    reading = market.reading()
    assert (reading.status, reading.n, reading.needed) == (Status.WARMING, 59, 60)
    assert reading.total_liquidation_usd == 0
    assert reading.detail == "watched 59 of 60 min"
    market.wait(MINUTE)
    reading = market.reading()
    assert (reading.status, reading.n, reading.severity, reading.dominant_side) == (Status.OK, 60, 0, None)
    assert reading.coverage == pytest.approx(1 / 24)
    assert market.outputs[-1].readings[0].status is Status.OK


def test_an_alert_does_not_wait_for_warm_up() -> None:
    market = Market()
    market.wait(2 * MINUTE)
    market.send(liquidation(market.now, 900_000))
    assert market.of(BTC, Phase.OPENED)
    assert "of the last 24 h was watched" in market.of(BTC)[0].description


def test_a_gap_lowers_coverage_and_makes_it_stale_while_open() -> None:
    market = Market()
    market.wait(DAY)
    assert market.reading().coverage == 1
    opened = market.now
    market.send(gap(opened, None))
    output = market.feature.update(Tick(opened + MINUTE))
    assert {r.status for r in output.readings} == {Status.STALE}
    market.wait(6 * HOUR)
    assert market.reading().coverage == 0.75
    market.send(gap(opened, market.now))
    market.wait(MINUTE)
    assert (market.reading().status, market.reading().n) == (Status.OK, 18 * 60)
    market.wait(25 * HOUR)
    assert market.reading().coverage == 1


def test_gaps_of_other_data_change_nothing() -> None:
    market = Market()
    market.wait(2 * HOUR)
    market.send(FeedGap(market.now, VENUE, "candle", None, START, None, "test"))
    market.wait(MINUTE)
    assert market.reading().status is Status.OK


def test_a_venue_without_liquidations_is_unavailable_and_not_zero() -> None:
    feature = bare()
    feature.update(Unavailable(START, "binanceus", "liquidation", None, "spot only"))
    readings = feature.update(Tick(START)).readings
    assert {r.status for r in readings} == {Status.UNAVAILABLE}
    assert msgspec.to_builtins(readings[0])["total_liquidation_usd"] is None
    assert readings[0].detail == "no venue has liquidations of BTC/USDT"
    feature.update(gap(START - DAY, START))
    assert {r.status for r in feature.update(Tick(START + 1)).readings} == {Status.WARMING}


def test_a_symbol_without_a_perpetual_is_unavailable_alone() -> None:
    market = Market()
    market.send(Unavailable(START, VENUE, "liquidation", ETH, "no perpetual"))
    market.wait(HOUR)
    assert market.reading(ETH).status is Status.UNAVAILABLE
    assert market.reading(BTC).status is Status.OK
    assert market.reading("ALL").status is Status.OK


def test_sums_are_exact_only_with_a_venue_that_publishes_all_and_a_day_watched() -> None:
    market = Market()
    market.wait(DAY)
    assert market.reading().is_lower_bound is True, "binance publishes one a second"
    feature = bare()
    feature.update(Tick(START))
    feature.update(gap(START - DAY, START, venue="bybit"))
    feature.update(Tick(START + HOUR))
    assert msgspec.to_builtins(feature.readings()[0])["is_lower_bound"] is True, "one hour watched"
    feature.update(Tick(START + DAY))
    assert msgspec.to_builtins(feature.readings()[0])["is_lower_bound"] is False


def test_late_liquidations_count_at_their_own_time() -> None:
    market = Market()
    market.wait(5 * HOUR)
    market.send(liquidation(market.now - 2 * HOUR, 450_000), liquidation(market.now - 25 * HOUR, 450_000))
    market.wait(MINUTE)
    reading = market.reading()
    assert reading.total_liquidation_usd == 450_000
    assert reading.velocity_usd_per_hour == 112_500
    assert reading.as_of_ms == market.now - 2 * HOUR - MINUTE


def test_an_amount_larger_than_any_could_be_is_refused_and_counted() -> None:
    market = Market()
    market.send(liquidation(market.now, 2e10), liquidation(market.now, 1e300))
    market.wait(MINUTE)
    assert market.reading().total_liquidation_usd == 0
    assert market.feature.refused == 2


def test_a_full_window_lets_the_oldest_go_and_says_so() -> None:
    market = Market(symbol_capacity=1000)
    market.send(*(liquidation(market.now + i, 1.0) for i in range(1500)))
    market.wait(MINUTE)
    reading = market.reading()
    assert (reading.event_count, reading.dropped, reading.total_liquidation_usd) == (1000, 500, 1000)
    assert market.reading("ALL").event_count == 1500


def test_the_share_of_open_interest_needs_open_interest() -> None:
    market = Market()
    market.send(liquidation(market.now, 50_000))
    market.wait(MINUTE)
    assert symbol_reading(market).liquidated_share_of_open_interest is None
    market.send(OpenInterest(market.now, VENUE, BTC, 10_000.0, 1_000_000.0))
    market.wait(MINUTE)
    assert symbol_reading(market).liquidated_share_of_open_interest == 0.05
    market.send(OpenInterest(market.now, "bybit", BTC, 15_000.0), OpenInterest(START - 1, VENUE, BTC, 1.0))
    market.send(MarkPrice(market.now, VENUE, BTC, 100.0))
    assert symbol_reading(market).liquidated_share_of_open_interest == 0.02


def test_zones_come_from_where_was_liquidated_and_from_standing_walls() -> None:
    market = Market()
    market.send(*(liquidation(market.now + i, 10_000, price=95.0) for i in range(10)))
    market.send(*(liquidation(market.now + i, 5_000, price=90.0) for i in range(10)))
    for seconds in range(0, 76, 15):
        asks = tuple((104.0 + i * 0.5, 30.0 if i == 4 else 1.0) for i in range(10))
        bids = tuple((99.0 - i * 0.5, 1.0) for i in range(10))
        if seconds == 30:
            bids = ((99.0, 500.0), *bids[1:])
        market.send(BookDepth(market.now + seconds * 1000, VENUE, BTC, bids, asks))
    market.send(MarkPrice(market.now + 80_000, VENUE, BTC, 100.0))
    market.wait(2 * MINUTE)
    reading = symbol_reading(market)
    assert reading.support_levels == pytest.approx((95.0, 90.0), rel=1e-3)
    assert [zone.source for zone in reading.support_zones] == ["liquidations", "liquidations"]
    assert reading.support_zones[0].notional_usd == pytest.approx(100_000, rel=0.01)
    assert reading.resistance_levels == (106.0,)
    assert reading.resistance_zones[0].source == "book"
    assert reading.resistance_zones[0].notional_usd == 106.0 * 30


def test_many_symbols_get_their_zones_at_the_same_tick() -> None:
    symbols = tuple(f"S{i}/USDT" for i in range(100))
    market = Market(symbols)
    market.send(*(liquidation(market.now, 1000, symbol, price=10.0) for symbol in symbols))
    market.wait(1000, step_ms=1000)
    readings = [r for r in market.feature.readings() if isinstance(r, SymbolCascadeReading)]
    assert len(readings) == 100
    assert all(r.support_zones + r.resistance_zones for r in readings)


def test_a_reading_says_what_was_true_when_it_was_said_however_late_it_is_read() -> None:
    looked_at, left_alone = Market((BTC,)), Market((BTC,))
    for price in (100.0, 90.0, 110.0, 95.0):
        for market in (looked_at, left_alone):
            market.send(liquidation(market.now, 200_000, BTC, price=price))
            market.wait(20_000, step_ms=5_000)
        looked_at.said()
    assert looked_at.said() == left_alone.said()


def story(count: int) -> list[Observation]:
    """A market with bursts, lulls, late data, gaps, prices and books."""
    rng = np.random.default_rng(17)
    now, told = START, list[Observation]()
    told += [Tick(now), gap(now - DAY, now)]
    for step in range(count):
        now += int(rng.integers(1, 40_000))
        busy = step // 150 % 2
        for _ in range(int(rng.integers(0, 6)) * busy):
            ts, usd = now - int(rng.integers(0, 90_000)), float(rng.lognormal(8 + 2 * busy, 1.5))
            symbol = str(rng.choice([BTC, ETH, "PEPE/USDT"]))
            price = float(100 * np.exp(rng.normal(0, 0.02)))
            told.append(
                Liquidation(ts, VENUE, symbol, "long" if rng.random() < 0.7 else "short", price, 1.0, usd)
            )
        if step % 20 == 0:
            told.append(MarkPrice(now, VENUE, BTC, float(100 + rng.normal())))
            levels = tuple((100.0 - i, float(rng.lognormal(0, 1))) for i in range(20))
            told.append(BookDepth(now, VENUE, BTC, levels, tuple((201 - p, q) for p, q in levels)))
        if step % 331 == 100:
            told.append(gap(now, None))
            told.append(Tick(now + 30_000))
            told.append(gap(now, now + 30_000))
            now += 30_000
        told.append(Tick(now))
    return told


def tell(feature: LiquidationCascade, told: list[Observation]) -> list[bytes]:
    outputs = [feature.update(observation) for observation in told]
    return [msgspec.json.encode([output.readings, output.events], enc_hook=list) for output in outputs]


def test_a_replay_gives_identical_bytes_and_a_prefix_gives_a_prefix() -> None:
    told = story(900)
    said = tell(bare(), told)
    assert tell(bare(), told) == said
    assert tell(bare(), told[:1000]) == said[:1000]
    assert sum(b'"opened"' in line for line in said) >= 3
    assert sum(b'"closed"' in line for line in said) >= 3


@pytest.mark.parametrize("share", [0.1, 0.43, 0.77])
def test_a_restored_feature_goes_on_as_if_never_interrupted(share: float) -> None:
    told = story(900)
    cut = int(share * len(told))
    whole, first, second = bare(), bare(), bare()
    expected = tell(whole, told)
    tell(first, told[:cut])
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
    assert second.readings() == first.readings()
    assert tell(second, told[cut:]) == expected[cut:]
    assert second.snapshot() == whole.snapshot()


def test_readings_are_pure() -> None:
    feature = bare()
    told = story(300)
    for observation in told:
        feature.update(observation)
    before = feature.snapshot()
    assert feature.readings() == feature.readings()
    assert feature.snapshot() == before


def test_a_snapshot_is_taken_back_by_a_feature_with_other_symbols() -> None:
    market = Market()
    market.send(liquidation(market.now, 70_000))
    other = LiquidationCascade(CascadeSettings(), Universe((BTC, "SOL/USDT")))
    other.restore(market.feature.snapshot())
    readings = other.update(Tick(market.now + 1000)).readings
    totals = {r.symbol: msgspec.to_builtins(r)["total_liquidation_usd"] for r in readings}
    assert totals == {BTC: 70_000, "SOL/USDT": 0, "ALL": 70_000}


@pytest.mark.parametrize(
    ("key", "value"),
    [("cascade_threshold_usd", 0), ("calm_fraction", 1), ("alert_from_severity", 6), ("typo", 1)],
)
def test_wrong_settings_are_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        CascadeSettings.model_validate({key: value})


def test_a_restart_in_a_quiet_market_says_nothing_that_was_said_before() -> None:
    market = Market()
    market.wait(2 * HOUR)
    market.send(liquidation(market.now, 1_000))
    market.wait(2 * MINUTE)
    other = LiquidationCascade(CascadeSettings(), Universe((BTC, ETH)))
    other.restore(market.feature.snapshot())
    for seconds in range(1, 1500, 7):
        tick = Tick(market.now + seconds * 1000)
        assert other.update(tick) == market.feature.update(tick)


def test_a_book_or_open_interest_that_nobody_was_told_of_is_told_after_a_restart() -> None:
    market, after = Market(), bare()
    market.wait(MINUTE)
    market.send(Tick(market.now + 1_000))
    market.send(OpenInterest(market.now + 2_000, VENUE, BTC, 1e4, 1e6))
    after.restore(market.feature.snapshot())
    told = after.update(Tick(market.now + 3_000)).readings
    assert BTC in [reading.symbol for reading in told]
    assert list(told) == list(market.feature.update(Tick(market.now + 3_000)).readings)
    assert after.snapshot() == market.feature.snapshot()

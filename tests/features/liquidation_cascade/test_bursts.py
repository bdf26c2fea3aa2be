"""Bursts in the readings: the evidence is that of the symbol's own liquidations, and of the market's."""

from regimes.features.liquidation_cascade import MarketCascadeReading
from regimes.observations import MARKET
from tests.features.liquidation_cascade.market import BTC, ETH, HOUR, MINUTE, Market, gap, liquidation


def usual_day() -> Market:
    market = Market()
    market.stream(
        liquidation(market.now + n * 10 * MINUTE + place, 800.0 + 50 * (n % 9), symbol)
        for n in range(1, 144)
        for place, symbol in enumerate((BTC, ETH))
    )
    return market


def rush(market: Market, symbol: str = BTC) -> int:
    first = market.now + 4 * MINUTE
    market.stream(liquidation(first + n * 2_000, 3_000.0, symbol) for n in range(40))
    market.wait(MINUTE)
    return first


def test_before_half_a_day_nothing_is_claimed() -> None:
    market = Market()
    market.evenly(5_000_000, HOUR, 600)
    reading = market.reading()
    assert reading.severity == 5
    assert (reading.burst, reading.burst_strength, reading.branching_ratio) == (None, None, None)


def test_a_burst_is_seen_in_its_symbol_and_counted_in_the_market() -> None:
    market = usual_day()
    assert (market.reading().burst, market.reading(ETH).burst) == (False, False)
    first = rush(market)
    reading, whole = market.reading(), market.reading(MARKET)
    assert (reading.burst, reading.burst_since_ms) == (True, first)
    assert reading.burst_strength is not None
    assert reading.burst_confidence is not None
    assert reading.branching_ratio is not None
    assert 0 < reading.branching_ratio < 1
    assert market.reading(ETH).burst is False
    assert isinstance(whole, MarketCascadeReading)
    assert (whole.burst, whole.burst_breadth) == (True, 1)
    rush(market, ETH)
    both = market.reading(MARKET)
    assert isinstance(both, MarketCascadeReading)
    assert both.burst_breadth == 2


def test_a_burst_is_over_without_new_data_and_the_reading_says_so() -> None:
    market = usual_day()
    rush(market)
    told = len(market.outputs)
    market.wait(6 * HOUR)
    assert market.reading().burst is False
    said = [r for output in market.outputs[told:] for r in output.readings if r.symbol == BTC]
    assert said
    assert getattr(said[-1], "burst", None) is False


def test_an_interruption_of_the_feed_is_no_silence() -> None:
    """After ten unwatched hours the pace of the day before is still what is usual."""
    quiet, away = usual_day(), usual_day()
    for market in (quiet, away):
        market.wait(10 * HOUR, step_ms=HOUR)
    away.send(gap(away.now - 10 * HOUR, away.now))
    for market in (quiet, away):
        market.stream(liquidation(market.now + (n + 1) * 8 * MINUTE, 1_000.0) for n in range(8))
    silent, unseen = quiet.reading().burst_strength, away.reading().burst_strength
    assert silent is not None
    assert unseen is not None
    assert unseen < silent


def test_it_is_the_same_after_a_restart() -> None:
    market, again = usual_day(), Market()
    rush(market)
    again.feature.restore(market.feature.snapshot())
    assert list(again.feature.readings()) == list(market.feature.readings())
    later = liquidation(market.now + 5_000, 9_000.0)
    for feature in (market.feature, again.feature):
        feature.update(later)
    assert list(again.feature.readings()) == list(market.feature.readings())
    assert market.reading().burst_since_ms is not None


def chains(market: Market, symbol: str = BTC) -> tuple[float | None, float | None]:
    reading = market.reading(symbol)
    return reading.branching_ratio_fitted, reading.branching_half_life_s


def in_chains(market: Market) -> None:
    """Half a day in which every quarter of an hour one liquidation brings about nine others."""
    starts = [market.now + n * 15 * MINUTE for n in range(1, 49)]
    market.stream(liquidation(start + place * 4_000, 800.0) for start in starts for place in range(10))


def test_how_self_exciting_liquidations_are_is_fitted_once_an_hour() -> None:
    market = Market()
    in_chains(market)
    market.wait(HOUR)
    before = chains(market)
    assert before[0] is not None
    assert 0.7 < before[0] < 1
    assert before[1] == 5.0
    assert chains(market, ETH) == (None, None)
    assert chains(market, MARKET) == (None, None)
    rush(market)
    rush(market)
    assert chains(market) == before, "the hour is not over"
    market.wait(HOUR)
    assert chains(market) != before


def test_a_restored_feature_fits_the_same() -> None:
    market = Market()
    in_chains(market)
    market.wait(HOUR)
    again = Market()
    again.now = market.now
    again.feature.restore(market.feature.snapshot())
    assert chains(again) == chains(market)
    for one in (market, again):
        rush(one)
        one.wait(HOUR)
    assert chains(again) == chains(market)
    assert chains(again)[0] is not None

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.observations import Candle, FeedGap, FundingRate, Liquidation
from regimes.study.score.outcomes import (
    OUTCOMES,
    Outcome,
    drawdown,
    funding_change,
    liquidated,
    price_return,
    volatility,
)
from regimes.study.score.series import SeriesBuilder, month_volatility, volatility_ratio
from regimes.timeframe import DAY_MS, HOUR_MS

from .market import FROM_MS, series

LATER = series(2, seed=3)


def test_the_return_is_from_the_open_of_the_first_hour_to_the_close_of_the_last() -> None:
    known = series(1)
    place = 900
    expected = known.close[place + 3] / known.open[place] - 1
    assert price_return(known, 4)[place] == pytest.approx(expected)


def test_the_drawdown_is_to_the_lowest_low_in_units_of_the_months_volatility() -> None:
    known = series(1)
    lowest = known.low[900:924].min()
    assert drawdown(known, 24)[900] == pytest.approx(
        (1 - lowest / known.open[900]) / month_volatility(known)[900]
    )


def test_the_volatility_of_a_steady_market_is_as_expected_at_any_horizon() -> None:
    known = series(30)
    for hours in (4, 24, 72):
        values = volatility(known, hours)[800:-100]
        assert np.exp(np.nanmean(values)) == pytest.approx(
            0.9, abs=0.12
        )  # four steps an hour see a little less range


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.name)
@pytest.mark.parametrize("hours", [1, 4, 24, 72])
def test_an_outcome_whose_window_is_not_over_is_not_known(outcome: Outcome, hours: int) -> None:
    values = outcome.measure(LATER, hours)
    assert np.isnan(values[LATER.hours - hours + 1 :]).all()


@settings(deadline=None, max_examples=25)
@given(cut=st.integers(800, 1200), hours=st.sampled_from([1, 4, 24, 72]))
def test_nothing_after_its_window_changes_an_outcome(cut: int, hours: int) -> None:
    known = series(3)
    for outcome in OUTCOMES:
        whole = outcome.measure(known, hours)
        changed = series(3, louder=dict.fromkeys(range(cut, known.hours), 5.0))
        assert np.array_equal(
            whole[: cut - hours], outcome.measure(changed, hours)[: cut - hours], equal_nan=True
        ), outcome.name


@settings(deadline=None, max_examples=25)
@given(cut=st.integers(800, 1200))
def test_the_state_an_hour_is_in_knows_nothing_of_that_hour_and_those_after_it(cut: int) -> None:
    known, changed = series(3), series(3, louder=dict.fromkeys(range(cut, 1200), 5.0))
    for state in (volatility_ratio, month_volatility):
        assert np.array_equal(state(known)[: cut + 1], state(changed)[: cut + 1], equal_nan=True)


def test_hours_without_bars_make_outcomes_over_them_unknown() -> None:
    builder = SeriesBuilder(["A/USDT"], FROM_MS, FROM_MS + 40 * HOUR_MS)
    for place in range(40):
        if not 10 <= place < 15:
            builder.take(Candle("v", "A/USDT", "1h", FROM_MS + place * HOUR_MS, 1.0, 1.1, 0.9, 1.0, 1.0))
    known = price_return(builder.built()["A/USDT"], 4)
    assert np.isfinite(known[[6, 15]]).all()
    assert np.isnan(known[7:15]).all()


def test_funding_is_what_was_in_force_and_changes_only_with_a_settlement() -> None:
    builder = SeriesBuilder(["A/USDT"], FROM_MS, FROM_MS + 20 * HOUR_MS)
    builder.take(Candle("v", "A/USDT", "1h", FROM_MS, 1.0, 1.1, 0.9, 1.0, 1.0))
    builder.take(FundingRate(FROM_MS + 2 * HOUR_MS, "v", "A/USDT", 0.0001, 8.0))
    builder.take(FundingRate(FROM_MS + 6 * HOUR_MS, "v", "A/USDT", 0.0001, 4.0))
    change = funding_change(builder.built()["A/USDT"], 4)
    assert np.isnan(change[:2]).all()
    assert change[2:7].tolist() == pytest.approx([0.0001] * 4 + [0.0])


def test_hours_in_which_nobody_watched_liquidations_are_unknown_and_not_zero() -> None:
    builder = SeriesBuilder(["A/USDT"], FROM_MS, FROM_MS + 10 * HOUR_MS)
    builder.take(Candle("v", "A/USDT", "1h", FROM_MS, 1.0, 1.1, 0.9, 1.0, 1.0))
    gap = FeedGap(FROM_MS, "v", "liquidation", None, FROM_MS - DAY_MS, None, "start")
    builder.take(gap)
    builder.take(
        FeedGap(FROM_MS + HOUR_MS, "v", "liquidation", None, FROM_MS - DAY_MS, FROM_MS + HOUR_MS + 1, "start")
    )
    builder.take(Liquidation(FROM_MS + 3 * HOUR_MS, "v", "A/USDT", "long", 1.0, 5.0, 5.0))
    known = liquidated(builder.built()["A/USDT"], 2)
    assert np.isnan(known[:2]).all()
    assert known[2:6].tolist() == [5.0, 5.0, 0.0, 0.0]


def test_without_any_liquidation_in_the_source_nothing_is_known_of_them() -> None:
    assert np.isnan(liquidated(LATER, 4)).all()

"""How unusual a cascade is for its symbol: against its own watched hours."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.events import Event, Phase, Severity
from regimes.features.liquidation_cascade.baseline import HOURS, QUANTILES, Baseline
from regimes.features.liquidation_cascade.tracker import Tracker
from tests.features.liquidation_cascade.market import BTC, DAY, ETH, HOUR, MINUTE, Market, gap, liquidation

FIRST = 472_222


def filled(sums: list[int], *, needed: int = 24, watched: list[bool] | None = None) -> Baseline:
    baseline = Baseline(needed)
    for n, cents in enumerate(sums):
        if cents:
            baseline.add((FIRST + n) * HOUR, cents)
        baseline.close(FIRST + n, watched=watched[n] if watched else True)
    return baseline


@given(st.lists(st.integers(0, 10**9), min_size=24, max_size=900))
@settings(deadline=None, max_examples=60)
def test_bounds_are_the_quantiles_of_the_last_thirty_days(sums: list[int]) -> None:
    expected = np.quantile(np.array(sums[-HOURS:]), QUANTILES)
    assert filled(sums).bounds() == tuple(max(1, int(np.ceil(bound))) for bound in expected)


def test_before_a_day_was_watched_nothing_is_known() -> None:
    baseline = filled([100] * 23)
    assert baseline.bounds() is None
    assert baseline.severity(10**9, 100) is None
    baseline.close(FIRST + 23, watched=True)
    assert baseline.severity(10**9, 100) == 5


def test_hours_that_were_not_watched_are_unknown_and_not_quiet() -> None:
    sums = [1000, 0] * 24
    every, half = filled(sums), filled(sums, watched=[True, False] * 24)
    assert (every.hours, half.hours) == (48, 24)
    assert half.bounds() == (1000,) * 4
    skipped = Baseline(24)
    for n in range(24):
        skipped.add((FIRST + 100 * n) * HOUR, 1000)
        skipped.close(FIRST + 100 * n, watched=True)
    assert skipped.hours == 8, "of each hundred hours one was told of, and 30 days hold eight of them"


def test_severity_grows_with_rarity_and_needs_three_liquidations() -> None:
    baseline = filled(list(range(1, 721)))
    assert [baseline.severity(cents, 3) for cents in (0, 500, 648, 699, 713, 718)] == [1, 1, 1, 3, 4, 5]
    assert baseline.severity(10**9, 2) == 1


def test_in_a_symbol_with_empty_hours_only_money_is_unusual() -> None:
    baseline = filled([0] * 200)
    assert baseline.severity(0, 3) == 1
    assert baseline.severity(1, 3) == 5


def test_a_late_liquidation_counts_in_its_own_hour_and_one_too_old_nowhere() -> None:
    baseline = filled([0] * 24)
    baseline.add(FIRST * HOUR, 700)
    assert baseline.bounds() == filled([700, *[0] * 23]).bounds()
    before = baseline.past(), baseline.present_cents
    baseline.add((FIRST - HOURS) * HOUR, 10**6)
    assert (baseline.past(), baseline.present_cents) == before


def test_a_snapshot_goes_on_as_if_never_interrupted() -> None:
    whole = filled(list(range(300)))
    cut = Baseline(24)
    half = filled(list(range(200)))
    cut.restore(half.past(), half.present_cents)
    for n in range(200, 300):
        cut.add((FIRST + n) * HOUR, n)
        cut.close(FIRST + n, watched=True)
    assert (cut.bounds(), cut.past(), cut.present_cents) == (
        whole.bounds(),
        whole.past(),
        whole.present_cents,
    )


def busy(market: Market, hours: int, usd: float) -> None:
    """So much in each hour, in four parts."""
    for _ in range(hours):
        market.evenly(usd, HOUR, 4)


def tracker(market: Market) -> Tracker:
    return market.feature._trackers[BTC]


def told(events: list[Event]) -> list[tuple[Phase, int | None]]:
    return [(e.phase, e.data["peak_severity_relative"]) for e in events if e.symbol == BTC]


def test_what_every_hour_brings_is_severe_in_dollars_and_usual_for_the_symbol() -> None:
    market = Market()
    busy(market, 30, 700_000)
    reading = market.reading()
    assert (reading.severity, reading.severity_relative) == (5, 5), "ties count as reached"
    busy(market, 6, 700_000 * 0.9)
    reading = market.reading()
    assert (reading.severity, reading.severity_relative) == (5, 1)


def test_an_open_cascade_is_updated_when_it_becomes_unusual_with_the_liquidation_that_does_it() -> None:
    market = Market()
    busy(market, 10, 900_000)
    busy(market, 20, 700_000)
    assert market.reading().severity_relative == 1
    assert tracker(market).episode.is_open
    seen = len(market.events)
    for n in range(1, 21):
        market.send(liquidation(market.now + n, 100_000))
    new = told(market.events[seen:])
    assert new
    assert new[-1] == (Phase.UPDATED, 5)
    assert [relative for _, relative in new] == sorted({r for _, r in new if r is not None})
    market.wait(DAY)
    assert told(market.events)[-1] == (Phase.CLOSED, 5)


@pytest.mark.parametrize("least", [None, 3, 5])
def test_few_dollars_are_an_event_from_the_liquidation_on_that_makes_them_unusual_enough(
    least: int | None,
) -> None:
    market = Market(alert_from_relative=least)
    busy(market, 6, 2_000)
    busy(market, 30, 1_000)
    unusual_from = opened_at = None
    for n in range(1, 61):
        events = market.send(liquidation(market.now + n, 100))
        if unusual_from is None and least and (market.reading().severity_relative or 0) >= least:
            unusual_from = n
        if opened_at is None and [e for e in events if e.symbol == BTC]:
            opened_at = n
    assert opened_at == unusual_from
    assert bool(opened_at) is bool(least)


def test_an_event_of_few_dollars_says_so_and_ends_as_any_other() -> None:
    market = Market((BTC,), alert_from_relative=4, market_multiple=1e6)
    busy(market, 6, 2_000)
    busy(market, 30, 1_000)
    opened, *_ = market.send(*(liquidation(market.now + n, 500) for n in range(1, 41)))
    assert (opened.phase, opened.severity) == (Phase.OPENED, Severity.WARNING)
    assert (opened.data["basis"], opened.data["peak_severity"]) == ("relative", 0)
    assert "relative severity 4 of 5 >= 4" in opened.why or "relative severity 5 of 5 >= 4" in opened.why
    assert "Severity 0 of 5 at its peak" in opened.description
    large = market.send(*(liquidation(market.now + 100 + n, 50_000) for n in range(1, 21)))
    assert (large[-1].severity, large[-1].data["basis"]) == (Severity.CRITICAL, "absolute")
    market.wait(DAY)
    states = market.of(BTC)
    assert states[-1].phase is Phase.CLOSED
    assert [state.revision for state in states] == list(range(len(states)))


def test_a_cascade_that_nothing_can_be_compared_with_says_so() -> None:
    market = Market()
    event = market.send(*(liquidation(market.now + n, 300_000) for n in range(3)))[0]
    assert event.data["severity_relative"] is None
    assert "too few hours watched" in event.description


def test_hours_with_the_feed_interrupted_do_not_count() -> None:
    market = Market()
    busy(market, 5, 10_000)
    hours = tracker(market).baseline.hours
    market.send(gap(market.now, None))
    market.wait(5 * HOUR)
    market.send(gap(market.now - 5 * HOUR, market.now))
    assert tracker(market).baseline.hours <= hours + 1
    market.wait(3 * HOUR)
    assert tracker(market).baseline.hours == pytest.approx(hours + 3, abs=1)


def test_one_symbols_gap_leaves_the_others_hours_alone() -> None:
    market = Market()
    market.wait(2 * HOUR)
    market.send(gap(market.now, None, symbol=ETH))
    market.wait(4 * HOUR, step_ms=30 * MINUTE)
    hours = {symbol: t.baseline.hours for symbol, t in market.feature._trackers.items()}
    assert hours[BTC] - hours[ETH] == 4

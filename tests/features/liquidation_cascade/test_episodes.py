"""One event an episode: opened, made worse, closed; and no second one without new money."""

import pytest

from regimes.events import Event, Phase, Severity
from regimes.features.liquidation_cascade import MarketCascadeReading
from regimes.observations import Tick
from tests.features.liquidation_cascade.market import BTC, DAY, ETH, HOUR, MINUTE, Market, gap, liquidation


def phases(events: list[Event]) -> list[tuple[Phase, int]]:
    return [(event.phase, event.data["severity"]) for event in events]


def steps(market: Market) -> list[Phase]:
    """What happened to BTC, leaving escalations out."""
    return [event.phase for event in market.of(BTC) if event.phase is not Phase.UPDATED]


def test_an_alert_leaves_with_the_very_liquidation_that_causes_it() -> None:
    market = Market()
    assert market.send(liquidation(market.now, 500_000)) == []
    output = market.feature.update(liquidation(market.now + 5, 1))
    assert [(e.symbol, e.severity) for e in output.events] == [
        (BTC, Severity.CRITICAL),
        ("ALL", Severity.CRITICAL),
    ]
    assert [r.symbol for r in output.readings] == [BTC, "ALL"]
    assert output.events[0].ts_ms == market.now + 5
    assert output.events[0].started_ms == market.now


def test_an_episode_is_opened_updated_on_each_step_up_and_closed_once() -> None:
    market = Market()
    start = market.now
    events = market.stream(liquidation(start + 15 * MINUTE * i, 60_000) for i in range(1, 20))
    burst = market.now + 10_000
    events += market.stream(liquidation(burst + i, 100_000) for i in range(5))
    events += market.wait(2 * DAY)
    ours = [event for event in events if event.symbol == BTC]
    assert phases(ours)[:3] == [(Phase.OPENED, 3), (Phase.UPDATED, 4), (Phase.UPDATED, 5)]
    assert [event.severity for event in ours[:3]] == [Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL]
    assert [event.revision for event in ours] == [0, 1, 2, 3]
    assert ours[-1].phase is Phase.CLOSED
    assert {event.id for event in ours} == {ours[0].id}
    assert ours[-1].data["peak_severity"] == 5
    assert ours[-1].severity is Severity.CRITICAL


def test_quiet_ticks_alone_close_an_episode_with_its_length_and_peak() -> None:
    market = Market()
    start = market.now
    market.stream(liquidation(start + i * 1000, 50_000) for i in range(1, 41))
    closed = market.wait(HOUR)
    ended = [event for event in closed if event.symbol == BTC]
    assert [event.phase for event in ended] == [Phase.CLOSED]
    # The last liquidation leaves the ten minutes' intensity at 10 min 40 s, and it must be calm for ten more.
    assert ended[0].ts_ms == start + 21 * MINUTE
    assert ended[0].data["episode_usd"] == 2_000_000
    assert ended[0].data["peak_intensity_usd_per_hour"] == 12_000_000
    assert ended[0].data["duration_hours"] == pytest.approx(21 / 60, abs=0.01)
    assert ended[0].title == "BTC/USDT liquidation cascade over: 2.0 M USD in 20 min"
    assert market.reading().duration_hours is None


@pytest.mark.parametrize("step_ms", [1_000, 5_000, 30_000, MINUTE])
def test_the_peak_is_that_of_the_liquidations_however_often_time_is_told(step_ms: int) -> None:
    market = Market()
    start = market.now
    burst = [liquidation(start + ms, 200_000) for ms in range(10_500, 40_000, 2_000)]
    # Fast for the last time ten minutes after the first, which leave before the next Tick.
    echo = [liquidation(start + 10 * MINUTE + ms, 150_000) for ms in range(10_250, 16_000, 1_000)]
    market.stream([*burst, *echo], step_ms=step_ms)
    market.wait(2 * HOUR, step_ms=step_ms)
    times, usd = ([item.ts_ms for item in (*burst, *echo)], [item.quote_usd for item in (*burst, *echo)])
    highest = max(
        sum(u for at, u in zip(times, usd, strict=True) if now - 10 * MINUTE < at <= now) for now in times
    )
    (closed,) = market.of(BTC, Phase.CLOSED)
    assert closed.data["peak_intensity_usd_per_hour"] == highest * 6


def test_it_is_not_calm_while_each_liquidation_brings_a_quarter_back_for_a_moment() -> None:
    market = Market()
    market.evenly(4_000_000, 10 * MINUTE, 40)
    for _ in range(60):
        market.evenly(110_000, MINUTE, 1)
    assert market.of(BTC, Phase.CLOSED) == []


def test_an_episode_stays_open_while_a_quarter_of_its_peak_goes_on() -> None:
    market = Market()
    market.evenly(4_000_000, 10 * MINUTE, 40)
    market.evenly(6_600_000, HOUR, 60)
    assert market.of(BTC, Phase.CLOSED) == []
    market.evenly(4_500_000, HOUR, 60)
    assert len(market.of(BTC, Phase.CLOSED)) == 1
    assert len(market.of(BTC, Phase.OPENED)) == 1


def test_a_lull_of_less_than_ten_minutes_does_not_close_it() -> None:
    market = Market()
    market.evenly(1_000_000, MINUTE, 10)
    for _ in range(5):
        market.wait(18 * MINUTE)
        market.evenly(1_000_000, MINUTE, 10)
    assert steps(market) == [Phase.OPENED]


def test_the_same_high_total_does_not_open_it_again() -> None:
    market = Market()
    market.evenly(5_000_000, 5 * MINUTE, 50)
    market.wait(HOUR)
    assert market.reading().severity == 5
    market.evenly(400_000, 4 * HOUR, 240)
    assert market.reading().severity == 4
    assert market.reading().alert_level is Severity.CRITICAL
    market.wait(2 * DAY)
    assert steps(market) == [Phase.OPENED, Phase.CLOSED]


def test_a_second_burst_that_is_a_cascade_by_itself_is_a_second_episode() -> None:
    market = Market()
    market.evenly(5_000_000, 5 * MINUTE, 50)
    market.wait(2 * HOUR)
    second = market.evenly(600_000, 5 * MINUTE, 50)
    opened = market.of(BTC, Phase.OPENED)
    assert len(opened) == 2
    assert opened[0].id != opened[1].id
    assert opened[1].started_ms > market.of(BTC, Phase.CLOSED)[0].ts_ms
    assert next(e for e in second if e.symbol == BTC).data["episode_usd"] == pytest.approx(500_000, rel=0.05)


def test_the_tail_of_a_great_cascade_does_not_open_another_until_it_has_died_down() -> None:
    market = Market()
    market.evenly(50_000_000, 10 * MINUTE, 100)
    market.evenly(9_000_000, HOUR, 360)
    assert steps(market) == [Phase.OPENED, Phase.CLOSED]
    market.evenly(9_000_000, HOUR, 360)
    assert steps(market) == [Phase.OPENED, Phase.CLOSED]
    market.wait(HOUR)
    market.evenly(1_500_000, 10 * MINUTE, 60)
    assert steps(market) == [Phase.OPENED, Phase.CLOSED, Phase.OPENED]


def test_silence_while_the_feed_is_interrupted_does_not_close_an_episode() -> None:
    market = Market()
    market.evenly(2_000_000, 5 * MINUTE, 50)
    opened = market.now
    market.send(gap(opened, None))
    market.wait(2 * HOUR)
    assert steps(market) == [Phase.OPENED]
    market.send(gap(opened, market.now))
    market.wait(HOUR)
    closed = market.of(BTC, Phase.CLOSED)
    assert [e.ts_ms for e in closed] == [opened + 2 * HOUR + 11 * MINUTE]


def test_an_interruption_that_outlasts_the_window_ends_the_episode() -> None:
    market = Market()
    market.evenly(2_000_000, 5 * MINUTE, 50)
    market.send(gap(market.now, None))
    market.wait(26 * HOUR)
    assert len(market.of(BTC, Phase.CLOSED)) == 1
    assert market.of(BTC, Phase.CLOSED)[0].ts_ms > market.of(BTC)[0].ts_ms + DAY


def test_lower_severities_alert_as_information_when_asked_for() -> None:
    market = Market(alert_from_severity=1)
    market.evenly(520_000, 20 * HOUR, 1200)
    event = market.of(BTC, Phase.OPENED)[0]
    assert event.severity is Severity.INFO
    assert event.why == "24 h total 500,063 USD > 500,000"
    market.wait(2 * DAY)
    assert len(market.of(BTC, Phase.CLOSED)) == 1


def test_thresholds_scale_with_the_settings() -> None:
    market = Market(cascade_threshold_usd=50_000, critical_velocity=20_000, market_multiple=100)
    market.evenly(60_000, 5 * MINUTE, 5)
    assert market.reading().severity == 5
    assert market.reading("ALL").severity == 0
    assert len(market.of("ALL")) == 0


def test_the_market_sums_every_symbol_configured_or_not() -> None:
    market = Market()
    now = market.now
    market.send(liquidation(now, 100_000), liquidation(now, 200_000, ETH, closed="short"))
    market.send(*(liquidation(now, 300_000, f"M{i}/USDT") for i in range(3)))
    market.wait(MINUTE)
    reading = market.reading("ALL")
    assert isinstance(reading, MarketCascadeReading)
    assert (reading.total_liquidation_usd, reading.event_count, reading.largest_usd) == (
        1_200_000,
        5,
        300_000,
    )
    assert (reading.long_usd, reading.short_usd, reading.dominant_side) == (1_000_000, 200_000, "long")
    assert reading.breadth == 0
    assert [r.symbol for r in market.feature.readings()] == [BTC, ETH, "ALL"]
    assert set(market.feature.snapshot()["trackers"]) == {BTC, ETH, "ALL"}
    assert market.of("ALL", Phase.OPENED)[0].title.startswith("Market-wide liquidation cascade: 600 k USD")


def test_breadth_counts_the_symbols_in_an_episode() -> None:
    market = Market()
    market.send(*(liquidation(market.now, 700_000, symbol) for symbol in (BTC, ETH, "X/USDT")))
    market.wait(MINUTE)
    reading = market.reading("ALL")
    assert isinstance(reading, MarketCascadeReading)
    assert reading.breadth == 2


def test_an_event_says_what_why_and_how_sure_in_plain_words() -> None:
    market = Market()
    market.wait(DAY)
    event = market.evenly(5_000_000, 10 * HOUR, 600)[0]
    assert event.why.startswith("velocity 500,000 USD/h >= 200,000 and 24 h total 508,333 USD > 500,000")
    assert event.title == "BTC/USDT liquidation cascade: 500 k USD in 59 min"
    assert "100 % of it longs" in event.description
    assert "The true sums are higher" in event.description
    assert event.data["total_liquidation_usd"] > 500_000
    assert event.source == "CASCADE"
    assert {"support_levels", "velocity_usd_per_hour", "severity", "long_usd", "episode_usd"} <= set(
        event.data
    )
    market.wait(HOUR)
    closed = market.of(BTC, Phase.CLOSED)[0]
    assert closed.why == "intensity 0 USD/h < 25 % of its peak 500,000 USD/h for 10 min"
    assert closed.title == "BTC/USDT liquidation cascade over: 5.0 M USD in 10.3 h"


def test_an_event_brings_its_reading_and_a_burst_costs_one_reading_a_tick() -> None:
    market = Market()
    market.wait(MINUTE)
    outputs = [market.feature.update(liquidation(market.now, 10)) for _ in range(100)]
    assert all(not output.readings for output in outputs)
    after = market.feature.update(Tick(market.now + 1000))
    assert [r.symbol for r in after.readings] == [BTC, "ALL"]
    assert market.feature.update(Tick(market.now + 2000)).readings == []

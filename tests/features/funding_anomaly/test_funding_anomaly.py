import doctest
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from regimes.events import Event, EventType, Phase, Severity
from regimes.features import funding_anomaly
from regimes.features.base import Output, Status, Universe
from regimes.features.funding_anomaly import FundingAnomaly, FundingReading, FundingSettings, arrays
from regimes.observations import FundingRate, MarkPrice, Observation, Tick, Unavailable

BTC, ETH = "BTC/USDT", "ETH/USDT"
HOUR, DAY = 3_600_000, 86_400_000
START = 1_700_006_400_000
VENUE = "binanceusdm"
QUIET = [1e-4, 1.1e-4, 0.9e-4, 1e-4, 1.05e-4, 0.95e-4] * 15


class Settling:
    """Settles rates every eight hours, with a tick a minute after each."""

    def __init__(self, symbols: Sequence[str] = (BTC,), **settings: Any) -> None:
        self.feature = FundingAnomaly(FundingSettings(**settings), Universe(tuple(symbols)))
        self.now = START
        self.outputs: list[Output] = []

    def send(self, *observations: Observation) -> list[Event]:
        outputs = [self.feature.update(observation) for observation in observations]
        self.outputs += outputs
        return [event for output in outputs for event in output.events]

    def settle(self, rates: Iterable[float], hours: float = 8.0) -> list[Event]:
        events = []
        for rate in rates:
            self.now += round(hours * HOUR)
            events += self.send(FundingRate(self.now, VENUE, BTC, rate, hours), Tick(self.now + 60_000))
        return events

    def reading(self, symbol: str = BTC) -> FundingReading:
        found = [r for r in self.feature.readings() if r.symbol == symbol]
        assert isinstance(found[0], FundingReading)
        return found[0]

    def said(self) -> bytes:
        return msgspec.json.encode(
            [[output.readings, output.events] for output in self.outputs], enc_hook=list
        )


def test_the_examples_in_the_docstrings_hold() -> None:
    for module in (funding_anomaly, arrays):
        result = doctest.testmod(module)
        assert result.failed == 0
        assert result.attempted > 1


def test_the_worked_example_mean_0_0008_std_0_0003_current_0_00125_percent_is_watch() -> None:
    # 89 earlier rates chosen so that all 90 together have exactly that mean and deviation.
    mean, std, current = 0.0008e-2, 0.0003e-2, 0.00125e-2
    n = 90
    rest_mean = (n * mean - current) / (n - 1)
    rest_squares = (n - 1) * std**2 - (current - mean) ** 2 - (n - 1) * (rest_mean - mean) ** 2
    wave = np.where(np.arange(n - 1) % 2 == 0, 1.0, -1.0)
    wave[-1] = 0.0
    rest = rest_mean + wave * np.sqrt(rest_squares / (n - 2))
    market = Settling()
    market.settle([*rest.tolist(), current])
    reading = market.reading()
    assert reading.mean_8h == pytest.approx(mean)
    assert reading.std_8h == pytest.approx(std)
    assert reading.z_score == pytest.approx(1.5)
    assert (reading.band, reading.is_anomaly, reading.alert_level) == ("watch", False, None)
    assert (reading.status, reading.n) == (Status.OK, 90)
    assert reading.coverage == 1


@pytest.mark.parametrize(
    ("z", "band"), [(0.99, "normal"), (1.01, "watch"), (1.99, "watch"), (2.01, "anomaly")]
)
def test_bands(z: float, band: str) -> None:
    reading = with_z(z)
    assert reading.z_score == pytest.approx(z)
    assert reading.band == band
    assert with_z(-z).band == band
    assert reading.is_anomaly is (band == "anomaly")


def with_z(z: float) -> FundingReading:
    market = Settling()
    market.settle([*QUIET[:-1], rate_for(z)])
    return market.reading()


def rate_for(z: float, history: Sequence[float] = QUIET[:-1]) -> float:
    """The rate that has this z when it is the newest: solved from the definition."""
    past = np.array(history)
    n = len(past) + 1
    away = abs(z) * np.sqrt(past.var() / (((n - 1) / n) ** 2 - z**2 / n))
    return float(past.mean() + np.sign(z) * away)


def test_before_thirty_settlements_the_rate_is_shown_and_nothing_is_claimed() -> None:
    market = Settling()
    assert market.reading().status is Status.WARMING
    assert market.reading().funding_rate is None
    market.settle([1e-4] * 28 + [9e-3])
    reading = market.reading()
    assert (reading.status, reading.n, reading.needed) == (Status.WARMING, 29, 30)
    assert reading.funding_rate == 9e-3
    assert (reading.z_score, reading.percentile, reading.band, reading.is_anomaly) == (None, None, None, None)
    market.settle([9e-3])
    assert market.reading().z_score is not None


def test_the_window_is_thirty_days_in_time_whatever_the_interval() -> None:
    market = Settling()
    market.settle([1e-4] * 90)
    assert market.reading().n == 90
    market.settle([0.5e-4] * 60, hours=4)
    reading = market.reading()
    assert reading.n == 60 + 60
    assert (reading.funding_rate, reading.interval_hours, reading.rate_8h) == (0.5e-4, 4.0, 1e-4)
    assert reading.z_score == 0
    market.settle([0.125e-4] * 24, hours=1)
    assert market.reading().n == 24 + 60 + 57
    assert market.reading().std_8h == pytest.approx(0, abs=1e-15)


def test_a_change_of_interval_is_no_anomaly_by_itself() -> None:
    market = Settling()
    market.settle(QUIET)
    assert market.settle([0.5e-4, 0.5e-4], hours=4) == []
    assert market.reading().band == "normal"


def test_an_anomaly_opens_grows_critical_and_closes_when_funding_is_usual_again() -> None:
    market = Settling()
    market.settle(QUIET)
    opened = market.settle([rate_for(2.5, QUIET[1:])])
    assert [(e.type, e.phase, e.severity) for e in opened] == [
        (EventType.FUNDING_ANOMALY, Phase.OPENED, Severity.WARNING)
    ]
    assert opened[0].started_ms == market.now
    assert opened[0].why == "|z| 2.50 >= 2"
    worse = market.settle([9e-4])
    assert [(e.phase, e.severity, e.revision) for e in worse] == [(Phase.UPDATED, Severity.CRITICAL, 1)]
    watch = market.settle([2.5e-4])
    assert market.reading().band == "watch"
    assert watch == []
    closed = market.settle([1e-4])
    assert [(e.phase, e.revision, e.id) for e in closed] == [(Phase.CLOSED, 2, opened[0].id)]
    assert closed[0].why.startswith("|z| 0.")
    assert market.settle([1e-4] * 20) == []


def test_extremes_on_both_sides_are_two_episodes() -> None:
    market = Settling()
    market.settle(QUIET)
    up = market.settle([9e-4])
    down = market.settle([-9e-4])
    anomalies = [e for e in down if e.type is EventType.FUNDING_ANOMALY]
    assert [e.phase for e in anomalies] == [Phase.CLOSED, Phase.OPENED]
    assert anomalies[0].id == up[0].id != anomalies[1].id
    assert anomalies[1].started_ms == market.now
    assert "unusually low" in anomalies[1].title


def test_a_reversal_is_said_once_and_ends_with_the_next_settlement() -> None:
    market = Settling()
    market.settle(QUIET)
    market.settle([9e-4, 5e-4])
    turned = [e for e in market.settle([-1e-4]) if e.type is EventType.FUNDING_REVERSAL]
    assert [(e.phase, e.severity) for e in turned] == [(Phase.OPENED, Severity.WARNING)]
    assert turned[0].started_ms == market.now
    assert market.reading().reversal is True
    assert market.reading().direction == "shorts_pay"
    after = [e for e in market.settle([-1e-4]) if e.type is EventType.FUNDING_REVERSAL]
    assert [(e.phase, e.id) for e in after] == [(Phase.CLOSED, turned[0].id)]
    assert market.reading().reversal is False


def test_a_sign_that_changes_long_after_the_extreme_is_no_reversal() -> None:
    market = Settling()
    market.settle([*QUIET, 9e-4, *[1e-4] * 9])
    assert all(e.type is not EventType.FUNDING_REVERSAL for e in market.settle([-1e-4]))
    market = Settling(reversal_within_hours=96)
    market.settle([*QUIET, 9e-4, *[1e-4] * 9])
    assert any(e.type is EventType.FUNDING_REVERSAL for e in market.settle([-1e-4]))


def test_words_are_about_funding_and_claim_nothing_about_price() -> None:
    market = Settling()
    market.settle(QUIET)
    events = market.settle([9e-4, -1e-4, 1e-4])
    assert {e.type for e in events} == {EventType.FUNDING_ANOMALY, EventType.FUNDING_REVERSAL}
    for event in events:
        assert "funding" in event.title
        assert "mean reversion" not in event.title + event.description
        if event.phase is not Phase.CLOSED:
            assert "says nothing about where the price will go" in event.description
    assert events[0].title.startswith("BTC/USDT funding unusually high: +0.0900 % per 8 h (z +")
    assert "Longs pay shorts +0.0900 % per 8 h" in events[0].description


def test_an_unusual_rate_has_a_probability_of_being_usual_again_and_the_event_says_it() -> None:
    market = Settling()
    market.settle(QUIET)
    assert (market.reading().p_revert_24h, market.reading().p_revert_72h) == (None, None)
    (event,) = market.settle([9e-4])
    soon, later = market.reading().p_revert_24h, market.reading().p_revert_72h
    assert soon is not None
    assert later is not None
    assert 0.5 < soon < later < 1, "one settlement far out is mostly over soon"
    assert event.data["p_revert_24h"] == soon
    assert f"within 24 h with a probability of {soon:.0%}" in event.description.replace("\u202f", "").replace(
        " %", "%"
    )
    market.settle([9e-4] * 6)
    lasting = market.reading().p_revert_24h
    assert lasting is not None
    assert lasting < soon, "the longer it has lasted, the longer it will"


def test_four_hourly_rates_are_judged_by_the_mean_of_each_eight_hours() -> None:
    eight, four = Settling(), Settling()
    rates = [*QUIET, *QUIET[:60], 9e-4]
    eight.settle(rates)
    four.settle([rate / 2 for rate in rates for _ in range(2)], hours=4)
    found, expected = four.reading(), eight.reading()
    assert (found.n, expected.n) == (180, 90)
    assert found.p_revert_24h == pytest.approx(expected.p_revert_24h)
    assert found.p_revert_72h == pytest.approx(expected.p_revert_72h)


def test_a_flat_history_is_degenerate_once_the_rate_leaves_it() -> None:
    market = Settling()
    market.settle([1e-4] * 90)
    assert (market.reading().status, market.reading().z_score) == (Status.OK, 0.0)
    assert market.reading().percentile == 50
    market.settle([1.004e-4])
    reading = market.reading()
    assert (reading.status, reading.z_score, reading.band) == (Status.DEGENERATE, None, None)
    assert reading.percentile is not None
    assert reading.z_robust == pytest.approx(0.04)


def test_warm_up_brings_one_judgement_and_no_events_about_the_past() -> None:
    feature = FundingAnomaly(FundingSettings(), Universe((BTC,)))
    need = feature.warmup()[0]
    assert (need.kind, need.span_ms) == ("funding", 2 * 30 * DAY)
    rates = [*QUIET[:40], 9e-4, -9e-4, *QUIET[:40]]
    for index, rate in enumerate(rates):
        assert feature.update(FundingRate(START + index * 8 * HOUR, VENUE, BTC, rate, 8.0)) == Output()
    output = feature.update(Tick(START + len(rates) * 8 * HOUR))
    assert output.events == []
    assert [r.n for r in output.readings] == [82]


def test_an_extreme_found_at_start_began_with_the_first_settlement_of_its_run() -> None:
    feature = FundingAnomaly(FundingSettings(), Universe((BTC,)))
    for index, rate in enumerate([*QUIET[:60], 9e-4, 9e-4, 8e-4]):
        feature.update(FundingRate(START + index * 8 * HOUR, VENUE, BTC, rate, 8.0))
    events = feature.update(Tick(START + 63 * 8 * HOUR - 1)).events
    assert [e.started_ms for e in events] == [START + 60 * 8 * HOUR]


def test_settlements_may_come_late_and_in_any_order() -> None:
    straight, shuffled = Settling(), Settling()
    settled = [FundingRate(START + i * 8 * HOUR, VENUE, BTC, rate, 8.0) for i, rate in enumerate(QUIET)]
    end = Tick(START + 90 * 8 * HOUR - 1)
    straight.send(*settled, end)
    order = np.random.default_rng(3).permutation(len(settled)).tolist()
    shuffled.send(*(settled[i] for i in order), end)
    assert shuffled.reading() == straight.reading()
    shuffled.send(*settled)
    assert shuffled.reading() == straight.reading(), "known settlements change nothing"
    shuffled.send(FundingRate(START - 40 * DAY, VENUE, BTC, 9.0, 8.0))
    assert shuffled.reading() == straight.reading(), "one older than the window changes nothing"


def test_the_predicted_rate_is_shown_and_never_measured() -> None:
    market = Settling()
    market.settle(QUIET)
    before = market.reading()
    soon = market.now + 8 * HOUR
    market.send(MarkPrice(market.now + 1, VENUE, BTC, 50_000.0, None, 5e-3, soon))
    output = market.feature.update(Tick(market.now + 120_000))
    assert [r.symbol for r in output.readings] == [BTC]
    reading = market.reading()
    assert (reading.predicted_rate, reading.next_funding_ms) == (5e-3, soon)
    assert (reading.z_score, reading.n) == (before.z_score, before.n)
    market.send(MarkPrice(market.now + 1_000, VENUE, BTC, 50_000.0, None, 6e-3, soon))
    assert market.feature.update(Tick(market.now + 121_000)).readings == (), "at most one a minute"
    assert len(market.feature.update(Tick(market.now + 180_001)).readings) == 1


def test_an_overdue_settlement_makes_it_stale_and_then_closes_what_is_open() -> None:
    market = Settling()
    market.settle([*QUIET, 9e-4])
    due = market.now + 8 * HOUR
    assert market.send(Tick(due + HOUR // 2)) == []
    assert market.reading().status is Status.OK
    output = market.feature.update(Tick(due + HOUR // 2 + 1))
    assert [r.status for r in output.readings] == [Status.STALE]
    assert market.reading().z_score is not None
    assert market.send(Tick(due + 24 * HOUR)) == []
    closed = market.send(Tick(due + 24 * HOUR + 1))
    assert [(e.phase, e.why) for e in closed] == [(Phase.CLOSED, "no settlement for 24 h after it was due")]
    assert market.send(Tick(due + 48 * HOUR)) == []


def test_an_extreme_that_comes_back_after_an_outage_is_a_new_event() -> None:
    market = Settling()
    opened = market.settle([*QUIET, 9e-4])[-1]
    market.send(Tick(market.now + 40 * HOUR))
    market.now += 40 * HOUR
    again = market.settle([9e-4])
    assert [e.phase for e in again] == [Phase.OPENED]
    assert again[0].id != opened.id


@pytest.mark.parametrize("symbol", [BTC, None])
def test_a_venue_without_funding_is_unavailable_and_not_zero(symbol: str | None) -> None:
    market = Settling((BTC, ETH))
    market.send(Unavailable(START, "binanceus", "funding", symbol, "spot only"), Tick(START))
    reading = market.reading()
    assert reading.status is Status.UNAVAILABLE
    assert reading.funding_rate is None
    assert reading.detail == "binanceus has no funding for BTC/USDT"
    assert market.reading(ETH).status is (Status.WARMING if symbol else Status.UNAVAILABLE)
    market.settle(QUIET)
    assert market.reading().status is Status.OK, "another venue has it"


def test_funding_that_becomes_unavailable_closes_what_is_open() -> None:
    market = Settling()
    market.settle([*QUIET, 9e-4])
    events = market.send(
        Unavailable(market.now, VENUE, "funding", BTC, "delisted"), Tick(market.now + 120_000)
    )
    assert [e.phase for e in events] == [Phase.CLOSED]
    assert market.reading().z_score is None


def test_another_venues_rates_are_not_mixed_in() -> None:
    market = Settling()
    market.settle(QUIET)
    before = market.reading()
    market.send(FundingRate(market.now + 60, "bybit", BTC, 9.0, 8.0), Tick(market.now + 120_000))
    assert market.reading() == before


def test_unconfigured_symbols_are_ignored() -> None:
    market = Settling()
    market.send(FundingRate(START, VENUE, "PEPE/USDT", 1e-4, 8.0), MarkPrice(START, VENUE, "PEPE/USDT", 1.0))
    assert [r.symbol for r in market.feature.readings()] == [BTC]


def test_a_restored_feature_says_the_same_as_one_that_was_never_interrupted() -> None:
    rng = np.random.default_rng(11)
    rates = (rng.standard_t(3, 200) * 1e-4).round(8).tolist()
    whole, first, second = Settling(), Settling(), Settling()
    whole.settle(rates)
    first.settle(rates[:130])
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(first.feature.snapshot()))
    second.feature.restore(packed)
    second.now = first.now
    second.settle(rates[130:])
    assert first.said()[:-1] + b"," + second.said()[1:] == whole.said()
    assert second.feature.snapshot() == whole.feature.snapshot()
    assert any(output.events for output in second.outputs)


def test_what_comes_later_changes_nothing_said_before() -> None:
    rates = (np.random.default_rng(5).standard_t(3, 150) * 1e-4).tolist()
    short, long = Settling(), Settling()
    short.settle(rates[:100])
    long.settle(rates)
    assert long.said().startswith(short.said()[:-1])


def test_thresholds_must_ascend() -> None:
    with pytest.raises(ValidationError, match="watch_z_threshold < anomaly_z_threshold"):
        FundingSettings(watch_z_threshold=2.5)

"""Breaks open once, get worse, and close late; the engine waits for slow symbols, and takes late bars."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.base import Output, Reading, Status, Universe
from regimes.features.correlation_engine import (
    CorrelationEngine,
    CorrelationReading,
    CorrelationSettings,
    MarketCorrelationReading,
)
from regimes.observations import MARKET, Candle, Tick, Unavailable
from regimes.timeframe import HOUR_MS
from tests.features.correlation_engine.market import (
    START_HOUR,
    SYMBOLS,
    apart_from,
    as_bytes,
    bars,
    candle,
    closes,
    engine,
    last,
    run,
    together,
)


def events_of(outputs: list[Output], kind: EventType = EventType.CORRELATION_BREAK) -> list[Event]:
    return [event for output in outputs for event in output.events if event.type is kind]


@dataclass
class Broken:
    """A market in which SOL goes its own way after 950 hours, and comes back 100 hours later."""

    feature: CorrelationEngine
    outputs: list[Output]

    @classmethod
    def made(cls, settings: CorrelationSettings | None = None) -> "Broken":
        calm = together(21, 3, 1_400)
        returns = apart_from(950, calm, 2)
        returns[2, 1_050:] = calm[2, 1_050:]
        feature = engine(settings=settings)
        return cls(feature, run(feature, bars(closes(returns))))


@pytest.fixture(scope="module")
def broken() -> Broken:
    return Broken.made()


def test_a_quiet_market_rings_no_bell() -> None:
    assert events_of(run(engine(), bars(closes(together(20, 3, 1_300))))) == []


def test_each_broken_pair_has_one_event_opened_widened_and_closed(broken: Broken) -> None:
    for pair in ("BTC/SOL", "ETH/SOL"):
        phases = [event.phase for event in events_of(broken.outputs) if event.symbol == pair]
        assert phases == [Phase.OPENED, Phase.UPDATED, Phase.CLOSED]
    assert {event.symbol for event in events_of(broken.outputs)} == {"BTC/SOL", "ETH/SOL"}


def test_an_event_says_what_happened_in_words_and_numbers(broken: Broken) -> None:
    opened, widened, closed = (e for e in events_of(broken.outputs) if e.symbol == "BTC/SOL")
    assert opened.severity is Severity.WARNING
    assert widened.severity is closed.severity is Severity.CRITICAL
    assert len({opened.id, widened.id, closed.id}) == 1
    assert [e.revision for e in (opened, widened, closed)] == [0, 1, 2]
    assert opened.title == "BTC/SOL correlation broke"
    assert "normally 0.8" in opened.description
    assert ">= 0.30 and |Fisher z|" in opened.why
    assert opened.data["symbols"] == ["BTC/USDT", "SOL/USDT"]
    assert opened.data["change_24h"] <= -0.30
    assert closed.data["duration_hours"] > 100
    assert closed.data["peak_change"] > 0.6
    assert closed.title.startswith("BTC/SOL correlation break is over after ")


def test_the_break_is_noticed_within_a_day_and_named_at_both_symbols(broken: Broken) -> None:
    opened = events_of(broken.outputs)[0]
    assert START_HOUR + 950 < opened.started_ms // HOUR_MS <= START_HOUR + 975
    outputs = [o for o in broken.outputs if o.events]
    readings = {r.symbol: r for r in outputs[0].readings if isinstance(r, CorrelationReading)}
    assert set(readings) >= {"SOL/USDT", MARKET}
    assert readings["SOL/USDT"].alert_level is Severity.WARNING
    assert readings["SOL/USDT"].breaks[0].endswith("/SOL")
    assert readings[MARKET].broken_since_ms[opened.symbol] == opened.started_ms


def test_a_break_that_is_over_leaves_no_trace_in_the_readings(broken: Broken) -> None:
    for reading in broken.feature.readings():
        assert isinstance(reading, CorrelationReading)
        assert reading.breaks == ()
        assert reading.alert_level is None


def test_a_break_lasts_at_least_the_hours_it_is_told_to() -> None:
    outputs = Broken.made(CorrelationSettings(min_hours=168, min_change=0.5)).outputs
    lasted = [e.data["duration_hours"] for e in events_of(outputs) if e.phase is Phase.CLOSED]
    assert lasted
    assert min(lasted) >= 168


def test_higher_thresholds_ring_less() -> None:
    assert events_of(Broken.made(CorrelationSettings(min_change=1.9)).outputs) == []
    assert events_of(Broken.made(CorrelationSettings(min_fisher_z=60)).outputs) == []


def test_no_more_breaks_open_than_allowed_the_largest_first() -> None:
    outputs = Broken.made(CorrelationSettings(max_open_breaks=1)).outputs
    count, most = 0, 0
    for event in events_of(outputs):
        count += {Phase.OPENED: 1, Phase.CLOSED: -1}.get(event.phase, 0)
        most = max(most, count)
    assert most == 1


def test_a_break_whose_data_end_closes_and_says_so() -> None:
    returns = apart_from(900, together(22, 3, 960), 2)
    feature = engine()
    prices = closes(returns)
    outputs = run(feature, bars(prices))
    assert any(e.symbol == "BTC/SOL" for e in events_of(outputs))
    alone = np.vstack([closes(together(23, 2, 60))[:, :], np.full((1, 60), np.nan)])
    closed = events_of(run(feature, bars(alone, first_hour=START_HOUR + 960)))
    assert {e.phase for e in closed if e.symbol == "BTC/SOL"} == {Phase.CLOSED}
    assert "data are missing" in next(e.description for e in closed if e.symbol == "BTC/SOL")


def ready_engine(hours: int = 900) -> CorrelationEngine:
    feature = engine()
    run(feature, bars(closes(together(31, 3, hours))))
    return feature


def test_an_hour_waits_for_the_last_living_symbol_and_is_computed_once() -> None:
    feature = ready_engine()
    before = last(feature, MARKET)
    hour = START_HOUR + 900
    for symbol in SYMBOLS[:2]:
        assert feature.update(candle(symbol, hour, 100.0)) == Output()
    feature.update(Tick((hour + 1) * HOUR_MS + 1_000))
    assert last(feature, MARKET).current == before.current
    feature.update(candle("SOL/USDT", hour, 100.0))
    assert last(feature, MARKET).as_of_ms == (hour + 1) * HOUR_MS
    assert last(feature, MARKET).current != before.current


def test_after_the_grace_the_hour_is_computed_without_the_missing_symbol() -> None:
    feature = ready_engine()
    hour = START_HOUR + 900
    feature.update(candle("BTC/USDT", hour, 100.0))
    feature.update(candle("ETH/USDT", hour, 100.0))
    assert feature.update(Tick((hour + 1) * HOUR_MS + 29_999)).readings == ()
    told = feature.update(Tick((hour + 1) * HOUR_MS + 30_000)).readings
    assert {r.symbol: r.as_of_ms for r in told} == {
        "BTC/USDT": (hour + 1) * HOUR_MS,
        "ETH/USDT": (hour + 1) * HOUR_MS,
        "SOL/USDT": hour * HOUR_MS,
        MARKET: (hour + 1) * HOUR_MS,
    }


def test_a_symbol_that_has_been_silent_for_a_day_is_not_waited_for() -> None:
    feature = ready_engine()
    silent = np.vstack([closes(together(32, 2, 26)), np.full((1, 26), np.nan)])
    run(feature, bars(silent, first_hour=START_HOUR + 900))
    hour = START_HOUR + 926
    feature.update(candle("BTC/USDT", hour, 100.0))
    feature.update(candle("ETH/USDT", hour, 100.0))
    assert last(feature, MARKET).as_of_ms == (hour + 1) * HOUR_MS


def but_the_watch(engine: CorrelationEngine) -> list[Reading]:
    """The sequential test leaves late bars out; all else does not."""
    return [msgspec.structs.replace(r, break_strength={}, sequential_breaks=()) for r in engine.readings()]


def test_late_and_unordered_bars_end_in_the_same_numbers() -> None:
    prices = closes(together(33, 3, 905))
    punctual, late = engine(), engine()
    run(punctual, bars(prices))
    holed = prices.copy()
    holed[1, 880:890] = np.nan
    run(late, bars(holed))
    assert last(late, MARKET).current != last(punctual, MARKET).current
    for column in (885, 880, 889, 881, 882, 883, 884, 888, 887, 886):
        late.update(candle("ETH/USDT", START_HOUR + column, float(prices[1, column])))
    told = late.update(Tick((START_HOUR + 905) * HOUR_MS + 50_000))
    punctual.update(Tick((START_HOUR + 905) * HOUR_MS + 50_000))
    assert told.readings == late.readings()
    assert but_the_watch(late) == but_the_watch(punctual)


def test_quiet_ticks_say_nothing_until_the_readings_turn_stale() -> None:
    feature = ready_engine()
    end = (START_HOUR + 900) * HOUR_MS
    deadline = end + 70 * 60_000
    for minute in range(1, 70):
        assert feature.update(Tick(end + minute * 60_000)) == Output()
    assert feature.update(Tick(deadline)) == Output()
    told = feature.update(Tick(deadline + 1)).readings
    assert {r.status for r in told} == {Status.STALE}
    assert all(r.ready and r.stale for r in told)
    assert feature.update(Tick(deadline + 60_000)) == Output()


def test_fresh_bars_end_the_staleness() -> None:
    feature = ready_engine()
    feature.update(Tick((START_HOUR + 903) * HOUR_MS))
    assert last(feature, "BTC/USDT").status is Status.STALE
    run(feature, bars(closes(together(34, 3, 1)), first_hour=START_HOUR + 903))
    assert last(feature, "BTC/USDT").status is Status.OK


def test_nothing_is_known_before_the_windows_are_full_enough() -> None:
    feature = engine()
    run(feature, bars(closes(together(35, 3, 524))))
    reading = last(feature, "BTC/USDT")
    assert reading.status is Status.WARMING
    assert set(reading.change.values()) == set(reading.change_24h.values()) == {None}
    assert reading.detail is not None
    assert "523 of 640" in reading.detail
    run(feature, bars(closes(together(36, 3, 1)), first_hour=START_HOUR + 524))
    assert last(feature, "BTC/USDT").status is Status.OK
    assert last(feature, "BTC/USDT").change_24h["BTC/ETH"] is not None


def test_a_price_that_never_moves_is_degenerate_not_uncorrelated() -> None:
    prices = closes(together(37, 3, 900))
    prices[1] = 1.0
    feature = engine()
    run(feature, bars(prices))
    assert last(feature, "ETH/USDT").status is Status.DEGENERATE
    assert last(feature, "ETH/USDT").current == {"BTC/ETH": None, "ETH/SOL": None}
    assert last(feature, "BTC/USDT").status is Status.OK


def test_a_symbol_without_candles_is_unavailable_with_the_venues_reason() -> None:
    feature = engine()
    feature.update(Unavailable(START_HOUR * HOUR_MS, "binanceus", "candle", "SOL/USDT", "not listed there"))
    run(feature, bars(closes(together(38, 2, 900)), symbols=SYMBOLS[:2]))
    assert last(feature, "SOL/USDT").status is Status.UNAVAILABLE
    assert last(feature, "SOL/USDT").detail == "not listed there"
    assert last(feature, "BTC/USDT").status is Status.OK


def test_one_symbol_alone_has_no_correlations_and_says_why() -> None:
    feature = engine(SYMBOLS[:1])
    run(feature, bars(closes(together(39, 1, 900)), symbols=SYMBOLS[:1]))
    assert last(feature, "BTC/USDT").status is Status.UNAVAILABLE
    assert last(feature, "BTC/USDT").detail == "a correlation needs at least two symbols"


def test_unfinished_longer_and_foreign_bars_are_not_its_business() -> None:
    feature = ready_engine()
    before = feature.snapshot()
    bar = candle("BTC/USDT", START_HOUR + 900, 1.0)
    unfinished = msgspec.structs.replace(bar, closed=False)
    longer = msgspec.structs.replace(bar, timeframe="4h", open_ms=bar.open_ms // (4 * HOUR_MS) * 4 * HOUR_MS)
    for other in (unfinished, longer, candle("DOGE/USDT", START_HOUR + 900, 1.0)):
        assert feature.update(other) == Output()
    assert feature.snapshot() == before


def test_two_symbols_with_one_base_keep_their_quotes_in_the_pairs_name() -> None:
    symbols = ("BTC/USDT", "BTC/USDC", "ETH/USDT")
    feature = engine(symbols)
    run(feature, bars(closes(together(40, 3, 30)), symbols=symbols))
    assert list(last(feature, MARKET).current) == ["BTC-USDT/BTC-USDC", "BTC-USDT/ETH", "BTC-USDC/ETH"]


def test_a_proven_leader_is_named_in_an_event_and_in_every_reading() -> None:
    hours = 1_000
    rng = np.random.default_rng(41)
    leader = rng.normal(0, 0.01, hours + 2)
    returns = np.vstack([leader[2:], leader[1:-1], leader[:-2]]) + rng.normal(0, 0.005, (3, hours))
    feature = engine()
    outputs = run(feature, bars(closes(returns)))
    events = events_of(outputs, EventType.LEADERSHIP_CHANGE)
    assert [e.phase for e in events] == [Phase.OPENED]
    assert events[0].title == "BTC/USDT leads ETH/USDT, SOL/USDT"
    assert events[0].symbol == MARKET
    for reading in feature.readings():
        assert isinstance(reading, CorrelationReading)
        assert reading.leading_asset == "BTC/USDT"
        assert reading.lagging_assets == ("ETH/USDT", "SOL/USDT")
    calm = closes(together(42, 3, 800))
    over = events_of(run(feature, bars(calm, first_hour=START_HOUR + hours)), EventType.LEADERSHIP_CHANGE)
    assert (over[0].phase, over[0].id) == (Phase.CLOSED, events[0].id)
    assert over[-1].phase is Phase.CLOSED
    assert last(feature, MARKET).leading_asset is None


def test_the_same_input_gives_the_same_bytes(broken: Broken) -> None:
    assert as_bytes(Broken.made().outputs) == as_bytes(broken.outputs)


@pytest.mark.parametrize("cut", [0, 1, 700, 3_601, 3_850, 3_902, 4_003])
def test_a_restored_engine_goes_on_bit_for_bit(cut: int) -> None:
    prices = closes(apart_from(950, together(21, 3, 1_010), 2))
    prices[1, 930:940] = np.nan
    stream = list(bars(prices))
    stream += [candle("ETH/USDT", START_HOUR + 935, 100.0), Tick(stream[-1].ts_ms + 5_000)]  # type: ignore[union-attr]
    whole, resumed = engine(), engine()
    run(whole, stream[:cut])
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(whole.snapshot()))
    resumed.restore(saved)
    assert resumed.readings() == whole.readings()
    assert as_bytes(run(resumed, stream[cut:])) == as_bytes(run(whole, stream[cut:]))
    assert msgspec.msgpack.encode(resumed.snapshot()) == msgspec.msgpack.encode(whole.snapshot())


def test_a_large_universe_lists_only_broken_pairs_and_finds_the_same_breaks() -> None:
    names = tuple(f"C{i}/USDT" for i in range(45))
    returns = apart_from(900, together(51, 45, 940), 7)
    large = CorrelationEngine(CorrelationSettings(), Universe(names))
    outputs = run(large, bars(closes(returns), symbols=names))
    reading = last(large, MARKET)
    assert isinstance(reading, MarketCorrelationReading)
    assert reading.matrix is None
    assert len(reading.breaks) == 44
    assert set(reading.current) == set(reading.breaks) == set(last(large, "C7/USDT").breaks)
    assert last(large, "C3/USDT").breaks == ("C3/C7",)
    assert large.matrix().shape == (45, 45)
    few = ("C3/USDT", "C7/USDT")
    small = engine(few)
    alone = events_of(run(small, bars(closes(returns)[[3, 7]], symbols=few)))
    same = [e for e in events_of(outputs) if e.symbol == "C3/C7"]
    assert [e.phase for e in same] == [e.phase for e in alone]
    assert [e.started_ms for e in same] == [e.started_ms for e in alone]
    assert same[0].data["fisher_z"] == pytest.approx(alone[0].data["fisher_z"], abs=1e-7)


def test_warm_up_asks_for_the_hours_the_windows_hold() -> None:
    (need,) = engine().warmup()
    assert (need.kind, need.timeframe, need.span_ms) == ("candle", "1h", 889 * HOUR_MS)


def test_candles_are_never_changed(broken: Broken) -> None:
    bar = Candle("binanceus", "BTC/USDT", "1h", 0, 1.0, 1.0, 1.0, 1.0, 1.0)
    copy = msgspec.structs.replace(bar)
    broken.feature.update(bar)
    assert bar == copy

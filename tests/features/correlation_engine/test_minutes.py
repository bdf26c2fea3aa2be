"""A leader by minutes: from live and late bars, through an event, a snapshot, and never from what comes later."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from regimes.events import EventType, Phase
from regimes.features.base import Need
from regimes.features.correlation_engine import CorrelationSettings, find_leader_in_minutes
from regimes.features.correlation_engine.minutes import WINDOW_MINUTES, Minutes
from regimes.maths.correlation import FloatArray
from regimes.observations import MARKET, Candle, Observation, Tick
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from tests.features.correlation_engine.market import (
    START_HOUR,
    SYMBOLS,
    as_bytes,
    candle,
    closes,
    engine,
    last,
    run,
)

BY_MINUTE = CorrelationSettings(leadership_bars="1m")
HOURS = 220
START_MS = START_HOUR * HOUR_MS


def minute(symbol: str, place: int, close: float, volume: float = 1.0) -> Candle:
    return Candle("binanceus", symbol, "1m", START_MS + place * MINUTE_MS, close, close, close, close, volume)


def prices(planted: float = 0.15, hours: int = HOURS) -> FloatArray:
    """Closes of each minute; SOL and ETH follow BTC by one and by two minutes."""
    rng = np.random.default_rng(8)
    common = rng.normal(size=hours * 60)
    moves = 0.7 * common + 0.7 * rng.normal(size=(3, hours * 60))
    moves[1, 2:] += planted * moves[0, :-2]
    moves[2, 1:] += planted * moves[0, :-1]
    return closes(moves * 1e-4)


def market(by_minute: FloatArray) -> Iterator[Observation]:
    """Every minute's bars, after the last of an hour the hour's, and then a Tick."""
    for place in range(by_minute.shape[1]):
        for row, symbol in enumerate(SYMBOLS):
            yield minute(symbol, place, float(by_minute[row, place]))
        if place % 60 == 59:
            hour = START_HOUR + place // 60
            yield from (candle(s, hour, float(by_minute[row, place])) for row, s in enumerate(SYMBOLS))
            yield Tick((hour + 1) * HOUR_MS + 40_000)


def test_a_leader_by_minutes_is_named_with_the_lag_of_each_follower() -> None:
    feature = engine(settings=BY_MINUTE)
    outputs = run(feature, market(prices()))
    (event,) = [e for o in outputs for e in o.events if e.type is EventType.LEADERSHIP_CHANGE]
    assert event.phase is Phase.OPENED
    assert event.title == "BTC/USDT leads ETH/USDT, SOL/USDT"
    assert event.data["lag_minutes"] == [2, 1]
    assert "Hayashi and Yoshida" in event.why
    assert "12,000 minutes" in event.description
    assert last(feature, MARKET).leading_asset == "BTC/USDT"


def test_by_the_hour_minutes_are_not_its_business() -> None:
    feature = engine()
    before = feature.snapshot()
    assert not [o for o in run(feature, [minute("BTC/USDT", 0, 100.0)]) if o.readings or o.events]
    assert feature.snapshot() == before
    assert [need.timeframe for need in feature.warmup()] == ["1h"]


def test_the_history_it_asks_for_is_that_of_the_first_six() -> None:
    assert engine(settings=BY_MINUTE).warmup()[1] == Need("candle", WINDOW_MINUTES * MINUTE_MS, "1m", 6)


def test_a_restored_engine_finds_the_same_leader_bit_for_bit() -> None:
    everything = list(market(prices()))
    cut = len(everything) - 6 * 190
    whole = engine(settings=BY_MINUTE)
    expected = run(whole, everything)[cut:]
    first, second = engine(settings=BY_MINUTE), engine(settings=BY_MINUTE)
    run(first, everything[:cut])
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
    assert as_bytes(run(second, everything[cut:])) == as_bytes(expected)
    assert second.snapshot() == whole.snapshot()


def test_what_comes_later_changes_no_leader_now() -> None:
    found = []
    for later in (1.0, 1.5):
        feature = engine(settings=BY_MINUTE)
        changed = prices()
        changed[:, -30:] *= later
        outputs = run(feature, market(changed))
        found.append([e for o in outputs for e in o.events if e.type is EventType.LEADERSHIP_CHANGE])
    assert found[0] == found[1]


def ring(*places: int, volume: float = 1.0) -> Minutes:
    kept = Minutes(1)
    for place in places:
        kept.put(0, minute("BTC/USDT", place, 100.0 + place, volume))
    return kept


def seen(kept: Minutes, end: int) -> list[int]:
    (ticks,) = kept.window(START_MS + end * MINUTE_MS)
    return [time - START_MS // MINUTE_MS for time in ticks.times.tolist()]


def test_a_late_minute_is_put_in_its_own_place() -> None:
    assert seen(ring(0, 5, 2, 3), 6) == [0, 2, 3, 5]
    assert ring(0, 5, 2).window(START_MS + DAY_MS)[0].path.tolist() == pytest.approx(
        np.log([100.0, 102.0, 105.0])
    )


def test_a_minute_without_a_trade_is_none() -> None:
    assert seen(ring(0, 1, volume=0.0), 5) == []


def test_the_window_ends_before_its_end_and_is_no_longer_than_it_should_be() -> None:
    kept = ring(0, 1, WINDOW_MINUTES, WINDOW_MINUTES + 1)
    assert seen(kept, WINDOW_MINUTES + 1) == [1, WINDOW_MINUTES]


@pytest.mark.parametrize("pause", [20_000, 200_000])
def test_after_a_long_pause_nothing_old_is_left(pause: int) -> None:
    kept = ring(*range(100), pause)
    assert seen(kept, pause + 1) == [pause]
    kept.put(0, minute("BTC/USDT", 50, 1.0))
    assert seen(kept, pause + 1) == [pause], "too late to be kept"


def test_symbols_with_too_few_minutes_are_left_out() -> None:
    kept = Minutes(2)
    for place in range(WINDOW_MINUTES):
        for row in range(2):
            if row == 0 or place % 2:
                kept.put(row, minute("BTC/USDT", place, 100.0 + place % 7))
    found = find_leader_in_minutes(kept.window(START_MS + WINDOW_MINUTES * MINUTE_MS), alpha=0.01)
    assert found.leader is None

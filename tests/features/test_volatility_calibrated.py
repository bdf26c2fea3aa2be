"""The calibrated layer live: it speaks, stays within its bounds, never looks ahead, and survives a restart."""

import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pytest

from regimes.events import Event
from regimes.features.base import Universe
from regimes.features.volatility_regime import VolatilityReading, VolatilityRegime, VolatilitySettings
from regimes.features.volatility_regime.calibrated import NO_NUMBERS
from regimes.observations import Candle, Tick
from regimes.timeframe import HOUR_MS
from tests.features.checks import encode

SYMBOLS = ("BTC/USDT", "ETH/USDT")
HISTORY = 110 * 24
LIVE = 60


def market(seed: int, loud_from: int | None = None) -> list[list[Candle]]:
    """Bars of both symbols, hour by hour; three times as loud from an hour on."""
    rng = np.random.default_rng(seed)
    prices = [40_000.0, 2_500.0]
    found = []
    for hour in range(HISTORY + LIVE):
        size = 0.005 * (3.0 if loud_from is not None and hour >= loud_from else 1.0)
        bars = []
        for row, symbol in enumerate(SYMBOLS):
            path = prices[row] * np.exp(np.cumsum(rng.normal(0, size / 2, 4)))
            close = float(path[-1])
            high, low = (float(f(prices[row], *path)) for f in (max, min))
            bars.append(
                Candle("binanceus", symbol, "1h", hour * HOUR_MS, prices[row], high, low, close, 10.0 + row)
            )
            prices[row] = close
        found.append(bars)
    return found


def feature(**settings: object) -> VolatilityRegime:
    return VolatilityRegime(VolatilitySettings.model_validate(settings), Universe(SYMBOLS))


def warmed(hours: Sequence[list[Candle]], **settings: object) -> VolatilityRegime:
    target = feature(**settings)
    for bars in hours[:HISTORY]:
        for bar in bars:
            target.update(bar)
    target.update(Tick(HISTORY * HOUR_MS))
    return target


def live(target: VolatilityRegime, hours: Sequence[list[Candle]], first: int = HISTORY) -> Iterator[bytes]:
    for number, bars in enumerate(hours[first:], first + 1):
        for bar in bars:
            target.update(bar)
        target.update(Tick(number * HOUR_MS + 2_000))
        yield encode(target.readings())


def told(target: VolatilityRegime) -> VolatilityReading:
    found = target.readings()[0]
    assert isinstance(found, VolatilityReading)
    return found


@pytest.fixture(scope="module")
def hours() -> list[list[Candle]]:
    return market(1)


def test_every_calibrated_number_is_there_and_within_its_bounds(hours: list[list[Candle]]) -> None:
    found = told(warmed(hours))
    numbers = {name: getattr(found, name) for name in NO_NUMBERS}
    assert all(value is not None for value in numbers.values()), numbers
    low, middle, high = found.forecast_24h_low, found.forecast_24h, found.forecast_24h_high
    assert low is not None
    assert middle is not None
    assert high is not None
    assert 0 < low < middle < high
    assert middle == pytest.approx(0.005 * math.sqrt(24), rel=0.35)
    for probability in (found.clustering_probability, found.p_extreme):
        assert probability is not None
        assert 0 <= probability <= 1


def test_a_market_that_turns_loud_is_expected_to_stay_loud(hours: list[list[Candle]]) -> None:
    calm, loud = warmed(hours), warmed(hours)
    turned = [*hours[:HISTORY], *market(1, loud_from=HISTORY)[HISTORY:]]
    list(live(calm, hours))
    list(live(loud, turned))
    for name in ("forecast_24h", "clustering_probability", "p_extreme"):
        assert getattr(told(loud), name) > 1.5 * getattr(told(calm), name)
    assert told(loud).vol_regime_calibrated == "EXTREME"


def test_later_bars_change_no_calibrated_number_before_them(hours: list[list[Candle]]) -> None:
    cut = HISTORY + 30
    other = [*hours[:cut], *market(2, loud_from=0)[cut:]]
    first, second = list(live(warmed(hours), hours)), list(live(warmed(other), other))
    assert first[:30] == second[:30]
    assert first[30:] != second[30:]


def test_a_restart_from_a_snapshot_changes_no_calibrated_number(hours: list[list[Candle]]) -> None:
    whole = warmed(hours)
    uninterrupted = list(live(whole, hours))
    first, second = warmed(hours), feature()
    list(live(first, hours[: HISTORY + 20]))
    second.restore(msgspec.msgpack.decode(encode(first.snapshot())))
    assert list(live(second, hours, HISTORY + 20)) == uninterrupted[20:]
    assert encode(second.snapshot()) == encode(whole.snapshot())


def test_without_refit_the_shipped_weights_stay(hours: list[list[Candle]]) -> None:
    learning, fixed = warmed(hours), warmed(hours, refit_forecast=False)
    assert told(learning).forecast_24h != told(fixed).forecast_24h
    assert told(learning).forecast_24h == pytest.approx(told(fixed).forecast_24h, rel=0.2)


def test_bars_of_one_hour_that_come_in_two_ticks_leave_numbers_for_both(hours: list[list[Candle]]) -> None:
    target = warmed(hours)
    early, late = hours[HISTORY]
    target.update(early)
    target.update(Tick((HISTORY + 1) * HOUR_MS + 2_000))
    target.update(late)
    target.update(Tick((HISTORY + 1) * HOUR_MS + 7_000))
    assert all(
        isinstance(r, VolatilityReading)
        and r.forecast_24h is not None
        and r.as_of_ms == (HISTORY + 1) * HOUR_MS
        for r in target.readings()
    )


def test_the_order_in_which_the_bars_of_an_hour_come_changes_nothing(hours: list[list[Candle]]) -> None:
    turned = [bars[::-1] for bars in hours[: HISTORY + 30]]
    in_order, backwards = (list(live(warmed(some), some)) for some in (hours[: HISTORY + 30], turned))
    assert in_order == backwards


def test_a_day_without_bars_leaves_no_calibrated_number(hours: list[list[Candle]]) -> None:
    target = warmed(hours)
    target.update(Tick((HISTORY + 30) * HOUR_MS))
    assert all(getattr(told(target), name) is None for name in NO_NUMBERS)


def events(hours: Sequence[list[Candle]], *, quiet: bool, **settings: object) -> list[Event]:
    target = feature(**settings)
    target.quiet = quiet
    found: list[Event] = []
    for number, bars in enumerate(hours, 1):
        for bar in bars:
            target.update(bar)
        found += target.update(Tick(number * HOUR_MS + 2_000)).events
    return found


def test_events_say_the_calibrated_state_where_that_is_asked_for_even_in_a_replay() -> None:
    hours = market(4, loud_from=HISTORY)
    told_too = events(hours, quiet=False, calibrated_in_events=True)
    assert told_too == events(hours, quiet=True, calibrated_in_events=True)
    last = told_too[-1].data
    assert last["vol_regime_calibrated"] in {"HIGH_VOL", "EXPLOSIVE", "EXTREME"}
    assert 0 < last["clustering_probability"] <= 1
    plain = events(hours, quiet=False)
    extra = {"vol_regime_calibrated", "forecast_24h", "clustering_probability", "p_extreme"}
    assert [event.data for event in plain] == [
        {key: value for key, value in event.data.items() if key not in extra} for event in told_too
    ]

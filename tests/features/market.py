"""A small invented market with every kind of data, in the order in which a feed would deliver it."""

import math
import random
from collections.abc import Iterator, Sequence

from regimes.observations import (
    Candle,
    FundingRate,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Side,
    Tick,
)
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
START_MS = 1_704_067_200_000  # Monday 2024-01-01T00:00Z
HISTORY_HOURS = 34 * 24
LIVE_HOURS = 4 * 24
BURST = range(HISTORY_HOURS + 40, HISTORY_HOURS + 52)
END_MS = START_MS + (HISTORY_HOURS + LIVE_HOURS) * HOUR_MS


def market(seed: int = 1) -> list[Observation]:
    """34 days of history without a Tick, then 4 days with one every ten minutes and a violent half day."""
    rng = random.Random(seed)
    prices = dict(zip(SYMBOLS, (40_000.0, 2_500.0, 100.0), strict=True))
    found: list[Observation] = [Tick(END_MS - LIVE_HOURS * HOUR_MS)]
    for hour in range(HISTORY_HOURS + LIVE_HOURS):
        open_ms = START_MS + hour * HOUR_MS
        live = hour >= HISTORY_HOURS
        if live:
            found += _inside_the_hour(rng, hour, open_ms, prices)
        found += _at_the_close(rng, hour, open_ms, prices)
        if live:
            found.append(Tick(open_ms + HOUR_MS + 2_000))
    return found


def quiet(after_ms: int, hours: int = 40) -> Iterator[Tick]:
    """Nothing but time."""
    for minute in range(10, hours * 60 + 1, 10):
        yield Tick(after_ms + minute * MINUTE_MS)


def changed_after(observations: Sequence[Observation], index: int) -> list[Observation]:
    """The same up to `index`; from there on another market, at the same times."""
    other = market(seed=2)
    assert len(other) >= len(observations) - 200
    return [*observations[:index], *(o for o in other if _time_of(o) > _time_of(observations[index - 1]))]


def _time_of(observation: Observation) -> int:
    return observation.open_ms + HOUR_MS if isinstance(observation, Candle) else observation.ts_ms


def _inside_the_hour(
    rng: random.Random, hour: int, open_ms: int, prices: dict[str, float]
) -> Iterator[Observation]:
    for minute in range(0, 60, 10):
        at_ms = open_ms + minute * MINUTE_MS
        for symbol in SYMBOLS:
            for part in range(12 if hour in BURST else minute == 30):
                quantity = rng.lognormvariate(11 if hour in BURST else 8, 1) / prices[symbol]
                side: Side = "long" if rng.random() < 0.8 else "short"
                ts_ms = at_ms + part * 1_000
                yield Liquidation(
                    ts_ms, "binanceusdm", symbol, side, prices[symbol], quantity, quantity * prices[symbol]
                )
        yield Tick(at_ms + MINUTE_MS)


def _at_the_close(
    rng: random.Random, hour: int, open_ms: int, prices: dict[str, float]
) -> Iterator[Observation]:
    close_ms = open_ms + HOUR_MS
    shared, scale = rng.gauss(0, 1), 0.03 if hour in BURST else 0.004
    for symbol in SYMBOLS:
        move = scale * (0.8 * shared + 0.6 * rng.gauss(0, 1)) + (0.02 if hour in BURST else 0)
        before, price = prices[symbol], prices[symbol] * math.exp(move)
        prices[symbol] = price
        volume = rng.lognormvariate(5 if hour in BURST else 3, 0.4)
        high, low = max(before, price) * 1.001, min(before, price) * 0.999
        if hour % 8 == 7:
            rate = 0.002 if hour in BURST else 0.0001 + rng.gauss(0, 0.00003)
            yield FundingRate(close_ms, "binanceusdm", symbol, rate, 8.0)
        yield MarkPrice(close_ms, "binanceusdm", symbol, price, price, 0.0001, close_ms + 8 * HOUR_MS)
        yield OpenInterest(close_ms, "binanceusdm", symbol, 1_000.0, 1_000.0 * price)
        late = symbol == SYMBOLS[0] and hour % 24 == 23
        if rng.random() > 0.005 and not late:
            yield Candle("binanceus", symbol, "1h", open_ms, before, high, low, price, volume)
    if hour % 24 == 23:
        # The bar that should have come a day ago.
        price = prices[SYMBOLS[0]]
        yield Candle("binanceus", SYMBOLS[0], "1h", open_ms - DAY_MS, price, price, price, price, 5.0)

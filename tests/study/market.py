"""A small market of the past that has everything in it, as a source: bars, funding, liquidations, gaps."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from regimes.observations import Candle, FeedGap, FundingRate, Liquidation, Observation, Side, Unavailable
from regimes.timeframe import DAY_MS, HOUR_MS, known_at_ms

START_MS = 1_735_689_600_000  # 2025-01-01
SYMBOLS = ("BTC/USDT", "ETH/USDT")


class MemorySource:
    """Observations in memory."""

    name = "memory"

    def __init__(self, observations: Sequence[Observation], symbols: tuple[str, ...] = SYMBOLS) -> None:
        self.symbols = symbols
        self._observations = sorted(observations, key=known_at_ms)

    def span(self) -> tuple[int, int]:
        return known_at_ms(self._observations[0]), known_at_ms(self._observations[-1]) + 1

    def observations(
        self, from_ms: int, to_ms: int, symbols: Collection[str] | None = None
    ) -> Iterator[Observation]:
        del symbols
        return (item for item in self._observations if from_ms <= known_at_ms(item) < to_ms)


def hours(days: int, *, seed: int = 1, missing: Collection[int] = ()) -> Iterator[Observation]:
    """Bars with stormy and calm days, and funding that now and then runs away. missing: hours without a bar of BTC."""
    rng = np.random.default_rng(seed)
    prices = dict.fromkeys(SYMBOLS, 100.0)
    for hour in range(days * 24):
        open_ms = START_MS + hour * HOUR_MS
        scale = 0.03 if hour // 24 % 6 == 5 else 0.003
        common = rng.normal()
        for symbol in SYMBOLS:
            alike = 0.2 if hour // 24 % 9 > 6 else 0.9
            step = scale * (alike * common + (1 - alike**2) ** 0.5 * rng.normal())
            before, after = prices[symbol], prices[symbol] * float(np.exp(step))
            prices[symbol] = after
            low, high = min(before, after), max(before, after)
            volume = float(rng.lognormal())
            if not (symbol == "BTC/USDT" and hour in missing):
                yield Candle("v", symbol, "1h", open_ms, before, high, low, after, volume)
            if hour % 8 == 0:
                rate = float(rng.normal(1e-4, 2e-5)) + (5e-4 if hour // 8 % 17 == 16 else 0.0)
                yield FundingRate(open_ms, "f", symbol, rate, 8.0)


def orders(rng: np.random.Generator, count: int, from_ms: int, to_ms: int) -> Iterator[Liquidation]:
    """Liquidations that come in clusters, some of them of symbols nobody watches."""
    centres = rng.integers(from_ms, to_ms, 4)
    for _ in range(count):
        near = int(rng.choice(centres) + rng.exponential(10 * 60_000))
        ts_ms = near if rng.random() < 0.7 else int(rng.integers(from_ms, to_ms))
        side: Side = "long" if rng.random() < 0.7 else "short"
        symbol = str(rng.choice([*SYMBOLS, "XRP/USDT"]))
        usd = float(np.round(rng.lognormal(10, 1.5), 2))
        yield Liquidation(min(ts_ms, to_ms - 1), "f", symbol, side, 100.0, usd / 100.0, usd)


def interruptions(rng: np.random.Generator, from_ms: int, to_ms: int) -> Iterator[FeedGap]:
    """The liquidations are watched from a moment on, and not at all for a while later."""
    yield FeedGap(from_ms, "f", "liquidation", None, from_ms - DAY_MS, None, "start")
    yield FeedGap(from_ms + 5, "f", "liquidation", None, from_ms - DAY_MS, from_ms + 5, "start")
    begin_ms, end_ms = sorted(rng.integers(from_ms + 10, to_ms, 2).tolist())
    yield FeedGap(begin_ms, "f", "liquidation", None, begin_ms, None, "lost")
    yield FeedGap(end_ms, "f", "liquidation", None, begin_ms, end_ms, "lost")


def whole(days: int, *, seed: int = 1, liquidations: int = 400) -> MemorySource:
    """Everything together, the liquidations in the last two days."""
    rng = np.random.default_rng(seed)
    end_ms = START_MS + days * DAY_MS
    watched_ms = end_ms - 2 * DAY_MS
    return MemorySource(
        [
            Unavailable(START_MS, "f", "funding", "XRP/USDT", "not there"),
            *hours(days, seed=seed, missing=range(days * 24 - 40, days * 24 - 10)),
            *orders(rng, liquidations, watched_ms, end_ms),
            *interruptions(rng, watched_ms, end_ms),
        ]
    )

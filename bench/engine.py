"""An observation through the engine: minutes as the feeds deliver them, and what the end of an hour adds."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import ceil
from typing import Final, NamedTuple

import numpy as np

from bench.features import START_MS, hours_of
from bench.report import Aim, Report, Result
from bench.timing import cpu_seconds
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.features.base import Universe
from regimes.feeds.polling import pacing
from regimes.observations import (
    BookDepth,
    Candle,
    FundingRate,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Side,
    Tick,
)
from regimes.timeframe import HOUR_MS, MINUTE_MS

UNIVERSES: Final = (3, 50, 500)
DETAILED: Final = 50
HISTORY: Final = 38 * 24
MINUTES: Final = 3
FULL_MINUTES: Final = 15
TICK_MS: Final = 5_000
LIQUIDATIONS_A_MINUTE: Final = 2
DEPTH_LEVELS: Final = 500


def names_of(count: int) -> tuple[str, ...]:
    """So many invented symbols."""
    return tuple(f"COIN{number}/USDT" for number in range(count))


def warm(names: tuple[str, ...], history: Sequence[list[Candle]]) -> Engine:
    """An engine that has seen these hours, funding, and the first minute of the next hour."""
    engine = Engine.build(installed(), Universe(names))
    end_ms = START_MS + HISTORY * HOUR_MS
    engine.step(Tick(end_ms))
    for bars in history:
        for bar in bars:
            engine.step(bar)
    for number in range(90):
        for name in names:
            rate = 1e-4 * (1 + number % 7)
            engine.step(FundingRate(end_ms - (90 - number) * 8 * HOUR_MS, "binanceusdm", name, rate, 8.0))
    engine.step(Tick(end_ms + MINUTE_MS))
    return engine


def live(names: tuple[str, ...], minutes: int) -> Iterator[Observation]:
    """What comes in so many minutes from the second of the hour on.

    Every second a mark price and every other second an unfinished bar of each symbol; liquidations; books and open
    interest as often as the feed asks for them within the exchange's limits; every five seconds a Tick.
    """
    rng = np.random.default_rng(2)
    began_ms = START_MS + HISTORY * HOUR_MS + MINUTE_MS
    books, interests = _turns(names, 15.0, 5.0, 250.0), _turns(names, 60.0, 1.0, 100.0)
    for second in range(minutes * 60):
        now_ms = began_ms + second * 1_000
        yield from (
            MarkPrice(now_ms, "binanceusdm", n, 100.0, 100.0, 1e-4, began_ms + HOUR_MS) for n in names
        )
        if second % 2:
            open_ms = now_ms // HOUR_MS * HOUR_MS
            yield from (
                Candle("binanceus", n, "1h", open_ms, 100.0, 101.0, 99.0, 100.5, 10.0, 1e3, 5.0, closed=False)
                for n in names
            )
        yield from (_book(name, now_ms) for name in books(second))
        yield from (OpenInterest(now_ms, "binanceusdm", name, 1e6, 1e8) for name in interests(second))
        for row in np.flatnonzero(rng.random(len(names)) < LIQUIDATIONS_A_MINUTE / 60).tolist():
            side: Side = "long" if rng.random() < 0.7 else "short"
            usd = float(rng.lognormal(8, 1.5))
            yield Liquidation(now_ms, "binanceusdm", names[row], side, 100.0, usd / 100, usd)
        if now_ms % TICK_MS == 0:
            yield Tick(now_ms)


def _turns(
    names: tuple[str, ...], interval_s: float, weight: float, weight_per_minute: float
) -> Callable[[int], Sequence[str]]:
    """Which symbols are asked for in a second: one after the other, at the feed's own pace."""
    pace = pacing(interval_s, len(names), weight=weight, weight_per_minute=weight_per_minute, speed=1.0)

    def asked(second: int) -> Sequence[str]:
        first, last = ceil(second / pace.later_s), ceil((second + 1) / pace.later_s)
        return [names[number % len(names)] for number in range(first, last)]

    return asked


def _book(name: str, now_ms: int) -> BookDepth:
    levels = range(1, DEPTH_LEVELS + 1)
    bids = tuple((100.0 - 0.01 * level, 1.0) for level in levels)
    asks = tuple((100.0 + 0.01 * level, 1.0) for level in levels)
    return BookDepth(now_ms, "binanceus", name, bids, asks)


def end_of_hour(bars: Sequence[Candle]) -> Sequence[Observation]:
    """The closed bars of the hour in which `live` is, and the Tick after them."""
    now_ms = bars[0].open_ms + HOUR_MS
    return [Tick(now_ms), *bars, Tick(now_ms + TICK_MS)]


class Spent(NamedTuple):
    """CPU seconds and number of observations by type, and the CPU seconds of the end of an hour."""

    seconds: dict[str, float]
    counts: dict[str, int]
    hour_s: float

    def average_us(self, minutes: int) -> float:
        """Microseconds an observation, the end of the hour spread over its sixty minutes."""
        total_s = sum(self.seconds.values()) + self.hour_s * minutes / 60
        return 1e6 * total_s / sum(self.counts.values())


def measure(count: int, minutes: int) -> Spent:
    """Step an engine of so many symbols through minutes and the end of their hour."""
    names = names_of(count)
    *history, ending = hours_of(names, HISTORY + 1)
    engine = warm(names, history)
    spent = Spent(defaultdict(float), defaultdict(int), 0.0)
    for kind, observations in _runs(list(live(names, minutes))):
        spent.seconds[kind] += cpu_seconds(partial(_step_all, engine, observations))
        spent.counts[kind] += len(observations)
    hour_s = cpu_seconds(partial(_step_all, engine, end_of_hour(ending)))
    assert not engine.intake.rejected, engine.intake.rejected
    return spent._replace(hour_s=hour_s)


def _step_all(engine: Engine, observations: Sequence[Observation]) -> None:
    for observation in observations:
        engine.step(observation)


def _runs(observations: Sequence[Observation]) -> Iterator[tuple[str, list[Observation]]]:
    """Observations of one type that come together, so that reading the clock costs little."""
    run: list[Observation] = []
    for observation in observations:
        if run and type(observation) is not type(run[0]):
            yield type(run[0]).__name__, run
            run = []
        run.append(observation)
    yield type(run[0]).__name__, run


def run(*, full: bool = False) -> Report:
    """Measure three sizes of universe."""
    minutes = FULL_MINUTES if full else MINUTES
    found = {count: measure(count, minutes) for count in UNIVERSES}
    results = [
        Result(
            what=f"average of the mix, {count} symbols", unit="us", ours=spent.average_us(minutes), aim=Aim(5)
        )
        for count, spent in found.items()
    ]
    detailed = found[DETAILED]
    results += [
        Result(what=f"  {kind}, {DETAILED} symbols", unit="us", ours=1e6 * seconds / detailed.counts[kind])
        for kind, seconds in sorted(detailed.seconds.items())
    ]
    results += [
        Result(what=f"  end of an hour, {count} symbols", unit="us", ours=1e6 * spent.hour_s)
        for count, spent in found.items()
    ]
    return Report(
        name="engine",
        title="CPU of one observation through intake, features and latest readings, microseconds",
        results=results,
        notes=[
            "a Tick makes the readings of all symbols whose data changed; the end of an hour counts for a sixtieth a minute"
        ],
    )

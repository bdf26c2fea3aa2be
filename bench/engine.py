"""An observation through the engine: a minute as the feeds deliver it, with the hour's end in it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import Final

import numpy as np

from bench.features import START_MS, hours_of
from bench.report import Aim, Report, Result
from bench.timing import cpu_seconds
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.features.base import Universe
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
DEPTH_LEVELS: Final = 100


def names_of(count: int) -> tuple[str, ...]:
    """So many invented symbols."""
    return tuple(f"COIN{number}/USDT" for number in range(count))


def warm(names: tuple[str, ...]) -> Engine:
    """An engine that has seen 38 days of hours, to the minute before the next."""
    engine = Engine.build(installed(), Universe(names))
    end_ms = START_MS + HISTORY * HOUR_MS
    engine.step(Tick(end_ms))
    for bars in hours_of(names, HISTORY):
        for bar in bars:
            engine.step(bar)
    for number in range(90):
        for name in names:
            rate = 1e-4 * (1 + number % 7)
            engine.step(FundingRate(end_ms - (90 - number) * 8 * HOUR_MS, "binanceusdm", name, rate, 8.0))
    engine.step(Tick(end_ms + 58 * MINUTE_MS))
    return engine


def live(names: tuple[str, ...], minutes: int) -> Iterator[Observation]:
    """What comes in so many minutes from the 58th of the hour on.

    Every second a mark price and every other second an unfinished bar of each symbol; every minute open interest,
    four books, and liquidations; every five seconds a Tick; at the end of the hour its closed bars.
    """
    rng = np.random.default_rng(2)
    began_ms = START_MS + HISTORY * HOUR_MS + 58 * MINUTE_MS
    for second in range(minutes * 60):
        now_ms = began_ms + second * 1_000
        yield from (
            MarkPrice(now_ms, "binanceusdm", n, 100.0, 100.0, 1e-4, began_ms + HOUR_MS) for n in names
        )
        if second % 2:
            open_ms = now_ms // HOUR_MS * HOUR_MS
            yield from (_bar(name, open_ms, closed=False) for name in names)
        for index, name in enumerate(names):
            yield from _polled(name, now_ms, (second + index) % 60)
            if rng.random() < LIQUIDATIONS_A_MINUTE / 60:
                side: Side = "long" if rng.random() < 0.7 else "short"
                usd = float(rng.lognormal(8, 1.5))
                yield Liquidation(now_ms, "binanceusdm", name, side, 100.0, usd / 100, usd)
        if now_ms % HOUR_MS == 0:
            yield from (_bar(name, now_ms - HOUR_MS, closed=True) for name in names)
        if now_ms % TICK_MS == 0:
            yield Tick(now_ms)


def _bar(name: str, open_ms: int, *, closed: bool) -> Candle:
    return Candle("binanceus", name, "1h", open_ms, 100.0, 101.0, 99.0, 100.5, 10.0, 1000.0, 5.0, closed)


def _polled(name: str, now_ms: int, second: int) -> Iterator[Observation]:
    if second == 0:
        yield OpenInterest(now_ms, "binanceusdm", name, 1e6, 1e8)
    if second % 15 == 7:
        levels = range(1, DEPTH_LEVELS + 1)
        bids = tuple((100.0 - 0.01 * level, 1.0) for level in levels)
        asks = tuple((100.0 + 0.01 * level, 1.0) for level in levels)
        yield BookDepth(now_ms, "binanceus", name, bids, asks)


def measure(count: int, minutes: int) -> dict[str, list[float]]:
    """CPU seconds of each step, by type of observation."""
    names = names_of(count)
    engine = warm(names)
    spent: dict[str, list[float]] = defaultdict(list)
    for kind, observations in _runs(list(live(names, minutes))):
        taken = cpu_seconds(partial(_step_all, engine, observations))
        spent[kind] += [taken / len(observations)] * len(observations)
    assert not engine.intake.rejected, engine.intake.rejected
    return spent


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
    found = {count: measure(count, FULL_MINUTES if full else MINUTES) for count in UNIVERSES}
    results = [
        Result(
            what=f"average of the mix, {count} symbols",
            unit="us",
            ours=1e6 * sum(map(sum, spent.values())) / sum(map(len, spent.values())),
            aim=Aim(5),
        )
        for count, spent in found.items()
    ]
    results += [
        Result(
            what=f"  {kind}, {DETAILED} symbols ({len(spent):,})",
            unit="us",
            ours=1e6 * sum(spent) / len(spent),
        )
        for kind, spent in sorted(found[DETAILED].items())
    ]
    return Report(
        name="engine",
        title="CPU of one observation through intake, features and latest readings, microseconds",
        results=results,
        notes=[
            "a mix as the feeds deliver it, the end of an hour in it; a Tick computes the readings of all symbols"
        ],
    )

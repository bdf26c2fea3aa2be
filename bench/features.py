"""All five signals for 500 symbols: everything from the arrays of their windows, and one closed bar in the service."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from bench.market import MONTH, WEEK, FloatArray, invent
from bench.pandas_way import by_pandas
from bench.report import Aim, Report, Result
from bench.timing import cpu_seconds, in_turn
from bench.ways import Way, by_polars, disagreement, ours
from regimes.config.features import installed
from regimes.features.base import Feature, Reading, Universe
from regimes.observations import Candle, Tick
from regimes.timeframe import HOUR_MS

SYMBOLS: Final = 500
ROUNDS: Final = 9
HISTORY: Final = 38 * 24
BARS: Final = 20
# Monday 2023-11-13T00:00Z, so that bars of all timeframes end among those that are timed.
START_MS: Final = 472_080 * HOUR_MS
OURS: Final = "regimes"
WAYS: Final[Mapping[str, Way]] = {OURS: ours, "polars": by_polars, "pandas": by_pandas}


def run(*, full: bool = False) -> Report:
    """Compare the ways, then time them."""
    data = invent(SYMBOLS)
    found = {name: way(data) for name, way in WAYS.items()}
    apart = max(disagreement(found[OURS], other) for other in found.values())
    assert apart < 1e-6, f"the ways differ by {apart}"
    seconds = in_turn({name: partial(way, data) for name, way in WAYS.items()}, ROUNDS * (3 if full else 1))
    peers = {name: value * 1e3 for name, value in seconds.items() if name != OURS}
    in_full = Result(what="all in full", unit="ms", ours=seconds[OURS] * 1e3, peers=peers, aim=Aim(15))
    bars = one_bar()
    numbers = sum(bar.judged_ms for bar in bars.values())
    parts = [(f"  of which {name}", bar.judged_ms) for name, bar in bars.items()] + [
        ("  its candles taken, one by one", sum(bar.taken_ms for bar in bars.values())),
        ("  its readings, when somebody looks", sum(bar.made_ms for bar in bars.values())),
    ]
    return Report(
        name="features",
        title=f"{SYMBOLS} symbols, {MONTH} h and the {WEEK} h after them, milliseconds of CPU on one core",
        results=[
            in_full,
            Result(what="one closed bar of all symbols", unit="ms", ours=numbers, peers=peers, aim=Aim(1)),
            *(Result(what=what, unit="ms", ours=ms) for what, ms in parts),
        ],
        notes=[
            f"the three ways agree to {apart:.0e} on every output",
            "one closed bar: from an hour's prices to all numbers, states and events of the signals that take bars",
            "its 500 candles as objects and its 1,500 readings are told apart, as the other ways have neither",
            "polars and pandas compute in full for each bar, and make no events",
        ],
    )


class Bar(NamedTuple):
    """Milliseconds of CPU of one feature: its candles taken, the hour judged, its readings made."""

    taken_ms: float
    judged_ms: float
    made_ms: float


def one_bar() -> Mapping[str, Bar]:
    """What one closed bar of every symbol costs each feature.

    The last candle of the hour and the Tick after it bring about the judging.
    """
    names = tuple(f"COIN{number}/USDT" for number in range(SYMBOLS))
    kinds = [kind for kind in installed() if Candle in kind.wants]
    features = [kind(kind.settings_type(), Universe(names)) for kind in kinds]  # type: ignore[call-arg]
    hours = list(hours_of(names, HISTORY + BARS))
    now_ms = START_MS + HISTORY * HOUR_MS
    for feature in features:
        feature.update(Tick(now_ms))
        for bars in hours[:HISTORY]:
            _take(feature, bars)
        feature.update(Tick(now_ms + 5_000))
    spent: dict[str, list[Bar]] = {feature.name: [] for feature in features}
    # Readings that were looked at are let go by whoever looks at the next: that is no part of judging an hour.
    seen: dict[str, Sequence[Reading]] = {}
    for number, bars in enumerate(hours[HISTORY:], HISTORY + 1):
        tick = Tick(START_MS + number * HOUR_MS + 5_000)
        for feature in features:
            taken = cpu_seconds(partial(_take, feature, bars[:-1]))
            judged = cpu_seconds(partial(_judge, feature, bars[-1], tick))
            made = cpu_seconds(partial(_look, feature, seen))
            spent[feature.name].append(Bar(taken * 1e3, judged * 1e3, made * 1e3))
    return {name: Bar(*map(median, zip(*bars, strict=True))) for name, bars in spent.items()}


def _judge(feature: Feature, last: Candle, tick: Tick) -> None:
    feature.update(last)
    feature.update(tick)


def _look(feature: Feature, seen: dict[str, Sequence[Reading]]) -> None:
    seen[feature.name] = list(feature.readings())


def _take(feature: Feature, bars: list[Candle]) -> None:
    for bar in bars:
        feature.update(bar)


def hours_of(names: tuple[str, ...], hours: int) -> Iterator[list[Candle]]:
    """Bars of every symbol, hour by hour, of a market that moves together."""
    rng = np.random.default_rng(1)
    moves = rng.normal(0, 0.006, (1, hours)) + rng.normal(0, 0.006, (len(names), hours))
    prices: FloatArray = 100 * np.exp(np.cumsum(moves, axis=1))
    volumes = rng.lognormal(3, 1, (len(names), hours))
    for hour in range(hours):
        open_ms = START_MS + hour * HOUR_MS
        columns = zip(names, prices[:, hour].tolist(), volumes[:, hour].tolist(), strict=True)
        yield [
            Candle("binanceus", name, "1h", open_ms, price, price, price, price, volume)
            for name, price, volume in columns
        ]

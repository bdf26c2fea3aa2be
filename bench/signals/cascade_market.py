"""A simulated market of liquidations in which it is known what was a cascade, seen through the venue's throttle."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from regimes.maths.stats import FloatArray, IntArray

DAY_S: Final = 86_400.0
WEEK_S: Final = 7 * DAY_S
STEP_S: Final = 600.0


class Symbol(msgspec.Struct, frozen=True):
    """A size of symbol. per_hour: its usual liquidations. median_usd: of one of them."""

    per_hour: float
    median_usd: float


SIZES: Final = (Symbol(60.0, 8_000.0), Symbol(12.0, 2_000.0), Symbol(3.0, 600.0), Symbol(0.6, 200.0))


class World(msgspec.Struct, frozen=True):
    """How the market behaves.

    a_week: cascades; each lasts 10 to 40 minutes, in which `times` as much happens of itself on average, each
    liquidation brings about `cascade_branching` others instead of `branching`, and sizes are 1.8 times larger.
    fading: the pace falls by half in each fifth of its time, as after a shock; otherwise it stays.
    """

    a_week: float = 2.0
    times: float = 16.0
    branching: float = 0.5
    cascade_branching: float = 0.8
    half_life_s: float = 15.0
    fading: bool = True


class Market(msgspec.Struct, frozen=True):
    """What was seen of one symbol, and what was true. cascades: shape (n, 2), begin and end; all in seconds."""

    times: FloatArray
    usd: FloatArray
    cascades: FloatArray


def simulate(rng: np.random.Generator, symbol: Symbol, weeks: float, world: World) -> Market:
    """Weeks of one symbol: a pace that wanders, days, chains of liquidations, cascades, one a second at most."""
    end = weeks * WEEK_S
    grid = np.arange(0.0, end, STEP_S)
    season = 1.0 + 0.4 * np.sin(2 * np.pi * grid / DAY_S)
    pace = symbol.per_hour / 3600 * (1 - world.branching) * np.exp(0.6 * _wandering(rng, len(grid)) - 0.18)
    pace *= season
    begun = np.repeat(grid, rng.poisson(pace * STEP_S))
    times = [_chains(rng, begun + rng.random(len(begun)) * STEP_S, world.branching, world.half_life_s)]
    sizes = [rng.normal(0.0, 1.2, len(times[0]))]
    cascades = _spans(rng, end, world.a_week)
    for first, last in cascades:
        count = rng.poisson(pace[int(first // STEP_S)] * world.times * (last - first))
        begun = first + (last - first) * _places(rng, count, fading=world.fading)
        own = _chains(rng, begun, world.cascade_branching, world.half_life_s)
        times.append(own)
        sizes.append(rng.normal(0.6, 1.4, len(own)))
    every, size = np.concatenate(times), np.concatenate(sizes)
    kept = _throttled(every, size)
    kept = kept[every[kept] < end]
    return Market(every[kept], symbol.median_usd * np.exp(size[kept]), np.array(cascades).reshape(-1, 2))


def _wandering(rng: np.random.Generator, steps: int) -> FloatArray:
    """Ornstein-Uhlenbeck with a deviation of 1 and a memory of six hours."""
    keep = np.exp(-STEP_S / (6 * 3600))
    noise = rng.normal(size=steps) * np.sqrt(1 - keep * keep)
    found = np.zeros(steps)
    for place in range(1, steps):
        found[place] = keep * found[place - 1] + noise[place]
    return found


def _chains(rng: np.random.Generator, begun: FloatArray, branching: float, half_life_s: float) -> FloatArray:
    """Those that happened of themselves and all that they brought about (Hawkes as a branching process)."""
    found = [begun]
    while len(found[-1]):
        parents = np.repeat(found[-1], rng.poisson(branching, len(found[-1])))
        found.append(parents + rng.exponential(half_life_s / np.log(2), len(parents)))
    return np.concatenate(found)


def _spans(rng: np.random.Generator, end: float, a_week: float) -> Sequence[tuple[float, float]]:
    """Cascades from the second day on, three hours apart at least."""
    found: list[tuple[float, float]] = []
    at = 1.5 * DAY_S
    while True:
        at += 3 * 3600 + rng.exponential(WEEK_S / a_week - 3 * 3600)
        if at > end - 7200:
            return found
        found.append((at, at + rng.uniform(600.0, 2400.0)))


def _places(rng: np.random.Generator, count: int, *, fading: bool) -> FloatArray:
    """When in the cascade each begins, 0 to 1."""
    even = rng.random(count)
    return -np.log2(1 - even * (1 - 2.0**-5)) / 5 if fading else even


def _throttled(times: FloatArray, size: FloatArray) -> IntArray:
    """The largest of each second, in order of time."""
    seconds = times.astype(np.int64)
    order = np.lexsort((-size, seconds))
    first = np.concatenate(([True], np.diff(seconds[order]) > 0))
    kept = order[first]
    return kept[np.argsort(times[kept], kind="stable")]

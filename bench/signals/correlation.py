"""How soon a correlation that breaks is noticed, at one false alarm a pair in 30 days: simulated breaks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench.signals.correlation_peers import EVERY, change_gain, page_hinkley, page_hinkley_bound
from bench.signals.market import Candles, spot_candles
from bench.signals.peers import installed
from bench.signals.score import Row
from regimes.maths.correlation_watch import THRESHOLDS, CorrelationWatch
from regimes.maths.stats import FloatArray
from regimes.maths.volatility import log_returns

NORMAL: Final = 0.85
BREAKS: Final = ((0.6, (28.0, 18.0)), (0.4, (13.0, 9.0)), (0.0, (7.0, 5.0)))
MONTH: Final = 720
WARM: Final = 900
AFTER: Final = 96
KNOWN: Final = 2_000
"""Hours before the span, so that what is usual is known."""
YEARS_BEFORE: Final = 20_200
"""Hours before the span in which all three were traded."""
SHARES: Final = {"falls": 0.9, "rises": 0.1}
PAIRS: Final = 150
FEW: Final = 12
GAIN_UNIT: Final = 10.0


class World(msgspec.Struct, frozen=True):
    """freedom: of the bivariate t. wander: deviation of the log scale that both share, with a memory of 50 h."""

    freedom: float = 4.0
    wander: float = 0.0


def simulate(
    rng: np.random.Generator, world: World, hours: int, pairs: int, broken: float | None = None
) -> FloatArray:
    """Returns, shape (hours, 2, pairs); the correlation is NORMAL until AFTER hours before the end."""
    log_scale = np.zeros((hours, pairs))
    noise = rng.normal(size=log_scale.shape) * world.wander * np.sqrt(1 - 0.98**2)
    for hour in range(1, hours):
        log_scale[hour] = 0.98 * log_scale[hour - 1] + noise[hour]
    season = 0.25 * np.sin(2 * np.pi * np.arange(hours) / 24)[:, None] * (world.wander > 0)
    scale = np.exp(log_scale + season) * np.sqrt(
        (world.freedom - 2) / rng.chisquare(world.freedom, size=log_scale.shape)
    )
    r = np.full((hours, 1), NORMAL)
    r[hours - AFTER :] = NORMAL if broken is None else broken
    first, own = rng.normal(size=(2, *log_scale.shape))
    return np.stack((scale * first, scale * (r * first + np.sqrt(1 - r * r) * own)), axis=1)


def strengths(returns: FloatArray) -> FloatArray:
    """Evidence over the threshold of each hour and pair, by the product's own code; NaN while it does not speak."""
    pairs = returns.shape[2]
    first = np.arange(pairs, dtype=np.int64)
    watch = CorrelationWatch(2 * pairs, first, first + pairs)
    found = np.empty((len(returns), pairs))
    for hour, both in enumerate(returns):
        watch.step(both.ravel())
        found[hour] = watch.found().strength
    return found


def fisher_24h(returns: FloatArray) -> FloatArray:
    """Fisher's z of the last 24 h against the 30 days before, over 3.8 of its standard errors (the plain rule)."""
    both = np.moveaxis(returns, 1, 0)
    day = np.arctanh(_rolling_r(both, 24))
    normal = np.full_like(day, np.nan)
    normal[24:] = np.arctanh(_rolling_r(both, MONTH))[:-24]
    found: FloatArray = np.abs(day - normal) / np.sqrt(1 / 21 + 1 / (MONTH - 3)) / 3.8
    return found


def _rolling_r(both: FloatArray, hours: int) -> FloatArray:
    def mean(values: FloatArray) -> FloatArray:
        sums = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)))
        found = np.full(values.shape, np.nan)
        found[hours - 1 :] = (sums[hours:] - sums[:-hours]) / hours
        return found

    x, y = both
    xy, xx, yy = mean(x * y) - mean(x) * mean(y), mean(x * x) - mean(x) ** 2, mean(y * y) - mean(y) ** 2
    return xy / np.sqrt(xx * yy)


def alarms(strength: FloatArray, bound: float) -> float:
    """Alarms a pair and 30 days: one lasts until half the bound is left."""
    on, count = np.zeros(strength.shape[1], dtype=np.bool_), 0
    judged = strength[WARM:]
    for now in judged:
        count += int(((now >= bound) & ~on).sum())
        on = (now >= bound) | (on & (now >= bound / 2))
    return count * MONTH / int((~np.isnan(judged)).sum())


def delays(strength: FloatArray, bound: float) -> FloatArray:
    """Hours from the break to the bound, AFTER where it was not reached; pairs that were above it before are left out."""
    after, before = strength[-AFTER:] >= bound, strength[-AFTER - 1] >= bound
    reached = np.where(after.any(axis=0), after.argmax(axis=0) + 1.0, float(AFTER))
    kept: FloatArray = reached[~before]
    return kept


def bound_of(strength: FloatArray, a_month: float = 1.0) -> float:
    """The bound with so many alarms a pair and 30 days."""
    low, high = 0.0, 20.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if alarms(strength, middle) > a_month else (low, middle)
    return high


def evaluate(folder: Path, *, start: str = "2023-01-01", shipped: bool = False) -> tuple[str, Sequence[Row]]:
    """All rows of the table."""
    del shipped
    rows = _world("", World(), BREAKS)
    rows += _world("scale that wanders: ", World(6.0, 0.3), BREAKS)
    candles = spot_candles(folder)
    at = candles.place(start)
    before = recorded(candles, max(at - YEARS_BEFORE, 0), at)
    found = recorded(candles, at - KNOWN, candles.hours)
    for side, (what, a_month) in enumerate(SHARES.items()):
        bound = bound_of(before[:, side], a_month)
        rows.append(
            Row(f"bound of {a_month:g} {what} a month before, over the shipped one", bound, None, {}, None)
        )
    of_falls = {"falls alone": alarms(found[KNOWN - WARM :, 0], 1.0)}
    both = alarms(found[KNOWN - WARM :].max(axis=1), 1.0)
    rows.append(Row("alarms a pair and 30 days, BTC ETH SOL as recorded", both, None, of_falls, None))
    return f"simulated, and {candles.day(at)} to {candles.day(candles.hours - 1)}", rows


def recorded(candles: Candles, first: int, last: int) -> FloatArray:
    """Evidence over the threshold, shape (hours, 2, pairs), that BTC, ETH and SOL move less, and more, alike than usual."""
    of = candles.rows(("BTC", "ETH", "SOL"))
    watch = CorrelationWatch(3, np.array([0, 0, 1]), np.array([1, 2, 2]))
    returns = log_returns(candles.bars[3][of][:, first:last]).T
    found = np.empty((len(returns), 2, 3))
    for hour, now in enumerate(returns):
        watch.step(now)
        found[hour] = watch.arrays["evidence"] / THRESHOLDS + 0.0 * watch.found().strength
    return found


def _libraries(quiet: FloatArray) -> dict[str, tuple[Callable[[FloatArray], FloatArray], float]]:
    """Detectors of libraries that are installed, each with its bound of one alarm a pair and 30 days; on FEW pairs, as they are slow."""
    found: dict[str, tuple[Callable[[FloatArray], FloatArray], float]] = {}
    few = quiet[:, :, :FEW]
    if installed("river"):
        bound = page_hinkley_bound(few)
        found["Page-Hinkley, river"] = (lambda returns: page_hinkley(returns, bound), 1.0)
    if installed("ruptures"):
        found["one change in 168 h, ruptures"] = (_gain, bound_of(_gain(few)))
    return found


def _gain(returns: FloatArray) -> FloatArray:
    return change_gain(returns, WARM - EVERY) / GAIN_UNIT


def _world(prefix: str, world: World, breaks: Sequence[tuple[float, tuple[float, float]]]) -> list[Row]:
    rng = np.random.default_rng(5)
    quiet = simulate(rng, world, 4_000, 30)
    own, plain = (bound_of(way(quiet)) for way in (strengths, fisher_24h))
    libraries = _libraries(quiet)
    rows = [Row(f"{prefix}bound of one false alarm a month, over the shipped one", own, None, {}, None)]
    for broken, asked in breaks:
        after = simulate(rng, world, WARM + AFTER, PAIRS, broken)
        strength = strengths(after)
        peers = {
            "at the shipped bound": delays(strength, 1.0),
            "Fisher's z of 24 h": delays(fisher_24h(after), plain),
            **{name: delays(way(after[:, :, :FEW]), bound) for name, (way, bound) in libraries.items()},
        }
        medians = {name: float(np.median(hours)) for name, hours in peers.items()}
        what = f"{prefix}hours to notice {NORMAL} -> {broken:g}, median"
        rows.append(Row(what, float(np.median(delays(strength, own))), None, medians, asked, least=False))
    return rows

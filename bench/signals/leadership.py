"""How often a leader is named where there is none, and how often one that is there is found, in 8.3 days of minutes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl

from bench.signals.score import Row
from regimes.features.correlation_engine.leaders import find_leader_in_minutes
from regimes.features.correlation_engine.minutes import WINDOW_MINUTES
from regimes.maths.lead_lag import Ticks, lead, steadied
from regimes.maths.leadership import lead as by_sums
from regimes.maths.stats import FloatArray
from regimes.timeframe import MINUTE_MS

MARKETS: Final = 400
PLANTED: Final = 0.05
ALPHA: Final = 0.01
SHIFTS: Final = 100


class World(msgspec.Struct, frozen=True):
    """Minutes of some symbols: t of 4 degrees, a scale that wanders, of which each pair correlates at `together`.

    planted: lagged correlation at which all follow the first, `lag` later. traded: share of minutes in which the second
    trades. bounce: deviation of the noise of each close, over that of a minute's return.
    """

    together: float = 0.6
    symbols: int = 2
    planted: float = 0.0
    lag: int = 1
    traded: float = 1.0
    bounce: float = 0.0


def simulate(rng: np.random.Generator, world: World) -> list[Ticks]:
    """Logarithms of closes, at the minutes in which each symbol trades."""
    minutes = np.arange(WINDOW_MINUTES, dtype=np.int64)
    scale = 1e-3 * np.exp(0.3 * _wandering(rng, len(minutes)))
    common = rng.normal(size=len(minutes))
    own = rng.normal(size=(world.symbols, len(minutes)))
    moves = np.sqrt(world.together) * common + np.sqrt(1 - world.together) * own
    moves *= scale * np.sqrt(2.0 / rng.chisquare(4.0, size=len(minutes)))
    moves[1:, world.lag :] += world.planted * moves[0, : -world.lag]
    paths = np.cumsum(moves, axis=1) + 1e-3 * world.bounce * rng.normal(size=moves.shape)
    traded = np.ones(moves.shape, dtype=np.bool_)
    traded[1] = rng.random(len(minutes)) < world.traded
    return [Ticks(minutes[there], path[there]) for path, there in zip(paths, traded, strict=True)]


def _wandering(rng: np.random.Generator, steps: int) -> FloatArray:
    """Ornstein-Uhlenbeck with a deviation of 1 and a memory of 100 minutes."""
    noise = rng.normal(size=steps) * np.sqrt(1 - 0.99**2)
    found = np.empty(steps)
    last = 0.0
    for place, step in enumerate(noise.tolist()):
        last = 0.99 * last + step
        found[place] = last
    return found


def named(world: World, seed: int) -> tuple[Sequence[bool], Sequence[bool]]:
    """Whether the first leads all others, and whether anything else was named, in each market."""
    rng = np.random.default_rng(seed)
    everybody = tuple(range(1, world.symbols))
    found = [find_leader_in_minutes(simulate(rng, world), alpha=ALPHA) for _ in range(MARKETS)]
    right = [one.leader == 0 and one.followers == everybody for one in found]
    return right, [one.leader not in {None, 0} for one in found]


def summed(world: World, seed: int) -> float:
    """Share of markets with a leader by the sum over all lags and a block bootstrap, the way of hourly returns."""
    rng = np.random.default_rng(seed)
    count = 0
    for number in range(MARKETS // 4):
        first, second = simulate(rng, world)
        found = by_sums(np.diff(first.path), np.diff(second.path), seed=number)
        count += found is not None and found.p <= ALPHA and found.follows > 0
    return count / (MARKETS // 4)


def evaluate(folder: Path, *, start: str = "", shipped: bool = False) -> tuple[str, Sequence[Row]]:
    """All rows of the table. start and shipped are those of the other parts."""
    del start, shipped
    quiet, planted = World(), World(planted=PLANTED)
    rows = [
        _false("", quiet, {"sum over lags, bootstrap": summed(quiet, 1)}),
        _false("no common moves: ", World(together=0.0)),
        _false("six symbols: ", World(symbols=6)),
        _false("prices that bounce: ", World(bounce=0.5)),
        _false("one trades in seven minutes of ten: ", World(traded=0.7)),
        _power("", planted, {"sum over lags, bootstrap": summed(planted, 2)}),
        _power("lag of 3 minutes: ", msgspec.structs.replace(planted, lag=3)),
        _power("pairs correlate at 0.8: ", msgspec.structs.replace(planted, together=0.8)),
        _power("no common moves: ", msgspec.structs.replace(planted, together=0.0)),
        _power("three symbols: ", msgspec.structs.replace(planted, symbols=3)),
    ]
    return f"simulated, {WINDOW_MINUTES:,} minutes, {MARKETS} markets", [*rows, *_recorded(folder)]


def _false(prefix: str, world: World, peers: dict[str, float] | None = None) -> Row:
    right, wrong = named(world, 3)
    any_leader = np.array(right) | np.array(wrong)
    return _row(
        f"{prefix}share of markets with a false leader", any_leader * 1.0, peers, (0.01, 0.01), least=False
    )


def _power(prefix: str, world: World, peers: dict[str, float] | None = None) -> Row:
    right, _ = named(world, 4)
    return _row(
        f"{prefix}share in which a lagged correlation of {PLANTED:g} is found",
        np.array(right) * 1.0,
        peers,
        (0.9, 0.9),
    )


def _row(
    what: str,
    happened: FloatArray,
    peers: dict[str, float] | None,
    asked: tuple[float, float],
    *,
    least: bool = True,
) -> Row:
    share = float(happened.mean())
    error = float(np.sqrt(share * (1 - share) / len(happened)))
    return Row(what, share, error, peers or {}, asked, least)


def _recorded(folder: Path) -> Sequence[Row]:
    """Minutes of ETH against those of SOL from other hours, so that nothing can lead: how often something does."""
    files = [folder / "candles" / f"um_{name}USDT_1m.parquet" for name in ("ETH", "SOL")]
    if not all(file.exists() for file in files):
        return []
    first, second = (_minutes(file) for file in files)
    size = min(len(first), len(second))
    step = size // (SHIFTS + 1)
    found = []
    for number in range(1, SHIFTS + 1):
        paths = (np.cumsum(first[:size]), np.cumsum(np.roll(second[:size], number * step)))
        result = lead(*(steadied(Ticks(np.arange(size, dtype=np.int64), path)) for path in paths))
        found.append(result is not None and result.p <= ALPHA)
    what = f"ETH as recorded, and SOL of another hour, {size:,} minutes: share with a leader"
    return [_row(what, np.array(found) * 1.0, None, (0.01, 0.01), least=False)]


def _minutes(file: Path) -> FloatArray:
    frame = pl.read_parquet(file, columns=["ts", "close"]).sort("ts")
    assert (frame["ts"].diff().drop_nulls() == MINUTE_MS).all()
    return np.asarray(np.diff(np.log(frame["close"].to_numpy())), dtype=np.float64)

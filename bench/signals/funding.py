"""How likely an unusual funding rate is to be usual again: `p_revert_24h`, `p_revert_72h`, walk-forward."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from bench.signals.funding_peers import online
from bench.signals.peers import installed
from bench.signals.score import Row, calibration_row, ratio_error
from regimes.errors import DataError
from regimes.maths import reversion, reversion_frozen
from regimes.maths.reversion import HORIZONS_HOURS, TERMS, USUAL_Z
from regimes.maths.stats import FloatArray, IntArray
from regimes.timeframe import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from regimes.maths.anomaly import BoolArray

EVERY_HOURS: Final = 8
WINDOW: Final = 90
REFIT_EVERY: Final = 90
HALF_LIFE: Final = 2 * 365 * 3
RIDGE: Final = 2.0
FROZEN: Final = Path(__file__).parents[2] / "regimes/maths/reversion_frozen.py"


class Walk(msgspec.Struct, frozen=True):
    """first: of the columns, eight hours each, since 1970. terms: shape (terms, symbols, columns). z: as shown.

    happened: shape (horizons, symbols, columns), 1, 0 or NaN.
    """

    symbols: tuple[str, ...]
    first: int
    terms: FloatArray
    z: FloatArray
    happened: FloatArray

    def place(self, day: str) -> int:
        """Column of an ISO date."""
        at_ms = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000
        return round(at_ms / HOUR_MS) // EVERY_HOURS - self.first

    def day(self, column: int) -> str:
        """ISO date of a column."""
        return datetime.fromtimestamp((self.first + column) * EVERY_HOURS * 3600, UTC).date().isoformat()


def walk(folder: Path) -> Walk:
    """Lead the product's terms through every settlement; raises DataError when there are none."""
    paths = sorted((folder / "funding").glob("funding_*USDT.parquet"))
    if not paths:
        raise DataError(f"{folder}/funding holds no funding_*USDT.parquet: name another folder with --data")
    frames = {
        path.stem.removeprefix("funding_").removesuffix("USDT"): pl.read_parquet(path) for path in paths
    }
    blocks = {symbol: _blocks(frame) for symbol, frame in frames.items()}
    first = min(int(at[0]) for at, _ in blocks.values())
    last = max(int(at[-1]) for at, _ in blocks.values())
    rates = np.full((len(blocks), last - first + 1), np.nan)
    for row, (at, values) in enumerate(blocks.values()):
        rates[row, at - first] = values
    terms = np.full((len(TERMS), *rates.shape), np.nan)
    for row, values in enumerate(rates):
        padded = np.concatenate((np.full(2 * WINDOW - 1, np.nan), values))
        terms[:, row] = reversion.terms(sliding_window_view(padded, 2 * WINDOW), WINDOW)
    z = reversion.own_time_scores(rates, WINDOW)
    happened = np.stack([_usual_within(z, hours // EVERY_HOURS) for hours in HORIZONS_HOURS])
    return Walk(tuple(blocks), first, terms, z, happened)


def _blocks(frame: pl.DataFrame) -> tuple[IntArray, FloatArray]:
    """When each eight hours ended, in eights of hours since 1970, and their mean rate; of any interval."""
    times = frame["ts"].to_numpy().astype(np.float64) / (EVERY_HOURS * HOUR_MS)
    ends = np.ceil(np.round(times, 3)).astype(np.int64)
    at, place = np.unique(ends, return_inverse=True)
    # Two settlements of four hours in a block are rates for four hours each; their sum is that of eight.
    rates: FloatArray = np.bincount(place, weights=frame["rate"].to_numpy()).astype(np.float64)
    return at, rates


def _usual_within(z: FloatArray, steps: int) -> FloatArray:
    """Whether one of the next settlements is usual; NaN where not all are known to have come."""
    usual: BoolArray = np.abs(z) < USUAL_Z
    found = np.zeros(z.shape)
    for step in range(1, steps + 1):
        found[:, :-step] = np.maximum(found[:, :-step], usual[:, step:])
    found[:, -steps:] = np.nan
    return found


def fit(found: Walk, horizon: int, until: int, only: tuple[str, ...] = TERMS) -> FloatArray:
    """Weights of the logistic model from all that was known before column `until`, by Newton's method.

    only: the other terms get no weight.
    """
    known = _known(found, horizon)
    known[:, max(until - HORIZONS_HOURS[horizon] // EVERY_HOURS, 0) :] = False
    terms, happened = found.terms[:, known], found.happened[horizon][known]
    age = until - np.broadcast_to(np.arange(known.shape[1]), known.shape)[known]
    counts = 0.5 ** (age / HALF_LIFE)
    penalty = np.diag([0.0 if name == "one" else RIDGE if name in only else 1e9 for name in TERMS])
    weights: FloatArray = np.zeros(len(terms))
    for _ in range(15):
        chance = 1.0 / (1.0 + np.exp(-(weights @ terms)))
        curvature = (terms * (counts * chance * (1 - chance))) @ terms.T + penalty
        weights += np.linalg.solve(curvature, terms @ (counts * (happened - chance)) - penalty @ weights)
    return weights


def _known(found: Walk, horizon: int) -> "BoolArray":
    known: BoolArray = ~np.isnan(found.terms[0]) & ~np.isnan(found.happened[horizon])
    return known


def running(
    found: Walk, horizon: int, start: int, *, shipped: bool = False, only: tuple[str, ...] = TERMS
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Chance, and the rate at which it happened before, from |z| 1 and from 2; refit every 30 days."""
    chance, from_1, from_2 = (np.full(found.z.shape, np.nan) for _ in range(3))
    known = _known(found, horizon)
    for at in range(start, found.z.shape[1], REFIT_EVERY):
        part = slice(at, at + REFIT_EVERY)
        weights = np.array(reversion_frozen.WEIGHTS[horizon]) if shipped else fit(found, horizon, at, only)
        both = np.broadcast_to(weights, (2, len(weights)))
        terms = found.terms[:, :, part]
        chance[:, part] = reversion.chances(terms.reshape(len(TERMS), -1), both)[0].reshape(terms.shape[1:])
        before = known.copy()
        before[:, at - HORIZONS_HOURS[horizon] // EVERY_HOURS :] = False
        for usual, least in ((from_1, 1.0), (from_2, 2.0)):
            usual[:, part] = found.happened[horizon][before & (np.abs(found.z) >= least)].mean()
    return chance, from_1, from_2


def evaluate(folder: Path, *, start: str = "2023-01-01", shipped: bool = False) -> tuple[str, Sequence[Row]]:
    """All rows of the table."""
    found = walk(folder)
    at = found.place(start)
    rows = []
    for horizon, hours in enumerate(HORIZONS_HOURS):
        chance, *climates = running(found, horizon, at, shipped=shipped)
        peers = {
            "|z| alone": running(found, horizon, at, only=("one", "log |z|"))[0],
            **({"logistic regression of `river`": online(found, horizon, at)} if installed("river") else {}),
        }
        for least, climate in zip((2.0, 1.0), reversed(climates), strict=True):
            judged = ~np.isnan(chance) & ~np.isnan(found.happened[horizon]) & (np.abs(found.z) >= least)
            asked = ((0.93, 0.88), (0.95, 0.90))[horizon] if least == 2.0 else None
            rows += _rows(
                f"p_revert_{hours}h from |z| {least:g}",
                (chance, found.happened[horizon], climate),
                judged,
                peers,
                asked,
            )
    return f"{found.day(at)} to {found.day(found.z.shape[1] - 1)}, {', '.join(found.symbols)}", rows


def _rows(
    what: str,
    values: tuple[FloatArray, FloatArray, FloatArray],
    judged: "BoolArray",
    peers: dict[str, FloatArray],
    asked: tuple[float, float] | None,
) -> list[Row]:
    chance, happened, climate = values

    def loss(way: FloatArray) -> FloatArray:
        return (way[judged] - happened[judged]) ** 2

    def weekly(way: FloatArray) -> FloatArray:
        """One row, so that all settlements count alike; columns are hours for the bootstrap of weeks."""
        every = np.where(judged, (way - happened) ** 2, np.nan)
        return np.repeat(every, EVERY_HOURS, axis=1)

    base = float(loss(climate).mean())
    error = ratio_error(*(weekly(way) for way in (chance, climate)))[1]
    others = {name: float(loss(way).mean()) / base for name, way in peers.items()}
    return [
        Row(f"{what}: Brier, ratio to climatology ({judged.sum()})", float(loss(chance).mean()) / base, error, others, asked, least=False),
        calibration_row(what, chance[judged], happened[judged], asked=(0.03, 0.02) if asked else None),
    ]  # fmt: skip


def write(found: Walk, until: int, path: Path, *, day: str) -> None:
    """Write the module the product imports."""
    weights = [fit(found, horizon, until) for horizon in range(len(HORIZONS_HOURS))]
    lines = ",\n".join("    (" + ", ".join(repr(round(w, 4)) for w in row.tolist()) + ")" for row in weights)
    days = (until - int(np.flatnonzero(~np.isnan(found.z).all(axis=0))[0])) * EVERY_HOURS * HOUR_MS / DAY_MS
    path.write_text(
        f'"""Numbers of funding reversion, fitted on {", ".join(found.symbols)}, {days:.0f} days to the day before {day}.\n\n'
        "Written by `python -m bench.signals --fit`; see docs/signals.md for what they are and how good they are.\n"
        '"""\n\nfrom typing import Final\n\n# fmt: off\n'
        f"WEIGHTS: Final = (\n{lines},\n)\n"
        '"""Of `regimes.maths.reversion.TERMS`, for 24 and 72 hours."""\n'
    )

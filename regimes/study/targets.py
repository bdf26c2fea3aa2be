"""What an alert should have caught: large moves of the price, and hours in which positions were really given up.

Both look back only for their own measure of what is large, but a move is what came AFTER an hour: no alert knows of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
import polars as pl

from regimes.history import Source
from regimes.observations import Candle, Liquidation, OpenInterest
from regimes.timeframe import HOUR_MS

AHEAD_HOURS: Final = 24
YEAR_HOURS: Final = 8_760
FEWEST_HOURS: Final = 720
QUANTILE: Final = 0.95
MONTH_HOURS: Final = 720
FEWEST_WATCHED: Final = 168
JOINED_HOURS: Final = 24
"""Hours that count with no more than so many between them are one move."""


class Kind(StrEnum):
    """What is to be caught."""

    LARGE_MOVE = "large_move"
    DELEVERAGING = "deleveraging"


class Target(msgspec.Struct, frozen=True):
    """One stretch that an alert about `symbol` should fall into, the end not in it."""

    kind: Kind
    symbol: str
    from_ms: int
    until_ms: int


def large_moves(open_ms: pl.Series, close: pl.Series, symbol: str) -> list[Target]:
    """Find the moves in hourly closes, oldest first.

    An hour counts when the 24 hours after its close have an absolute log return, or a realised volatility (root of the sum
    of squared hourly returns), at or above the 95th percentile of all such 24 hours that ended within the year before it (30
    days of them at least). Counting hours at most a day apart are one move; it begins with the close of the first and ends 24 hours
    after the last. Missing hours carry the last close.
    """
    grid = pl.DataFrame({"open_ms": pl.int_range(open_ms[0], open_ms[-1] + 1, HOUR_MS, eager=True)})
    bars = grid.join(pl.DataFrame({"open_ms": open_ms, "close": close}), on="open_ms", how="left")
    price = pl.col("close").fill_null(strategy="forward").log()
    back = bars.select(
        "open_ms",
        change=(price - price.shift(AHEAD_HOURS)).abs(),
        volatility=(price.diff() ** 2).rolling_sum(AHEAD_HOURS).clip(lower_bound=0).sqrt(),
    )
    counts = back.select(
        "open_ms", large=pl.any_horizontal(_largest("change"), _largest("volatility")).fill_null(value=False)
    )
    hours = counts.filter("large")["open_ms"].to_list()
    return [
        Target(Kind.LARGE_MOVE, symbol, first + HOUR_MS, last + HOUR_MS + AHEAD_HOURS * HOUR_MS)
        for first, last in _runs(hours, JOINED_HOURS * HOUR_MS)
    ]


def _largest(name: str) -> pl.Expr:
    usual = pl.col(name).rolling_quantile(
        QUANTILE, interpolation="linear", window_size=YEAR_HOURS, min_samples=FEWEST_HOURS
    )
    return pl.col(name).shift(-AHEAD_HOURS) >= usual


def deleveraging(
    usd: Sequence[float], interest: Sequence[float | None], first_ms: int, symbol: str
) -> list[Target]:
    """Find the hours in which positions were given up, oldest first.

    usd: liquidated in each watched hour from `first_ms` on; interest: contracts open at its end. An hour counts when its liquidations are
    at or above the 95th percentile, and its change of open interest at or below the 5th, of the 30 days before it (7 at
    least). The target is the hour and the one after it.
    """
    amounts, held = np.asarray(usd, dtype=float), np.array([np.nan if x is None else x for x in interest])
    changes = np.diff(np.log(held), prepend=np.nan)
    found = []
    for hour in range(FEWEST_WATCHED, len(amounts)):
        before = slice(max(0, hour - MONTH_HOURS), hour)
        known = changes[before][~np.isnan(changes[before])]
        if len(known) < FEWEST_WATCHED or np.isnan(changes[hour]):
            continue
        forced = amounts[hour] > 0 and amounts[hour] >= np.quantile(amounts[before], QUANTILE)
        if forced and changes[hour] <= np.quantile(known, 1 - QUANTILE):
            start_ms = first_ms + hour * HOUR_MS
            found.append(Target(Kind.DELEVERAGING, symbol, start_ms, start_ms + 2 * HOUR_MS))
    return found


def targets(source: Source, symbols: Sequence[str], from_ms: int, to_ms: int) -> list[Target]:
    """Find everything that lies whole within a span, in order. Reads the year before it as well. Raises DataError."""
    begin_ms = from_ms - (YEAR_HOURS + 2 * AHEAD_HOURS) * HOUR_MS
    closes: dict[str, tuple[list[int], list[float]]] = {symbol: ([], []) for symbol in symbols}
    forced: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    held: dict[str, dict[int, float]] = defaultdict(dict)
    for item in source.observations(begin_ms, to_ms, symbols):
        match item:
            case Candle(timeframe="1h", closed=True) if item.symbol in closes:
                closes[item.symbol][0].append(item.open_ms)
                closes[item.symbol][1].append(item.close)
            case Liquidation():
                forced[item.symbol][item.ts_ms // HOUR_MS] += item.quote_usd
            case OpenInterest():
                # Told at the hour's end: of the hour before.
                held[item.symbol][(item.ts_ms - 1) // HOUR_MS] = item.base_qty
    found: list[Target] = []
    for symbol in symbols:
        if closes[symbol][0]:
            times, prices = closes[symbol]
            ordered = pl.DataFrame({"t": times, "p": prices}).unique("t", keep="first").sort("t")
            found += large_moves(ordered["t"], ordered["p"], symbol)
        found += _of_hours(forced[symbol], held[symbol], symbol)
    inside = [one for one in found if from_ms <= one.from_ms and one.until_ms <= to_ms]
    return sorted(inside, key=lambda one: (one.from_ms, one.symbol, one.kind))


def _of_hours(forced: dict[int, float], held: dict[int, float], symbol: str) -> list[Target]:
    if not held:
        return []
    first, last = min(held), max(held)
    hours = range(first, last + 1)
    usd = [forced.get(hour, 0.0) for hour in hours]
    return deleveraging(usd, [held.get(hour) for hour in hours], first * HOUR_MS, symbol)


def _runs(hours: Iterable[int], joined_ms: int) -> list[tuple[int, int]]:
    """The first and last of each run of hours with no more than so much between them."""
    found: list[tuple[int, int]] = []
    for hour in hours:
        if found and hour - found[-1][1] <= joined_ms:
            found[-1] = (found[-1][0], hour)
        else:
            found.append((hour, hour))
    return found


def share_of_time(found: Sequence[Target], symbol: str, from_ms: int, to_ms: int, *, lead_ms: int) -> float:
    """Which share of a span lies within a symbol's targets, the time before each that counts as well included."""
    spans = sorted((one.from_ms - lead_ms, one.until_ms) for one in found if one.symbol == symbol)
    covered, end_ms = 0, from_ms
    for start_ms, until_ms in spans:
        covered += max(0, min(until_ms, to_ms) - max(start_ms, end_ms))
        end_ms = max(end_ms, until_ms)
    return covered / (to_ms - from_ms)

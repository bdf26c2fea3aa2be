"""Recorded markets as the engine would have seen them: observations and ticks in order of time."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from regimes.observations import Candle, FeedGap, FundingRate, Liquidation, Observation, Side, Tick
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, known_at_ms

WARMUP_MS: Final = 150 * DAY_MS
"""Before the span that counts: the weekly regime wants 20 weeks."""
AFTER_DATA_MS: Final = 35_000
"""A tick so long after the hour, when every bar is there and the correlation's grace is over."""
QUARTER_MS: Final = 15 * MINUTE_MS
STEP_MS: Final = 3 * MINUTE_MS
"""Hourly sums become one liquidation a side in every three minutes."""
SIDES: Final[tuple[Side, Side]] = ("long", "short")
OFFSETS_MS: Final = (30_000, 120_000)
SPOT: Final = "binance"
FUTURES: Final = "binanceusdm"


class Span(NamedTuple):
    """A stretch of time, the end not in it."""

    start_ms: int
    end_ms: int


class History:
    """Candles, funding and liquidations of some symbols from a folder of recordings.

    scale: times every estimated liquidation. even: spread each hour's sum evenly instead of by the squared range of
    its quarters.
    """

    def __init__(
        self, data_dir: Path, symbols: Sequence[str], *, scale: float = 1.0, even: bool = False
    ) -> None:
        self.data_dir = data_dir
        self.symbols = tuple(symbols)
        self._scale = scale
        self._even = even

    def watched(self, span: Span) -> list[Span]:
        """When liquidations are known: the recorded sessions, and the hours that have sums, within a span."""
        found = [self.summed(span), *(_overlap(known, span) for known in self._sessions())]
        return sorted(known for known in found if known.start_ms < known.end_ms)

    def summed(self, span: Span) -> Span:
        """The part of a span of which hourly sums of liquidations are known; it may be empty."""
        start_ms, end_ms = _overlap(self._hours(), span)
        return Span(start_ms, max(start_ms, end_ms))

    def observations(self, span: Span, *, tick_ms: int = 5 * MINUTE_MS) -> Iterator[Observation]:
        """Everything from the warm-up on, with ticks: each hour before the span, each `tick_ms` in it, each minute
        while liquidations are watched.
        """
        known = Span(span.start_ms - WARMUP_MS, span.end_ms)
        watched = self.watched(span)
        streams: list[Iterable[Observation]] = [_ticks(known.start_ms, span, watched, tick_ms)]
        streams.append(_gaps(known.start_ms, watched))
        for symbol in self.symbols:
            streams += [self._candles(symbol, known), self._funding(symbol, known)]
            streams.append(self._estimated(symbol, self.summed(span)))
        streams.append(self._recorded(watched))
        return heapq.merge(*streams, key=known_at_ms)

    def _candles(self, symbol: str, span: Span) -> Iterator[Candle]:
        frame = pl.read_parquet(self._path("candles/spot_{}_1h.parquet", symbol))
        wanted = frame.filter(pl.col("ts").is_between(span.start_ms, span.end_ms - HOUR_MS))
        for row in wanted.select("ts", "open", "high", "low", "close", "volume").iter_rows():
            yield Candle(SPOT, symbol, "1h", *row)

    def _funding(self, symbol: str, span: Span) -> Iterator[FundingRate]:
        frame = pl.read_parquet(self._path("funding/funding_{}.parquet", symbol))
        for ts, rate in frame.filter(pl.col("ts").is_between(*span)).select("ts", "rate").iter_rows():
            yield FundingRate(ts, FUTURES, symbol, rate, 8.0)

    def _sums(self, symbol: str) -> pl.DataFrame:
        return pl.read_parquet(self._path("liquidations/hourly_um_{}_2024-06_07.parquet", symbol)).sort("ts")

    def _hours(self) -> Span:
        """The hours of which sums are known for every symbol."""
        times = [self._sums(symbol)["ts"].to_list() for symbol in self.symbols]
        return Span(max(t[0] for t in times), min(t[-1] for t in times) + HOUR_MS)

    def _estimated(self, symbol: str, span: Span) -> Iterator[Liquidation]:
        """The hour's longs and shorts at its close price, in five equal liquidations a side and quarter."""
        quarters = pl.read_parquet(self._path("candles/um_{}_15m.parquet", symbol))
        wide = ((quarters["high"] / quarters["low"]).log() ** 2).to_list()
        ranges = dict(zip(quarters["ts"].to_list(), wide, strict=True))
        sums = self._sums(symbol).filter(pl.col("ts").is_between(span.start_ms, span.end_ms - HOUR_MS))
        for hour_ms, price, *amounts in sums.select("ts", "close", "long_liq", "short_liq").iter_rows():
            opens = range(hour_ms, hour_ms + HOUR_MS, QUARTER_MS)
            shares = np.ones(4) if self._even else np.array([ranges[open_ms] for open_ms in opens])
            for open_ms, share in zip(opens, (self._scale * shares / shares.sum()).tolist(), strict=True):
                for at_ms in range(open_ms, open_ms + QUARTER_MS, STEP_MS):
                    for side, offset_ms, amount in zip(SIDES, OFFSETS_MS, amounts, strict=True):
                        base = (amount or 0.0) * share * STEP_MS / QUARTER_MS
                        if base > 0:
                            ts_ms = at_ms + offset_ms
                            yield Liquidation(ts_ms, FUTURES, symbol, side, price, base, base * price)

    def _orders(self) -> pl.DataFrame:
        frame = pl.read_parquet(self.data_dir / "liquidations/binance_um_force_orders.parquet").sort("ts")
        # Where sums of the hour are known, they have these orders in them.
        return frame.filter(~pl.col("ts").is_between(*self._hours()))

    def _sessions(self) -> list[Span]:
        ends = self._orders().group_by("session").agg(first=pl.col("ts").min(), last=pl.col("ts").max())
        return [Span(first, last + 1) for _, first, last in ends.sort("first").iter_rows()]

    def _recorded(self, watched: Sequence[Span]) -> Iterator[Liquidation]:
        columns = ("ts", "symbol", "side", "price", "avg_price", "filled_qty")
        for ts, name, side, price, average, quantity in self._orders().select(columns).iter_rows():
            if any(known.start_ms <= ts < known.end_ms for known in watched):
                closed: Side = "long" if side == "SELL" else "short"
                symbol = f"{name[:-4]}/{name[-4:]}"
                fill = average or price
                yield Liquidation(ts, FUTURES, symbol, closed, fill, quantity, quantity * fill)

    def _path(self, pattern: str, symbol: str) -> Path:
        return self.data_dir / pattern.format(symbol.replace("/", ""))


def _ticks(start_ms: int, span: Span, watched: Sequence[Span], tick_ms: int) -> Iterator[Tick]:
    """Ascending. On the hour a tick comes before the data, as nothing may be newer than the time."""
    minutes = {ts for known in watched for ts in range(_minute(known.start_ms), known.end_ms, MINUTE_MS)}
    hours = set(range(start_ms, span.end_ms + 1, HOUR_MS))
    after = {hour + AFTER_DATA_MS for hour in hours}
    regular = set(range(span.start_ms, span.end_ms + 1, tick_ms))
    return map(Tick, sorted(minutes | hours | after | regular))


def _gaps(start_ms: int, watched: Sequence[Span]) -> Iterator[FeedGap]:
    """From before the start to the first span that is watched, and between each and the next."""
    edges = [start_ms - DAY_MS, *(edge for known in watched for edge in known)]
    for n, (from_ms, to_ms) in enumerate(pairwise([*edges, None])):
        if n % 2 == 0 and from_ms is not None:
            yield FeedGap(max(from_ms, start_ms), FUTURES, "liquidation", None, from_ms, None, "not recorded")
            if to_ms is not None:
                yield FeedGap(to_ms, FUTURES, "liquidation", None, from_ms, to_ms, "not recorded")


def _minute(ts_ms: int) -> int:
    return ts_ms // MINUTE_MS * MINUTE_MS


def _overlap(one: Span, other: Span) -> Span:
    return Span(max(one.start_ms, other.start_ms), min(one.end_ms, other.end_ms))

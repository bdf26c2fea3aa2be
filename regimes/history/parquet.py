"""A folder of recordings as observations."""

import heapq
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Final

import polars as pl

from regimes.errors import ConfigError
from regimes.feeds import recordings
from regimes.feeds.funding import UNLISTED_HOURS, with_intervals
from regimes.feeds.symbols import guess_symbol, in_dollars
from regimes.history.sums import HourlySums
from regimes.observations import (
    Candle,
    FeedGap,
    FundingRate,
    Liquidation,
    Observation,
    OpenInterest,
    Unavailable,
)
from regimes.timeframe import DAY_MS, HOUR_MS, known_at_ms

SPOT: Final = "binance"
FUTURES: Final = "binanceusdm"
_VENUES: Final[dict[recordings.Market, str]] = {"spot": SPOT, "um": FUTURES}
Spans = list[tuple[int, int]]


class ParquetSource:
    """A `Source` over a folder laid out as `regimes.feeds.recordings` says.

    Candles are those of spot where they were recorded, else the perpetual's: a run too has them from one venue.
    Where liquidations are known as hourly sums, they are spread over the hour (`HourlySums`), and forced orders recorded in the
    same hours, which the sums contain, are left out. scale: times every sum. even: spread them evenly.
    Raises ConfigError for a folder without hourly candles.
    """

    def __init__(self, folder: Path, *, scale: float = 1.0, even: bool = False) -> None:
        if not self.fits(folder):
            raise ConfigError(
                f"{folder}: no `candles/*_1h.parquet` there; give the folder that holds `candles`"
            )
        self.name = str(folder)
        self.folder = folder
        self._ids = {guess_symbol(name): name for name in recordings.instruments(folder)}
        self._sums = {
            symbol: HourlySums(folder, name, symbol, FUTURES, scale=scale, even=even)
            for symbol, name in self._ids.items()
            if recordings.sum_files(folder, name)
        }

    @staticmethod
    def fits(path: Path) -> bool:
        """Whether this is such a folder."""
        return bool(recordings.instruments(path))

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._ids)

    def span(self) -> tuple[int, int]:
        files = chain(
            ((self._candles(name)[1], HOUR_MS) for name in self._ids.values()),
            ((recordings.funding_file(self.folder, name), 0) for name in self._ids.values()),
            ((path, 0) for path in recordings.order_files(self.folder)),
        )
        ends = [(recordings.span(path), later) for path, later in files if path.exists()]
        known = [(first + later, last + later + 1) for (first, last), later in ((e, t) for e, t in ends if e)]
        known += [sums.span for sums in self._sums.values()]
        return min(first for first, _ in known), max(last for _, last in known)

    def observations(
        self, from_ms: int, to_ms: int, symbols: Collection[str] | None = None
    ) -> Iterator[Observation]:
        wanted = [symbol for symbol in self.symbols if symbols is None or symbol in symbols]
        streams: list[Iterable[Observation]] = [self._gaps(from_ms, to_ms), self._lacking(from_ms, wanted)]
        streams += [self._bars(symbol, from_ms, to_ms) for symbol in wanted]
        streams += [self._settlements(symbol, from_ms, to_ms) for symbol in wanted]
        streams += [self._interest(symbol, from_ms, to_ms) for symbol in wanted]
        streams += [sums.liquidations(from_ms, to_ms) for sums in self._sums.values()]
        streams += [self._orders(path, from_ms, to_ms) for path in recordings.order_files(self.folder)]
        return heapq.merge(*streams, key=known_at_ms)

    @cached_property
    def watched(self) -> Spans:
        """When liquidations are known, the ends not in it, oldest first."""
        found = [*self.summed, *chain.from_iterable(map(_sessions, recordings.order_files(self.folder)))]
        joined: Spans = []
        for first, end in sorted(found):
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((first, end))
        return joined

    @cached_property
    def summed(self) -> Spans:
        """The hours of which every symbol with sums has them, as spans, the ends not in them."""
        spans = [sums.span for sums in self._sums.values()]
        first, end = max((s for s, _ in spans), default=0), min((e for _, e in spans), default=0)
        return [(first, end)] if first < end else []

    def _candles(self, name: str) -> tuple[str, Path]:
        """Venue and file of an instrument's hourly candles."""
        files = [(_VENUES[m], recordings.candle_file(self.folder, m, name, "1h")) for m in _VENUES]
        return next((venue, path) for venue, path in files if path.exists())

    def _bars(self, symbol: str, from_ms: int, to_ms: int) -> Iterator[Candle]:
        venue, path = self._candles(self._ids[symbol])
        for page in recordings.pages(path, recordings.CANDLE_COLUMNS, from_ms - HOUR_MS, to_ms - HOUR_MS):
            for row in page.iter_rows():
                yield Candle(venue, symbol, "1h", *row)

    def _settlements(self, symbol: str, from_ms: int, to_ms: int) -> Iterator[FundingRate]:
        path = recordings.funding_file(self.folder, self._ids[symbol])
        if path.exists():
            # Each settlement's interval is the time since the one before, which may lie before the span.
            rows = recordings.read(path, recordings.FUNDING_COLUMNS).rows()
            rates = with_intervals(
                rows, venue=FUTURES, symbol=symbol, previous_ms=None, listed_hours=UNLISTED_HOURS
            )
            yield from (rate for rate in rates if from_ms <= rate.ts_ms < to_ms)

    def _interest(self, symbol: str, from_ms: int, to_ms: int) -> Iterator[OpenInterest]:
        sums = self._sums.get(symbol)
        return sums.open_interest(from_ms, to_ms) if sums else iter(())

    def _orders(self, path: Path, from_ms: int, to_ms: int) -> Iterator[Liquidation]:
        known: dict[str, str] = {}
        for first_ms, end_ms in _without(self.summed, from_ms, to_ms):
            for page in recordings.pages(path, recordings.ORDER_COLUMNS, first_ms, end_ms):
                for ts_ms, name, side, _, price, average, _, quantity in page.iter_rows():
                    symbol = known.get(name) or known.setdefault(name, guess_symbol(name))
                    closed, fill = recordings.closed_side(side, path, ts_ms), average or price
                    if in_dollars(symbol):
                        yield Liquidation(ts_ms, FUTURES, symbol, closed, fill, quantity, quantity * fill)

    def _gaps(self, from_ms: int, to_ms: int) -> Iterator[FeedGap]:
        """From a day before to the first span that is watched, and between each and the next."""
        since_ms = from_ms - DAY_MS
        for first, end in [*self.watched, (to_ms, to_ms)] if self.watched else []:
            if end <= from_ms or since_ms >= to_ms:
                continue
            told_ms, until_ms = max(since_ms, from_ms), max(first, from_ms)
            yield FeedGap(told_ms, FUTURES, "liquidation", None, since_ms, None, "not recorded")
            if until_ms < to_ms:
                yield FeedGap(until_ms, FUTURES, "liquidation", None, since_ms, until_ms, "not recorded")
            since_ms = end

    def _lacking(self, from_ms: int, symbols: Iterable[str]) -> Iterator[Unavailable]:
        if not self.watched:
            yield Unavailable(from_ms, FUTURES, "liquidation", None, "not recorded")
        for symbol in symbols:
            if not recordings.funding_file(self.folder, self._ids[symbol]).exists():
                yield Unavailable(from_ms, FUTURES, "funding", symbol, "not recorded")


def _without(spans: Spans, from_ms: int, to_ms: int) -> Spans:
    """What is left of a stretch when spans are taken out of it."""
    edges = [from_ms, *(min(max(edge, from_ms), to_ms) for span in spans for edge in span), to_ms]
    return [(first, end) for first, end in zip(edges[::2], edges[1::2], strict=True) if first < end]


def _sessions(path: Path) -> Spans:
    """When forced orders were watched: by the column `session` where there is one, else from the first to the last."""
    frame = pl.scan_parquet(path)
    keys = [name for name in ("session",) if name in frame.collect_schema().names()]
    ends = frame.group_by(keys or pl.lit(0)).agg(first=pl.col("ts").min(), last=pl.col("ts").max()).collect()
    return [(row["first"], row["last"] + 1) for row in ends.iter_rows(named=True)]

"""Warm-up: the history features need, from disk and by REST, handed over in time order."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from operator import itemgetter
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import structlog

from regimes.clock import Clock
from regimes.errors import VenueError
from regimes.features.base import Need, longest
from regimes.feeds.cache import SCHEMA, CandleCache, join, to_frame
from regimes.feeds.funding import UNLISTED_HOURS, with_intervals
from regimes.feeds.rest import SETTLE_MS, Rest, RestFailedError
from regimes.observations import Candle, DataKind, FundingRate, Observation
from regimes.timeframe import bar_open, to_ms

_log = structlog.get_logger()

# With hundreds of symbols the limit on funding requests lasts minutes; the rest of them is asked for while live.
_FUNDING_WAIT_S: Final = 10.0
_AT_A_TIME: Final = 10_000


class Source(msgspec.Struct, frozen=True):
    """Where history of one kind comes from: a venue's REST, and its market id of each symbol it has."""

    rest: Rest
    market_ids: Mapping[str, str]


class Progress(msgspec.Struct, frozen=True):
    """How far the warm-up is: parts done of all parts, and the part that was just done."""

    done: int
    total: int
    label: str


class Shortfall(msgspec.Struct, frozen=True):
    """History that could not be had; what came instead is as old as `newest_ms` says (None: nothing came)."""

    venue: str
    kind: DataKind
    symbol: str
    newest_ms: int | None
    reason: str


class _Bars(msgspec.Struct, frozen=True):
    """Bars of one symbol, shape (bars, columns of SCHEMA), oldest first.

    No frame: polars has memory of its own, which it keeps long after hundreds of symbols are through.
    """

    venue: str
    symbol: str
    timeframe: str
    table: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rest: Rest, symbol: str, timeframe: str, frame: pl.DataFrame) -> "_Bars":
        table = np.array(frame.select(SCHEMA.names()).to_numpy(), dtype=np.float64, order="C")
        return cls(rest.venue, symbol, timeframe, table)

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """When each bar ended."""
        return self.table[:, 0].astype(np.int64) + to_ms(self.timeframe)

    def ending(self, from_ms: int, end_ms: int) -> Iterator[tuple[int, Candle]]:
        """Those that end in a span, each with its end."""
        step = to_ms(self.timeframe)
        first, last = np.searchsorted(self.table[:, 0], (from_ms - step, end_ms - step)).tolist()
        for open_ms, *values in self.table[first:last].tolist():
            yield (
                int(open_ms) + step,
                Candle(self.venue, self.symbol, self.timeframe, int(open_ms), *values),
            )


class Warmup:
    """Fetches what the features need, once. Failures shorten the history and are listed; they stop nothing.

    candles, funding: where each kind comes from, None where no venue has it. cache: candles on disk, None for none.
    progress: called after each part, from the event loop.
    """

    def __init__(
        self,
        *,
        candles: Source | None,
        funding: Source | None,
        clock: Clock,
        cache: CandleCache | None = None,
        concurrency: int = 8,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.shortfalls: list[Shortfall] = []
        self.reach: dict[tuple[DataKind, str, str], int] = {}
        """By kind, symbol and timeframe (empty for funding): how far history was settled, ms. For candles the open
        time of the newest bar; where nothing could be had, the moment before the need begins."""
        self._candles = candles
        self._funding = funding
        self._clock = clock
        self._cache = cache
        self._turns = asyncio.Semaphore(concurrency)
        self._progress = progress
        self._done = 0
        self._total = 0
        self._bars: list[_Bars] = []
        self._settlements: list[FundingRate] = []

    async def fetch(self, needs: Iterable[Need]) -> None:
        """Get everything the needs ask for, in parallel within the venues' limits."""
        parts = list(self._parts(longest(needs)))
        self._total = len(parts)
        funded = [source for need, _, source in parts if need.kind == "funding"]
        intervals = await _intervals(funded[0].rest) if funded else None
        async with asyncio.TaskGroup() as group:
            for need, symbol, rest in parts:
                group.create_task(self._part(need, symbol, rest, intervals))
        # Answers come in any order; what is handed over must not depend on it.
        self._bars.sort(key=lambda bars: (bars.venue, bars.timeframe, bars.symbol))
        self._settlements.sort(key=lambda rate: (rate.ts_ms, rate.symbol))
        self.shortfalls.sort(key=lambda short: (short.venue, short.kind, short.symbol))
        if self.shortfalls:
            worst = self.shortfalls[0]
            _log.error(
                "history_incomplete", parts=len(self.shortfalls), of=self._total, **_told(worst, self._clock)
            )

    def _parts(self, needs: Sequence[Need]) -> Iterator[tuple[Need, str, Source]]:
        for need in needs:
            source = {"candle": self._candles, "funding": self._funding}.get(need.kind)
            if source is not None:
                yield from ((need, symbol, source) for symbol in islice(source.market_ids, need.symbols))

    async def _part(
        self, need: Need, symbol: str, source: Source, intervals: Mapping[str, float] | None
    ) -> None:
        async with self._turns:
            if need.timeframe is not None:
                await self._fetch_candles(source, symbol, need.timeframe, need.span_ms)
            else:
                await self._fetch_funding(source, symbol, need.span_ms, intervals)
        self._done += 1
        if self._progress is not None:
            self._progress(Progress(self._done, self._total, f"{symbol} {need.timeframe or need.kind}"))

    async def _fetch_candles(self, source: Source, symbol: str, timeframe: str, span_ms: int) -> None:
        rest, market_id, step = source.rest, source.market_ids[symbol], to_ms(timeframe)
        end_ms = bar_open(self._clock.now_ms() - SETTLE_MS, step)
        from_ms = bar_open(end_ms - span_ms, step)
        cached = await self._load(rest.venue, symbol, timeframe)
        frames, reason, reach_ms = [cached], None, end_ms - step
        for span in _missing(cached, from_ms, end_ms, step):
            bars, reason = await self._fetch_span(rest, symbol, market_id, timeframe, span)
            if reason is None or span.keeps_part:
                frames.append(to_frame(bars))
            if reason is not None:
                reach_ms = from_ms - step if span.keeps_part else reach_ms
                break
        whole = join(*frames)
        if len(whole) > len(cached):
            await self._store(rest.venue, symbol, timeframe, whole)
        wanted = whole.filter(pl.col("open_ms").is_between(from_ms, end_ms, closed="left"))
        newest_ms = None if wanted.is_empty() else int(wanted.get_column("open_ms")[-1])
        self._bars.append(_Bars.of(rest, symbol, timeframe, wanted))
        self.reach["candle", symbol, timeframe] = max(reach_ms, newest_ms or 0)
        if reason is not None:
            self.shortfalls.append(Shortfall(rest.venue, "candle", symbol, newest_ms, reason))

    async def _fetch_span(
        self, rest: Rest, symbol: str, market_id: str, timeframe: str, span: "_Span"
    ) -> tuple[list[Candle], str | None]:
        """Bars of one span, and why there are not more of them."""
        bars: list[Candle] = []
        try:
            async for page in rest.candles(symbol, market_id, timeframe, span.from_ms, span.end_ms):
                bars.extend(page)
        except (RestFailedError, VenueError) as error:
            return bars, str(error)
        return bars, None

    async def _fetch_funding(
        self, source: Source, symbol: str, span_ms: int, intervals: Mapping[str, float] | None
    ) -> None:
        rest, market_id = source.rest, source.market_ids[symbol]
        listed_hours = None if intervals is None else intervals.get(market_id, UNLISTED_HOURS)
        from_ms = self._clock.now_ms() - span_ms
        try:
            rows = await rest.settlements(market_id, from_ms, wait_max_s=_FUNDING_WAIT_S)
        except (RestFailedError, VenueError) as error:
            self.reach["funding", symbol, ""] = from_ms
            self.shortfalls.append(Shortfall(rest.venue, "funding", symbol, None, str(error)))
            return
        rates = with_intervals(
            rows, venue=rest.venue, symbol=symbol, previous_ms=None, listed_hours=listed_hours
        )
        self._settlements.extend(rates)
        self.reach["funding", symbol, ""] = rows[-1][0] if rows else from_ms

    async def _load(self, venue: str, symbol: str, timeframe: str) -> pl.DataFrame:
        if self._cache is None:
            return SCHEMA.to_frame()
        return await asyncio.to_thread(self._cache.load, venue, symbol, timeframe)

    async def _store(self, venue: str, symbol: str, timeframe: str, frame: pl.DataFrame) -> None:
        if self._cache is None:
            return
        try:
            await asyncio.to_thread(self._cache.store, venue, symbol, timeframe, frame)
        except OSError as error:
            _log.warning("cache_not_written", folder=str(self._cache.folder), error=str(error))

    @property
    def settlements(self) -> Sequence[FundingRate]:
        """Settled funding rates, oldest first."""
        return self._settlements

    def observations(self) -> Iterator[Observation]:
        """All history, in order of the moment each datum was known: a candle's end, a settlement's time."""
        # Some thousand at a time, so that no more exist as objects: what is made between objects that stay keeps
        # their memory from going back.
        times = self._times()
        bounds = np.unique(np.append(times[::_AT_A_TIME], times[-1:] + 1))
        for start_ms, end_ms in pairwise(bounds.tolist()):
            span = [*self._candles_in(start_ms, end_ms), *self._rates_in(start_ms, end_ms)]
            span.sort(key=itemgetter(0))
            yield from map(itemgetter(1), span)

    def _times(self) -> npt.NDArray[np.int64]:
        """When each datum was known, in order."""
        rates = np.array([rate.ts_ms for rate in self._settlements], dtype=np.int64)
        return np.sort(np.concatenate([rates, *(bars.ends for bars in self._bars)]))

    def _candles_in(self, from_ms: int, to_end_ms: int) -> Iterator[tuple[int, Observation]]:
        for bars in self._bars:
            yield from bars.ending(from_ms, to_end_ms)

    def _rates_in(self, from_ms: int, to_end_ms: int) -> Iterator[tuple[int, Observation]]:
        return ((rate.ts_ms, rate) for rate in self._settlements if from_ms <= rate.ts_ms < to_end_ms)


class _Span(msgspec.Struct, frozen=True):
    """Bars to ask for. keeps_part: the bars before it are there, so the beginning of an answer leaves no hole."""

    from_ms: int
    end_ms: int
    keeps_part: bool


def _missing(cached: pl.DataFrame, from_ms: int, end_ms: int, step: int) -> list[_Span]:
    """What the cache lacks: newer bars first, then older ones."""
    if cached.is_empty():
        return [_Span(from_ms, end_ms, keeps_part=True)]
    opens = cached.get_column("open_ms")
    newer = _Span(int(opens[-1]) + step, end_ms, keeps_part=True)
    older = _Span(from_ms, min(end_ms, int(opens[0])), keeps_part=False)
    return [span for span in (newer, older) if span.from_ms < span.end_ms]


async def _intervals(rest: Rest) -> Mapping[str, float] | None:
    try:
        return await rest.funding_intervals()
    except (RestFailedError, VenueError) as error:
        _log.warning("funding_intervals_unknown", error=str(error), instead="spacing of settlements")
        return None


def _told(short: Shortfall, clock: Clock) -> dict[str, object]:
    age_h = None if short.newest_ms is None else round((clock.now_ms() - short.newest_ms) / 3_600_000, 1)
    return {
        "venue": short.venue,
        "kind": short.kind,
        "symbol": short.symbol,
        "reason": short.reason,
        "going_on_with_data_aged_hours": age_h,
    }

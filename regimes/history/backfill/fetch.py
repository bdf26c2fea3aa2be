"""Candles and settled funding by REST, within the venue's limits, chunk by chunk."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import polars as pl
import structlog

from regimes.clock import Clock
from regimes.errors import VenueError
from regimes.feeds import recordings
from regimes.feeds.funding import UNLISTED_HOURS, with_intervals
from regimes.feeds.rest import SETTLE_MS, Rest, RestFailedError
from regimes.history.backfill.report import FileReport, candle_report, funding_report
from regimes.history.backfill.table import CANDLES, FUNDING, Span, Table, without, write_sums
from regimes.observations import Candle
from regimes.timeframe import bar_open, to_ms

_log = structlog.get_logger(__name__)

CHUNK_BARS: Final = 10_000
"""Bars that are asked for before they are put on disk, at most: ten requests."""
TRIES: Final = 6
_FIRST_PAUSE_S: Final = 2.0
OnProgress: TypeAlias = Callable[[int, int, str], None]


class Market(msgspec.Struct, frozen=True):
    """Where the history of one market comes from. ids: the venue's id of each symbol it has."""

    kind: recordings.Market
    rest: Rest
    ids: Mapping[str, str]


class Job(msgspec.Struct, frozen=True):
    """One file to fill. timeframe: None for funding."""

    market: Market
    symbol: str
    timeframe: str | None

    @property
    def market_id(self) -> str:
        """The venue's id."""
        return self.market.ids[self.symbol]

    @property
    def label(self) -> str:
        """What it is called in words."""
        return f"{self.market.kind} {self.symbol} {self.timeframe or 'funding'}"


def jobs_of(
    markets: Iterable[Market], symbols: Sequence[str], timeframes: Sequence[str], *, funding: bool
) -> list[Job]:
    """Every file that can be filled, candles first."""
    markets = list(markets)
    candles = [
        Job(market, symbol, timeframe)
        for market in markets
        for timeframe in timeframes
        for symbol in symbols
        if symbol in market.ids
    ]
    perpetuals = [market for market in markets if market.kind == "um" and funding]
    return candles + [Job(m, symbol, None) for m in perpetuals for symbol in symbols if symbol in m.ids]


class Backfill:
    """Fills a folder from the exchange. Goes on where an earlier one stopped, however it ended.

    span: what is wanted. progress: told how many chunks are done of how many, and which one was. pause_s: the wait
    after the first failure of a chunk; it doubles with each further one.
    """

    def __init__(
        self,
        folder: Path,
        span: Span,
        clock: Clock,
        *,
        concurrency: int = 4,
        progress: OnProgress | None = None,
        pause_s: float = _FIRST_PAUSE_S,
        chunk_bars: int = CHUNK_BARS,
    ) -> None:
        self._folder = folder
        self._span = span
        self._clock = clock
        self._turns = asyncio.Semaphore(concurrency)
        self._progress = progress
        self._pause_s = pause_s
        self._chunk_bars = chunk_bars
        self._done = 0
        self._total = 0
        self._listed: dict[str, Mapping[str, float]] = {}

    async def run(self, jobs: Sequence[Job]) -> list[FileReport]:
        """Fill each file; what could not be had is said in its report. Raises OSError when the disk is full."""
        plans = [(job, self._table(job), self._missing(job)) for job in jobs]
        self._total = sum(len(missing) for _, _, missing in plans)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._fill(*plan)) for plan in plans]
        reports = [task.result() for task in tasks]
        write_sums(self._folder, {report.name: report.sha256 for report in reports if report.sha256})
        return reports

    def _table(self, job: Job) -> Table:
        if job.timeframe is None:
            return Table(self._folder, recordings.funding_file(self._folder, job.market_id), FUNDING)
        path = recordings.candle_file(self._folder, job.market.kind, job.market_id, job.timeframe)
        return Table(self._folder, path, CANDLES)

    def _wanted(self, job: Job) -> Span:
        """The span in whole bars that have closed."""
        now_ms = self._clock.now_ms() - SETTLE_MS
        if job.timeframe is None:
            return Span(self._span.from_ms, min(self._span.to_ms, now_ms))
        step = to_ms(job.timeframe)
        first = -(-self._span.from_ms // step) * step
        return Span(first, bar_open(min(self._span.to_ms, now_ms), step))

    def _missing(self, job: Job) -> list[Span]:
        """What is to be asked for, chunk by chunk."""
        left = without(self._wanted(job), self._table(job).covered(_step(job)))
        if job.timeframe is None:
            return left
        chunk = self._chunk_bars * _step(job)
        return [
            Span(from_ms, min(from_ms + chunk, span.to_ms))
            for span in left
            for from_ms in range(span.from_ms, span.to_ms, chunk)
        ]

    async def _fill(self, job: Job, table: Table, missing: Sequence[Span]) -> FileReport:
        failed = ""
        async with self._turns:
            for span in missing:
                try:
                    rows = await self._patiently(job, span)
                except (RestFailedError, VenueError) as error:
                    failed = str(error)
                    _log.error("backfill_stopped", what=job.label, error=failed)
                    break
                await asyncio.to_thread(table.add, rows, span)
                self._done += 1
                if self._progress is not None:
                    self._progress(self._done, self._total, job.label)
            rows = await asyncio.to_thread(table.finish, _step(job))
            return msgspec.structs.replace(self._report(job, table, rows), failed=failed)

    def _report(self, job: Job, table: Table, rows: pl.DataFrame) -> FileReport:
        span = self._wanted(job)
        if job.timeframe is None:
            return funding_report(self._folder, table.path, rows, span)
        return candle_report(self._folder, table.path, rows, span, _step(job))

    async def _patiently(self, job: Job, span: Span) -> pl.DataFrame:
        """One chunk; after a failure again, later and later. Raises RestFailedError after the last try."""
        for attempt in range(TRIES - 1):
            try:
                return await self._chunk(job, span)
            except RestFailedError as error:
                wait_s = self._pause_s * 2**attempt
                _log.warning("backfill_waits", what=job.label, error=str(error)[:200], wait_s=wait_s)
                await asyncio.sleep(wait_s)
        return await self._chunk(job, span)

    async def _chunk(self, job: Job, span: Span) -> pl.DataFrame:
        if job.timeframe is None:
            return await self._settlements(job, span)
        bars: list[Candle] = []
        from_ms, step = span.from_ms, to_ms(job.timeframe)
        # What is covered is never asked for again, so a short page is not believed to be the last: it is asked for what follows.
        while from_ms < span.to_ms and (found := await self._bars(job, job.timeframe, from_ms, span.to_ms)):
            bars += found
            from_ms = found[-1].open_ms + step
        rows = [
            (b.open_ms, b.open, b.high, b.low, b.close, b.base_volume, b.quote_volume, b.taker_buy_volume)
            for b in bars
        ]
        return pl.DataFrame(rows, schema=CANDLES, orient="row")

    async def _bars(self, job: Job, timeframe: str, from_ms: int, end_ms: int) -> list[Candle]:
        pages = job.market.rest.candles(job.symbol, job.market_id, timeframe, from_ms, end_ms)
        return [bar async for page in pages for bar in page]

    async def _settlements(self, job: Job, span: Span) -> pl.DataFrame:
        rest = job.market.rest
        if rest.venue not in self._listed:
            self._listed[rest.venue] = await rest.funding_intervals()
        settled = await rest.settlements(job.market_id, span.from_ms)
        rates = with_intervals(
            [row for row in settled if row[0] < span.to_ms],
            venue=rest.venue,
            symbol=job.symbol,
            previous_ms=None,
            listed_hours=self._listed[rest.venue].get(job.market_id, UNLISTED_HOURS),
        )
        rows = [(rate.ts_ms, rate.rate, rate.interval_hours) for rate in rates]
        return pl.DataFrame(rows, schema=FUNDING, orient="row")


def _step(job: Job) -> int:
    return 1 if job.timeframe is None else to_ms(job.timeframe)

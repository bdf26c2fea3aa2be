"""Closed bars of the running program, added to those on disk: `score` and `report` need the prices of months without a restart."""

import asyncio
from typing import Final

import polars as pl
import structlog

from regimes.feeds.cache import CandleCache, join, to_frame
from regimes.feeds.repair import TIMEFRAME
from regimes.observations import Candle
from regimes.pipeline.batch import Batch
from regimes.timeframe import to_ms

_log = structlog.get_logger()

PAUSE_S: Final = 60.0
FILES_AN_HOUR: Final = 80
"""With more symbols than these a file is written after several bars."""
MOST_WAITING: Final = 30 * 24
_STEP_MS: Final = to_ms(TIMEFRAME)


class CandleKeeper:
    """Holds what has closed until it is on disk. cache: the files that the history begins with."""

    def __init__(self, cache: CandleCache) -> None:
        self._cache = cache
        self._waiting: dict[tuple[str, str], list[Candle]] = {}

    def take(self, batch: Batch) -> None:
        """Remember the closed bars of a turn."""
        for bar in batch.candles:
            if bar.closed and bar.timeframe == TIMEFRAME:
                self._put((bar.venue, bar.symbol), [bar])

    async def run(self) -> None:
        """Keep on keeping, until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_S)
            await self.keep()

    async def keep(self) -> None:
        """Write what waits; what cannot be written waits on."""
        least = max(1, len(self._waiting) // FILES_AN_HOUR)
        for key in [key for key, bars in self._waiting.items() if len(bars) >= least]:
            bars, self._waiting[key] = self._waiting[key], []
            try:
                left = await asyncio.to_thread(self._add, *key, bars)
            except (OSError, pl.exceptions.PolarsError) as error:
                _log.warning("candles_not_kept", folder=str(self._cache.folder), error=str(error))
                left = bars
            self._put(key, left)

    def _put(self, key: tuple[str, str], bars: list[Candle]) -> None:
        waiting = self._waiting.setdefault(key, [])
        waiting += bars
        del waiting[:-MOST_WAITING]

    def _add(self, venue: str, symbol: str, bars: list[Candle]) -> list[Candle]:
        """Add those that follow the file without a hole, as a start asks for nothing but newer and older ones; the rest."""
        known = self._cache.load(venue, symbol, TIMEFRAME)
        if known.is_empty():
            return bars
        next_ms = int(known.get_column("open_ms")[-1]) + _STEP_MS
        found: list[Candle] = []
        for bar in sorted(bars, key=lambda bar: bar.open_ms):
            if bar.open_ms == next_ms:
                found.append(bar)
                next_ms += _STEP_MS
        if found:
            self._cache.store(venue, symbol, TIMEFRAME, join(known, to_frame(found)))
        return [bar for bar in bars if bar.open_ms > next_ms]

"""A folder of candles as the service keeps them, so that a benchmark need not wait for the exchange's limits."""

from pathlib import Path

import polars as pl

from bench.blaster import START_MS, market, symbols
from regimes.feeds.cache import SCHEMA, CandleCache
from regimes.timeframe import HOUR_MS, WEEK_MS, bar_open


def fill(folder: Path, count: int, *, weeks: int = 22) -> None:
    """Write the last weeks of all symbols, up to the last bar that has closed; 22 are enough for weekly bars."""
    cache, source = CandleCache(folder), market(count)
    last_ms = bar_open(START_MS, HOUR_MS) - HOUR_MS
    for symbol in symbols(count):
        market_id = symbol.replace("/", "")
        bars = source.bars("spot", market_id, HOUR_MS, last_ms - weeks * WEEK_MS, last_ms, START_MS)
        cache.store("binanceus", symbol, "1h", pl.DataFrame(dict(zip(SCHEMA, bars.columns(), strict=True))))

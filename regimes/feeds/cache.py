"""Closed candles on disk, so that a restart asks the exchange only for what is missing."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import polars as pl
import structlog

from regimes.observations import Candle

_log = structlog.get_logger()

SCHEMA: Final = pl.Schema(
    {
        "open_ms": pl.Int64,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "base_volume": pl.Float64,
        "quote_volume": pl.Float64,
        "taker_buy_volume": pl.Float64,
    }
)


def to_frame(candles: Iterable[Candle]) -> pl.DataFrame:
    """Put candles of one symbol and timeframe into columns, in the given order."""
    rows = [tuple(getattr(candle, name) for name in SCHEMA) for candle in candles]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def join(*parts: pl.DataFrame) -> pl.DataFrame:
    """One table of several, oldest first, one row a bar; where two have the same bar the later part wins."""
    return pl.concat(parts).unique(subset="open_ms", keep="last", maintain_order=True).sort("open_ms")


class CandleCache:
    """One Parquet file for each venue, symbol and timeframe. Files are replaced whole, never changed in place.

    folder: made when first needed. A file that cannot be used is named in the log, set aside as `.corrupt`, and
    counts as absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, venue: str, symbol: str, timeframe: str) -> Path:
        """Where the candles of one symbol lie; any symbol makes a plain file name."""
        return self.folder / venue / f"{quote(symbol, safe='')}-{timeframe}.parquet"

    def load(self, venue: str, symbol: str, timeframe: str) -> pl.DataFrame:
        """Candles of one symbol, oldest first; empty where there are none or the file is corrupt."""
        path = self.path(venue, symbol, timeframe)
        if not path.exists():
            return SCHEMA.to_frame()
        try:
            frame = pl.read_parquet(path)
            problem = _problem(frame)
        except (pl.exceptions.PolarsError, OSError) as error:
            problem = str(error)[:200]
        if problem is None:
            return frame
        self._set_aside(path, problem)
        return SCHEMA.to_frame()

    def store(self, venue: str, symbol: str, timeframe: str, frame: pl.DataFrame) -> None:
        """Write one symbol's candles; a reader sees the old file or the new one, never a part."""
        path = self.path(venue, symbol, timeframe)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                frame.write_parquet(file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _set_aside(self, path: Path, problem: str) -> None:
        aside = path.with_suffix(".corrupt")
        path.replace(aside)
        _log.warning("cache_file_corrupt", path=str(path), problem=problem, moved_to=aside.name)


def _problem(frame: pl.DataFrame) -> str | None:
    """What is wrong with a table read from disk; None when it is sound."""
    if frame.schema != SCHEMA:
        return f"columns are {dict(frame.schema)}"
    if frame.null_count().sum_horizontal().item():
        return "values are missing"
    if not frame.get_column("open_ms").is_sorted() or frame.get_column("open_ms").is_duplicated().any():
        return "bars are not in order"
    prices = frame.select("open", "high", "low", "close")
    if (
        not frame.is_empty()
        and not prices.select(pl.all_horizontal((pl.all() > 0) & pl.all().is_finite()).all()).item()
    ):
        return "prices are not positive numbers"
    return None


def to_candles(frame: pl.DataFrame, *, venue: str, symbol: str, timeframe: str) -> list[Candle]:
    """The rows of a table as observations."""
    return [
        Candle(venue, symbol, timeframe, *row, closed=True)  # type: ignore[misc]  # columns stand in field order
        for row in frame.select(SCHEMA.names()).iter_rows()
    ]

"""A folder of recorded market data in Parquet: which file holds what, and how to read it a part at a time.

```
candles/{spot,um}_{ID}_{1h,15m,1m}.parquet   ts (open), open, high, low, close, volume (base asset)
funding/funding_{ID}.parquet                 ts, rate (fraction, as settled)
liquidations/*force_orders.parquet           ts, symbol, side (of the ORDER), price, avg_price, filled_qty, ...
liquidations/hourly_um_{ID}_*.parquet        ts (open), close, long_liq, short_liq, oi_close (base asset), ...
```

All times are `ts`, ms UTC. Rows may lie in any order.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import polars as pl

from regimes.errors import DataError
from regimes.observations import Side
from regimes.timeframe import HOUR_MS

CANDLE_COLUMNS: Final = ("ts", "open", "high", "low", "close", "volume")
FUNDING_COLUMNS: Final = ("ts", "rate")
ORDER_COLUMNS: Final = ("ts", "symbol", "side", "qty", "price", "avg_price", "last_qty", "filled_qty")
SUM_COLUMNS: Final = ("ts", "close", "long_liq", "short_liq", "oi_close")
PAGE_ROWS: Final = 50_000
"""Rows that are in memory at a time, of each file; an hour with more of them is read whole."""
Market = Literal["spot", "um"]
_HOURLY: Final = re.compile(r"(?:spot|um)_(?P<id>.+)_1h")


def candle_file(folder: Path, market: Market, symbol_id: str, step: str) -> Path:
    """Candles of one instrument and bar length."""
    return folder / "candles" / f"{market}_{symbol_id}_{step}.parquet"


def funding_file(folder: Path, symbol_id: str) -> Path:
    """Settled funding rates of one instrument."""
    return folder / "funding" / f"funding_{symbol_id}.parquet"


def order_files(folder: Path) -> list[Path]:
    """Forced orders, of all instruments together."""
    return sorted((folder / "liquidations").glob("*force_orders.parquet"))


def sum_files(folder: Path, symbol_id: str) -> list[Path]:
    """Liquidations by the hour and open interest of one instrument."""
    return sorted((folder / "liquidations").glob(f"hourly_um_{symbol_id}_*.parquet"))


def instruments(folder: Path) -> list[str]:
    """Ids of which there are hourly candles, in alphabetical order."""
    found = (_HOURLY.fullmatch(path.stem) for path in (folder / "candles").glob("*_1h.parquet"))
    return sorted({match["id"] for match in found if match})


def read(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """A whole file, oldest first. Raises DataError for a column that is missing, and a file that is none."""
    return _open(path, columns).sort(columns).collect()


def span(path: Path) -> tuple[int, int] | None:
    """The first and the last `ts` of a file; None when it has no rows. Raises DataError as `read`."""
    ends = _open(path, ("ts",)).select(first=pl.col("ts").min(), last=pl.col("ts").max()).collect()
    first, last = ends.row(0)
    return None if first is None else (first, last)


def pages(
    path: Path, columns: Sequence[str], from_ms: int, end_ms: int, *, rows: int = PAGE_ROWS
) -> Iterator[pl.DataFrame]:
    """The rows from `from_ms` up to and without `end_ms`, oldest first, about `rows` of them at a time.

    Rows of one moment are in order of the columns, so that the order inside the file does not matter. Raises
    DataError as `read`.
    """
    frame = _open(path, columns)
    for low_ms, high_ms in _parts(frame, from_ms, end_ms, rows):
        inside = frame.filter((pl.col("ts") >= low_ms) & (pl.col("ts") < high_ms))
        yield inside.sort(columns).collect()


def closed_side(order_side: object, path: Path, ts_ms: int) -> Side:
    """The position a forced order closes: SELL closes a long. Raises DataError for another word."""
    if order_side == "SELL":
        return "long"
    if order_side == "BUY":
        return "short"
    raise DataError(f"{path}: side must be BUY or SELL (got {order_side!r} at ts {ts_ms})")


def _open(path: Path, columns: Sequence[str]) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path)
        missing = set(columns) - set(frame.collect_schema().names())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error})") from error
    if missing:
        raise DataError(f"{path}: column {', '.join(sorted(missing))} is missing")
    return frame.select(columns)


def _parts(frame: pl.LazyFrame, from_ms: int, end_ms: int, rows: int) -> Iterator[tuple[int, int]]:
    """Spans of whole hours that hold about `rows` rows each; what is counted is small, whatever the file holds."""
    inside = frame.filter((pl.col("ts") >= from_ms) & (pl.col("ts") < end_ms))
    hours = inside.group_by(pl.col("ts") // HOUR_MS).agg(rows=pl.len()).sort("ts").collect()
    low_ms, taken = from_ms, 0
    for hour, count in hours.iter_rows():
        if taken and taken + count > rows:
            yield low_ms, hour * HOUR_MS
            low_ms, taken = hour * HOUR_MS, 0
        taken += count
    if taken:
        yield low_ms, end_ms

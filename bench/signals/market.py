"""Recorded hourly candles of every spot symbol of a folder, on one grid."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from regimes.errors import DataError
from regimes.maths.stats import FloatArray
from regimes.timeframe import HOUR_MS

FIELDS = ("open", "high", "low", "close", "volume")


class Candles(msgspec.Struct, frozen=True):
    """bars: shape (5, symbols, hours), open to volume, NaN where there is none; first_hour since 1970."""

    symbols: tuple[str, ...]
    first_hour: int
    bars: FloatArray

    @property
    def hours(self) -> int:
        """How many hours there are."""
        return int(self.bars.shape[2])

    def place(self, day: str) -> int:
        """Column of the first hour of an ISO date."""
        return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) // 3600 - self.first_hour

    def rows(self, symbols: tuple[str, ...]) -> list[int]:
        """Rows of these symbols."""
        return [self.symbols.index(symbol) for symbol in symbols]

    def day(self, column: int) -> str:
        """ISO date of a column."""
        return datetime.fromtimestamp((self.first_hour + column) * 3600, UTC).date().isoformat()


def spot_candles(folder: Path) -> Candles:
    """Read `candles/spot_{SYM}USDT_1h.parquet`; raises DataError when there are none."""
    paths = sorted((folder / "candles").glob("spot_*USDT_1h.parquet"))
    if not paths:
        raise DataError(f"{folder}/candles holds no spot_*USDT_1h.parquet: name another folder with --data")
    frames = {path.name.split("_")[1].removesuffix("USDT"): pl.read_parquet(path) for path in paths}
    hours = {symbol: frame["ts"].to_numpy().astype(np.int64) // HOUR_MS for symbol, frame in frames.items()}
    first, last = min(h[0] for h in hours.values()), max(h[-1] for h in hours.values())
    bars = np.full((len(FIELDS), len(frames), int(last - first) + 1), np.nan)
    for row, (symbol, frame) in enumerate(frames.items()):
        for field, name in enumerate(FIELDS):
            bars[field, row, hours[symbol] - first] = frame[name].to_numpy()
    return Candles(tuple(frames), int(first), bars)

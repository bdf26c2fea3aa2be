"""Markets for these tests: synthetic with a known correlation, and the recorded one."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from regimes.features.base import Output, Universe
from regimes.features.correlation_engine import CorrelationEngine, CorrelationReading, CorrelationSettings
from regimes.maths.correlation import FloatArray
from regimes.observations import Candle, Observation, Tick
from regimes.timeframe import HOUR_MS

START_HOUR = 480_000
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def candle(symbol: str, hour: int, close: float) -> Candle:
    return Candle("binanceus", symbol, "1h", hour * HOUR_MS, close, close, close, close, 1.0)


def closes(returns: FloatArray, start: float = 100.0) -> FloatArray:
    return np.asarray(start * np.exp(np.cumsum(returns, axis=1)))


def together(seed: int, rows: int, hours: int, r: float = 0.87) -> FloatArray:
    """Hourly returns of which every pair correlates at about r."""
    rng = np.random.default_rng(seed)
    moves = np.sqrt(r) * rng.normal(size=(1, hours)) + np.sqrt(1 - r) * rng.normal(size=(rows, hours))
    return np.asarray(0.01 * moves)


def apart_from(hour: int, returns: FloatArray, row: int, seed: int = 99) -> FloatArray:
    """The same market, in which one row goes its own way from an hour on."""
    changed = returns.copy()
    changed[row, hour:] = np.random.default_rng(seed).normal(0, 0.01, returns.shape[1] - hour)
    return changed


def bars(
    prices: FloatArray, symbols: Sequence[str] = SYMBOLS, first_hour: int = START_HOUR
) -> Iterator[Observation]:
    """Every hour's bars, symbol by symbol, and a Tick 40 s after the close."""
    for column in range(prices.shape[1]):
        hour = first_hour + column
        for row, symbol in enumerate(symbols):
            if np.isfinite(prices[row, column]):
                yield candle(symbol, hour, float(prices[row, column]))
        yield Tick((hour + 1) * HOUR_MS + 40_000)


def engine(
    symbols: Sequence[str] = SYMBOLS, settings: CorrelationSettings | None = None
) -> CorrelationEngine:
    return CorrelationEngine(settings or CorrelationSettings(), Universe(tuple(symbols)))


def run(
    feature: CorrelationEngine, observations: Iterator[Observation] | Sequence[Observation]
) -> list[Output]:
    return [feature.update(observation) for observation in observations]


def last(feature: CorrelationEngine, symbol: str) -> CorrelationReading:
    reading = next(r for r in feature.readings() if r.symbol == symbol)
    assert isinstance(reading, CorrelationReading)
    return reading


def as_bytes(outputs: Sequence[Output]) -> list[bytes]:
    return [msgspec.msgpack.encode(output, enc_hook=list) for output in outputs]


def hour_of(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 3600


def recorded(data_dir: Path, first_hour: int, last_hour: int) -> pl.DataFrame:
    """Closes of BTC, ETH and SOL, one row an hour from first to last, null where the exchange was down."""
    grid = pl.DataFrame({"ts": range(first_hour * HOUR_MS, (last_hour + 1) * HOUR_MS, HOUR_MS)})
    for symbol in SYMBOLS:
        name = symbol.replace("/", "")
        file = pl.read_parquet(data_dir / "candles" / f"spot_{name}_1h.parquet", columns=["ts", "close"])
        grid = grid.join(file.rename({"close": symbol}), on="ts", how="left")
    return grid


def prices_of(frame: pl.DataFrame) -> FloatArray:
    return frame.select(SYMBOLS).fill_null(float("nan")).to_numpy().T

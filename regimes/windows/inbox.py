"""Closed hourly bars that wait for the next Tick, so that a burst of symbols is worked on as one array."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from regimes.observations import Candle
from regimes.windows.bars import FloatArray, IntArray

# While history is loaded no Tick may come for long; beyond this the caller should take what is there.
FULL_AT: Final = 8192


class Batch(msgspec.Struct, frozen=True):
    """Bars as columns, in order of arrival: row of the symbol, open time, close, base volume.

    candles: the bars themselves, where they came as such.
    """

    rows: IntArray
    open_ms: IntArray
    close: FloatArray
    volume: FloatArray
    candles: Sequence[Candle] = ()

    def prices(self) -> FloatArray:
        """Open, high, low and close, shape (4, bars); all are the close where only that is known."""
        if not self.candles:
            return np.tile(self.close, (4, 1))
        bars = self.candles
        three = ([c.open for c in bars], [c.high for c in bars], [c.low for c in bars])
        return np.array([*three, self.close])


class CandleInbox:
    """Collects closed bars of one length for the configured symbols; of the same bar the first one counts."""

    def __init__(self, symbols: Sequence[str], timeframe: str = "1h") -> None:
        self._timeframe = timeframe
        self._rows = {symbol: row for row, symbol in enumerate(symbols)}
        self._waiting: dict[tuple[int, int], Candle] = {}

    def add(self, candle: Candle) -> bool:
        """Keep the bar if it is closed, of the right length and of a known symbol; True when the inbox is full."""
        row = self._rows.get(candle.symbol)
        if row is not None and candle.closed and candle.timeframe == self._timeframe:
            self._waiting.setdefault((row, candle.open_ms), candle)
        return len(self._waiting) >= FULL_AT

    def __len__(self) -> int:
        """How many bars wait."""
        return len(self._waiting)

    def take(self) -> Batch | None:
        """Hand over all that waits, and be empty."""
        if not self._waiting:
            return None
        rows, open_ms = zip(*self._waiting, strict=True)
        candles = tuple(self._waiting.values())
        batch = Batch(
            rows=np.array(rows, dtype=np.int64),
            open_ms=np.array(open_ms, dtype=np.int64),
            close=np.array([candle.close for candle in candles], dtype=np.float64),
            volume=np.array([candle.base_volume for candle in candles], dtype=np.float64),
            candles=candles,
        )
        self._waiting = {}
        return batch

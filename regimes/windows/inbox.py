"""Closed hourly bars that wait for the next Tick, so that a burst of symbols is worked on as one array."""

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np

from regimes.observations import Candle
from regimes.windows.bars import FloatArray, IntArray

# While history is loaded no Tick may come for long; beyond this the caller should take what is there.
FULL_AT: Final = 8192
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = map(attrgetter, ("open", "high", "low", "close", "base_volume"))


class Batch(msgspec.Struct, frozen=True):
    """Bars as columns, hour by hour in order of arrival: row of the symbol, open time, close, base volume.

    candles: the bars themselves, where they came as such. hour_ms: the open time of all, where they are of one hour and
    of different symbols.
    """

    rows: IntArray
    open_ms: IntArray
    close: FloatArray
    volume: FloatArray
    candles: Sequence[Candle] = ()
    hour_ms: int | None = None

    @property
    def times(self) -> IntArray | int:
        """Open times; the one that all have, if that is known, and then no row comes twice."""
        return self.open_ms if self.hour_ms is None else self.hour_ms

    def prices(self) -> FloatArray:
        """Open, high, low and close, shape (4, bars); all are the close where only that is known."""
        if not self.candles:
            return np.tile(self.close, (4, 1))
        return np.array([*(column(self.candles, price) for price in (_OPEN, _HIGH, _LOW)), self.close])


def column(candles: Collection[Candle], number: Callable[[Candle], float]) -> FloatArray:
    """One number of each candle."""
    return np.fromiter(map(number, candles), dtype=np.float64, count=len(candles))


class CandleInbox:
    """Collects closed bars of one length for the configured symbols; of the same bar the first one counts."""

    def __init__(self, symbols: Sequence[str], timeframe: str = "1h") -> None:
        self._timeframe = timeframe
        self._rows = {symbol: row for row, symbol in enumerate(symbols)}
        self._waiting: dict[int, dict[int, Candle]] = {}
        self._count = 0

    def add(self, candle: Candle) -> bool:
        """Keep the bar if it is closed, of the right length and of a known symbol; True when the inbox is full."""
        row = self._rows.get(candle.symbol)
        if row is not None and candle.closed and candle.timeframe == self._timeframe:
            hour = self._waiting.get(candle.open_ms)
            if hour is None:
                hour = self._waiting[candle.open_ms] = {}
            if row not in hour:
                hour[row] = candle
                self._count += 1
        return self._count >= FULL_AT

    def __len__(self) -> int:
        """How many bars wait."""
        return self._count

    def take(self) -> Batch | None:
        """Hand over all that waits, and be empty."""
        if not self._waiting:
            return None
        hours = self._waiting
        candles = list(chain.from_iterable(hour.values() for hour in hours.values()))
        batch = Batch(
            rows=np.fromiter(chain.from_iterable(hours.values()), dtype=np.int64, count=self._count),
            open_ms=np.repeat(list(hours), [len(hour) for hour in hours.values()]),
            hour_ms=next(iter(hours)) if len(hours) == 1 else None,
            close=column(candles, _CLOSE),
            volume=column(candles, _VOLUME),
            candles=candles,
        )
        self._waiting, self._count = {}, 0
        return batch

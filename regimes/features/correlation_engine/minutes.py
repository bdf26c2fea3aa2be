"""Closes of the last days minute by minute, of the few symbols between which a leader is looked for."""

from typing import Any, Final

import numpy as np

from regimes.maths.lead_lag import Ticks
from regimes.observations import Candle
from regimes.timeframe import DAY_MS, MINUTE_MS

WINDOW_MINUTES: Final = 12_000
"""In which a leader is looked for: 8.3 days."""
_DAY: Final = DAY_MS // MINUTE_MS
_DAYS: Final = WINDOW_MINUTES // _DAY + 1
_KEPT: Final = _DAYS * _DAY
_NONE: Final = -1


class Minutes:
    """Logarithms of closes in a ring, NaN where nothing was traded or nothing came."""

    def __init__(self, rows: int) -> None:
        self._closes = np.full((_DAYS, rows, _DAY), np.nan)
        self._newest = _NONE

    def put(self, row: int, bar: Candle) -> None:
        """Take the closed minute of a symbol, however late; what is older than the ring is let go."""
        minute = bar.open_ms // MINUTE_MS
        if minute > self._newest:
            self._clear(minute)
        if minute > self._newest - _KEPT and bar.base_volume > 0:
            self._closes[minute // _DAY % _DAYS, row, minute % _DAY] = np.log(bar.close)

    def _clear(self, newest: int) -> None:
        """Make room up to a new newest minute."""
        first = max(self._newest + 1, newest - _KEPT + 1)
        for minute in range(first, newest + 1) if self._newest != _NONE else ():
            self._closes[minute // _DAY % _DAYS, :, minute % _DAY] = np.nan
        self._newest = newest

    def window(self, end_ms: int) -> list[Ticks]:
        """The minutes in which each symbol traded, of the WINDOW_MINUTES before `end_ms`."""
        end = end_ms // MINUTE_MS
        minutes = np.arange(max(end - WINDOW_MINUTES, self._newest - _KEPT + 1), min(end, self._newest + 1))
        found = self._closes[minutes // _DAY % _DAYS, :, minutes % _DAY].T
        return [Ticks(minutes[there], row[there]) for row in found for there in (~np.isnan(row),)]

    def snapshot(self) -> dict[str, Any]:
        """Day by day, so that only the present one changes."""
        return {"minutes": self._newest} | {
            f"minutes_{day}": closes.tobytes() for day, closes in enumerate(self._closes)
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot with as many symbols."""
        self._newest = snapshot["minutes"]
        for day, closes in enumerate(self._closes):
            closes[...] = np.frombuffer(snapshot[f"minutes_{day}"]).reshape(closes.shape)

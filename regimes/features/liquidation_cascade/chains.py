"""How self-exciting the liquidations of a symbol are, worked out once an hour."""

from typing import Final
from zlib import crc32

from regimes.maths.hawkes import Chains, fit
from regimes.timeframe import HOUR_MS
from regimes.windows.events import EventWindow

SPAN_MS: Final = 23 * HOUR_MS
"""Looked at: the window less the hour in which the answer stays."""


class HourlyChains:
    """Answers from the liquidations before the last full hour, of which each symbol has its own minute.

    So the work of many symbols is spread over the hour. The answer follows from the window alone, and is kept only to save
    work: a restart, or a replay, finds the same.
    """

    def __init__(self, symbol: str) -> None:
        self._minute_ms = crc32(symbol.encode()) % HOUR_MS
        self._asked: tuple[int, int] | None = None
        self._found: Chains | None = None

    def at(self, now_ms: int, window: EventWindow) -> Chains | None:
        """The chains as of the last full hour; None while there are too few liquidations."""
        end_ms = (now_ms - self._minute_ms) // HOUR_MS * HOUR_MS + self._minute_ms
        places = window.between(end_ms - SPAN_MS, end_ms)
        if self._asked != (end_ms, len(places)):
            self._asked = (end_ms, len(places))
            self._found = fit(window.times_ms(places) // 1000, -(-end_ms // 1000))
        return self._found

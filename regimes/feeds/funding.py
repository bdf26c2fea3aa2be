"""Keeps account of funding settlements: each is delivered once, with the interval it was for."""

from collections.abc import Iterable, Sequence
from typing import Final

from regimes.feeds.parse import settled
from regimes.observations import FundingRate
from regimes.timeframe import HOUR_MS, MINUTE_MS

_USUAL_HOURS: Final = frozenset({1, 2, 4, 6, 8, 12, 24})
# Binance: a market that fundingInfo does not list settles every 8 h.
UNLISTED_HOURS: Final = 8.0
# A settlement's own time lies within milliseconds of the announced one; the next is an hour away at least.
_JITTER_MS: Final = HOUR_MS // 2


def with_intervals(
    rows: Sequence[tuple[int, float]],
    *,
    venue: str,
    symbol: str,
    previous_ms: int | None,
    listed_hours: float | None,
    next_ms: int | None = None,
) -> list[FundingRate]:
    """Give each settlement its interval: the time since the one before, as intervals change over the years.

    rows: (time in ms, rate), oldest first. previous_ms: the settlement before the first row, if known.
    listed_hours: what the exchange says now, None if it could not be asked. next_ms: the next funding time.
    Where the spacing is unusual (one is missing) or unknown: the listed hours, else the spacing to the one after.
    """
    times = [ts_ms for ts_ms, _ in rows]
    before = [previous_ms, *times][: len(times)]
    after = [*times[1:], next_ms][: len(times)]
    found = []
    for (ts_ms, rate), earlier, later in zip(rows, before, after, strict=True):
        hours = _hours(earlier, ts_ms) or listed_hours or _hours(ts_ms, later) or UNLISTED_HOURS
        found.append(settled(ts_ms, rate, venue=venue, symbol=symbol, interval_hours=hours))
    return found


def _hours(earlier: int | None, later: int | None) -> float | None:
    if earlier is None or later is None:
        return None
    hours = round((later - earlier) / HOUR_MS)
    exact = abs(later - earlier - hours * HOUR_MS) <= MINUTE_MS
    return float(hours) if exact and hours in _USUAL_HOURS else None


class FundingAccount:
    """Which settlements of one venue were delivered, and which are due, by symbol."""

    def __init__(self, symbols: Iterable[str], now_ms: int) -> None:
        """Settlements after `now_ms` are expected; older ones only where `seed` says how far history reaches."""
        self.next_ms: dict[str, int] = {}
        """The exchange's next funding time, as its mark price last said."""
        self._since_ms = dict.fromkeys(symbols, now_ms)
        self._last_ms: dict[str, int] = {}
        self._due_ms: dict[str, int] = {}

    def seed(self, symbol: str, ts_ms: int) -> None:
        """History was delivered up to the settlement at `ts_ms`; ask at once what came since."""
        if symbol in self._since_ms:
            self._since_ms[symbol] = self._last_ms[symbol] = self._due_ms[symbol] = ts_ms

    def announced(self, symbol: str, next_ms: int) -> None:
        """The mark price says when funding settles next."""
        self.next_ms[symbol] = next_ms
        if symbol not in self._due_ms and next_ms - _JITTER_MS > self._last_ms.get(symbol, 0):
            self._due_ms[symbol] = next_ms

    def due(self, now_ms: int) -> list[str]:
        """Symbols whose settlement should be there by now."""
        return [symbol for symbol, due_ms in self._due_ms.items() if due_ms <= now_ms]

    def ask_from_ms(self, symbol: str) -> int:
        """Where the next request for a symbol's settlements begins."""
        return self._since_ms[symbol] + 1

    def take(
        self, symbol: str, rows: Sequence[tuple[int, float]], *, venue: str, listed_hours: float | None
    ) -> list[FundingRate]:
        """New settlements of a symbol, each once. One that is not there yet stays due."""
        fresh = [row for row in rows if row[0] > self._since_ms[symbol]]
        rates = with_intervals(
            fresh,
            venue=venue,
            symbol=symbol,
            previous_ms=self._last_ms.get(symbol),
            listed_hours=listed_hours,
            next_ms=self.next_ms.get(symbol),
        )
        if fresh:
            self._since_ms[symbol] = self._last_ms[symbol] = fresh[-1][0]
        if self._last_ms.get(symbol, 0) >= self._due_ms.get(symbol, 0) - _JITTER_MS:
            self._due_ms.pop(symbol, None)
            if symbol in self.next_ms:
                self.announced(symbol, self.next_ms[symbol])
        return rates

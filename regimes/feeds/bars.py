"""Keeps account of closed bars: each is delivered once, and what is missing is known."""

from collections.abc import Iterable
from typing import Final

from regimes.observations import Candle
from regimes.timeframe import bar_open, to_ms

_REMEMBERED: Final = 8


class BarAccount:
    """Which closed bars of one timeframe were delivered, by symbol.

    Everything up to `complete_to` is settled: delivered, or known to be absent at the exchange.
    """

    def __init__(
        self, symbols: Iterable[str], timeframe: str, now_ms: int, *, closed_only: bool = False
    ) -> None:
        """Bars that end after `now_ms` are expected; older ones only where `seed` says how far history reaches.

        closed_only: unfinished ones are not wanted.
        """
        self._closed_only = closed_only
        self.timeframe = timeframe
        self._step_ms = to_ms(timeframe)
        newest = bar_open(now_ms, self._step_ms) - self._step_ms
        self._complete_to = dict.fromkeys(symbols, newest)
        self._recent: dict[str, dict[int, Candle]] = {symbol: {} for symbol in self._complete_to}

    @property
    def symbols(self) -> Iterable[str]:
        """Of which bars are expected."""
        return self._complete_to.keys()

    def seed(self, symbol: str, open_ms: int) -> None:
        """History was delivered up to the bar that opened at `open_ms`."""
        if symbol in self._complete_to:
            self._complete_to[symbol] = open_ms

    def wants(self, candle: Candle) -> bool:
        """Whether to deliver this bar: not twice, and no unfinished state of a bar that is finished.

        A second version of a recent bar with other values is delivered, so that the conflict is seen and counted.
        """
        recent = self._recent.get(candle.symbol)
        if recent is None or candle.timeframe != self.timeframe:
            return False
        known = recent.get(candle.open_ms)
        if not candle.closed:
            newer = known is None and candle.open_ms > self._complete_to[candle.symbol]
            return newer and not self._closed_only
        if known is not None:
            return known != candle
        return candle.open_ms > self._complete_to[candle.symbol]

    def delivered(self, candle: Candle) -> bool:
        """Note a closed bar; True when bars before it are missing."""
        recent = self._recent[candle.symbol]
        if candle.open_ms in recent:
            return False
        recent[candle.open_ms] = candle
        self._advance(candle.symbol)
        while len(recent) > _REMEMBERED and min(recent) <= self._complete_to[candle.symbol]:
            del recent[min(recent)]
        return candle.open_ms > self._complete_to[candle.symbol]

    def missing(self, symbol: str, now_ms: int) -> tuple[int, int] | None:
        """Open times [from, to) of bars that ended by `now_ms` and are not settled; None when there are none."""
        first = self._complete_to[symbol] + self._step_ms
        end = bar_open(now_ms, self._step_ms)
        return (first, end) if first < end else None

    def settled(self, symbol: str, end_ms: int) -> None:
        """All the exchange has of bars that open before `end_ms` was delivered."""
        newest = bar_open(end_ms - 1, self._step_ms)
        self._complete_to[symbol] = max(self._complete_to[symbol], newest)
        self._advance(symbol)

    def _advance(self, symbol: str) -> None:
        recent = self._recent[symbol]
        newest = self._complete_to[symbol]
        while newest + self._step_ms in recent:
            newest += self._step_ms
        self._complete_to[symbol] = newest

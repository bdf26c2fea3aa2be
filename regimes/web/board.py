"""What pages show besides signals: the newest price, bars since the start, funding as it was settled."""

from bisect import insort
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from regimes.observations import Candle, FundingRate, MarkPrice

KEPT_BARS: Final = 500
KEPT_SETTLEMENTS: Final = 200


class Price(msgspec.Struct, frozen=True):
    """The newest price of a symbol and where it is from: `candle` (last trade) or `mark`."""

    price: float
    source: str
    venue: str


class Board:
    """Filled in the engine's turn, read by pages; bounded for each symbol."""

    def __init__(self) -> None:
        self._closed: dict[str, dict[int, Candle]] = {}
        self._open: dict[str, Candle] = {}
        self._marks: dict[str, MarkPrice] = {}
        self._funding: dict[str, list[FundingRate]] = {}

    def take_candles(self, candles: Iterable[Candle]) -> None:
        """Keep hourly bars; the unfinished one replaces the one before it."""
        for candle in candles:
            if candle.timeframe != "1h":
                continue
            newest = self._open.get(candle.symbol)
            if newest is None or candle.open_ms >= newest.open_ms:
                self._open[candle.symbol] = candle
            if candle.closed:
                bars = self._closed.setdefault(candle.symbol, {})
                bars[candle.open_ms] = candle
                if len(bars) > KEPT_BARS:
                    del bars[min(bars)]

    def take_marks(self, marks: Iterable[MarkPrice]) -> None:
        """Keep the newest mark price."""
        for mark in marks:
            self._marks[mark.symbol] = mark

    def take_funding(self, rates: Iterable[FundingRate]) -> None:
        """Keep settlements in the order of their time, however late they come."""
        for rate in rates:
            kept = self._funding.setdefault(rate.symbol, [])
            insort(kept, rate, key=attrgetter("ts_ms"))
            if len(kept) > KEPT_SETTLEMENTS:
                del kept[0]

    def price(self, symbol: str) -> Price | None:
        """The last trade where a bar is under way, else the mark price, else the last close."""
        bar, mark = self._open.get(symbol), self._marks.get(symbol)
        if bar is not None and (mark is None or not bar.closed):
            return Price(bar.close, "candle", bar.venue)
        return None if mark is None else Price(mark.mark_price, "mark", mark.venue)

    def funding(self, symbol: str) -> Sequence[FundingRate]:
        """Settlements, oldest first."""
        return self._funding.get(symbol, ())

    def closed(self, symbol: str) -> Sequence[Candle]:
        """Hourly bars closed since the start, oldest first."""
        bars = self._closed.get(symbol, {})
        return [bars[open_ms] for open_ms in sorted(bars)]

    def unfinished(self, symbol: str) -> Candle | None:
        """The bar that is not closed yet."""
        bar = self._open.get(symbol)
        return None if bar is None or bar.closed else bar

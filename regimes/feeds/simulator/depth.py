"""Order books as a stream of differences that a snapshot fits into."""

from collections.abc import Callable
from typing import Final, NamedTuple

from regimes.feeds.simulator import frames
from regimes.feeds.simulator.source import Listing, MarketSource, Venue

_MAX_LEVELS: Final = 1000
_UPDATE_MS: Final = 10


class Snapshot(NamedTuple):
    """A book as Binance writes it, and the id of the last update in it."""

    update_id: int
    bids: frames.Levels
    asks: frames.Levels


class DepthBooks:
    """The books last published: REST answers from them while their differences are streamed.

    streamed: tells whether anybody reads the differences of an instrument.
    """

    def __init__(self, source: MarketSource, streamed: Callable[[Venue, str], bool]) -> None:
        self._source = source
        self._streamed = streamed
        self._published: dict[tuple[Venue, str], Snapshot] = {}

    def snapshot(self, venue: Venue, symbol_id: str, at_ms: int) -> Snapshot | None:
        """The book that the next difference applies to; the present one where none is streamed."""
        key = (venue, symbol_id)
        if key in self._published and self._streamed(venue, symbol_id):
            return self._published[key]
        now = self._now(venue, symbol_id, at_ms)
        if now is not None:
            self._published[key] = now
        return now

    def difference(self, venue: Venue, symbol_id: str, at_ms: int, event_ms: int) -> bytes | None:
        """A `depthUpdate` from the book last published to the present one; None if nothing changed."""
        old, new = self._published.get((venue, symbol_id)), self._now(venue, symbol_id, at_ms)
        if new is None:
            return None
        self._published[venue, symbol_id] = new
        if old is None or new.update_id <= old.update_id:
            return None
        listing = self._source.listings(venue)[symbol_id]
        empty = frames.fixed(0.0, _decimals(listing, venue)[1])
        bids = frames.changed_levels(old.bids, new.bids, empty)
        asks = frames.changed_levels(old.asks, new.asks, empty)
        ids = (old.update_id + 1, new.update_id, old.update_id)
        return frames.depth_update(listing, venue, ids, bids, asks, event_ms)

    def top(self, venue: Venue, symbol_id: str, count: int, at_ms: int, event_ms: int) -> bytes | None:
        """The best levels as a partial book stream sends them."""
        now = self._now(venue, symbol_id, at_ms)
        if now is None:
            return None
        bids, asks = now.bids[:count], now.asks[:count]
        if venue == "spot":
            return frames.spot_partial_book(now.update_id, bids, asks)
        listing = self._source.listings(venue)[symbol_id]
        ids = (now.update_id, now.update_id, now.update_id - 1)
        return frames.depth_update(listing, venue, ids, bids, asks, event_ms)

    def _now(self, venue: Venue, symbol_id: str, at_ms: int) -> Snapshot | None:
        listing = self._source.listings(venue).get(symbol_id)
        book = self._source.book(venue, symbol_id, at_ms) if listing else None
        if listing is None or book is None:
            return None
        decimals = _decimals(listing, venue)
        bids = frames.levels(book.bid_prices, book.bid_qtys, decimals, _MAX_LEVELS)
        asks = frames.levels(book.ask_prices, book.ask_qtys, decimals, _MAX_LEVELS)
        return Snapshot(at_ms // _UPDATE_MS, bids, asks)


def _decimals(listing: Listing, venue: Venue) -> tuple[int, int]:
    return frames.text_decimals(listing, venue)[:2]

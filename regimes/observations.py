"""What the engine is told: one frozen record for each thing that was seen, with its own time.

Times are int milliseconds UTC (`_ms`), money is in US dollars or a dollar stablecoin (`_usd`),
ratios are fractions. `symbol` is the configured spelling, such as `BTC/USDT`, whatever the venue calls it.
"""

from typing import Literal, TypeAlias

import msgspec

Side: TypeAlias = Literal["long", "short"]
DataKind: TypeAlias = Literal["candle", "liquidation", "funding", "mark_price", "open_interest", "depth"]
MARKET = "ALL"
"""The symbol that stands for the whole market."""


class Candle(msgspec.Struct, frozen=True, tag="candle", gc=False):
    """One bar. Only `closed` ones feed features; an open one may be drawn as unfinished.

    base_volume is in the base asset, quote_volume in the quote asset; taker_buy_volume (base asset)
    and quote_volume are None where a source does not publish them.
    """

    venue: str
    symbol: str
    timeframe: str
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    base_volume: float
    quote_volume: float | None = None
    taker_buy_volume: float | None = None
    closed: bool = True


class Liquidation(msgspec.Struct, frozen=True, tag="liquidation", gc=False):
    """One forced order. `closed` is the position that was closed, never the side of the order."""

    ts_ms: int
    venue: str
    symbol: str
    closed: Side
    fill_price: float
    base_qty: float
    quote_usd: float


class FundingRate(msgspec.Struct, frozen=True, tag="funding", gc=False):
    """A settled funding rate: a fraction of notional for the `interval_hours` that end at `ts_ms`."""

    ts_ms: int
    venue: str
    symbol: str
    rate: float
    interval_hours: float


class MarkPrice(msgspec.Struct, frozen=True, tag="mark_price", gc=False):
    """The mark price, and the funding rate that would settle at `next_funding_ms` as predicted now."""

    ts_ms: int
    venue: str
    symbol: str
    mark_price: float
    index_price: float | None = None
    predicted_rate: float | None = None
    next_funding_ms: int | None = None


class OpenInterest(msgspec.Struct, frozen=True, tag="open_interest", gc=False):
    """Contracts open, in the base asset, and their notional where a price was known."""

    ts_ms: int
    venue: str
    symbol: str
    base_qty: float
    notional_usd: float | None = None


class BookDepth(msgspec.Struct, frozen=True, tag="depth"):
    """A snapshot of the order book: (price, base quantity) pairs, best first."""

    ts_ms: int
    venue: str
    symbol: str
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class Tick(msgspec.Struct, frozen=True, tag="tick", gc=False):
    """The only way in which time passes for the engine."""

    ts_ms: int


class FeedGap(msgspec.Struct, frozen=True, tag="feed_gap", gc=False):
    """A span in which data of one kind may have been missed.

    symbol None means every symbol of the venue. to_ms None means that the gap is still open; the same gap
    (same venue, kind, symbol and from_ms) comes again with its end.
    """

    ts_ms: int
    venue: str
    kind: DataKind
    symbol: str | None
    from_ms: int
    to_ms: int | None
    reason: str


class Unavailable(msgspec.Struct, frozen=True, tag="unavailable", gc=False):
    """Data of one kind that a venue does not have (for one symbol, or at all): never to be read as zero."""

    ts_ms: int
    venue: str
    kind: DataKind
    symbol: str | None
    reason: str


Observation: TypeAlias = (
    Candle | Liquidation | FundingRate | MarkPrice | OpenInterest | BookDepth | Tick | FeedGap | Unavailable
)

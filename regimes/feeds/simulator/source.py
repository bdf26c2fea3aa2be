"""What the loopback exchange needs of a market: everything is a function of event time, so two readers agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Venue: TypeAlias = Literal["spot", "usdm"]
OrderSide: TypeAlias = Literal["BUY", "SELL"]
FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]


class Listing(NamedTuple):
    """One traded instrument. `id` is the exchange's name for it, such as `BTCUSDT`."""

    id: str
    base: str
    quote: str
    price_decimals: int
    qty_decimals: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one instrument, oldest first, one array a column, all of shape (n,).

    volume and taker_volume are in the base asset, quote_volume in the quote asset.
    """

    open_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    quote_volume: FloatArray
    taker_volume: FloatArray

    def __len__(self) -> int:
        return len(self.open_ms)

    def part(self, first: int, last: int) -> "Bars":
        """Rows `first` to `last`, the last one excluded."""
        return Bars(*(column[first:last] for column in self.columns()))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """The arrays in the order of the fields."""
        return tuple(getattr(self, name) for name in self.__slots__)


class Bar(NamedTuple):
    """One bar as far as it has got; volumes as in `Bars`."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_volume: float


class Mark(NamedTuple):
    """Mark and index price, and the rate that would settle at `next_funding_ms` as it looks now."""

    mark_price: float
    index_price: float
    predicted_rate: float
    next_funding_ms: int


class Funding(NamedTuple):
    """A settled funding rate, a fraction per interval."""

    ts_ms: int
    rate: float
    mark_price: float | None


class ForcedOrder(NamedTuple):
    """A liquidation order as the exchange reports it: `SELL` closes a long.

    price: bankruptcy price. avg_price: average fill, None where it was not published.
    """

    ts_ms: int
    symbol_id: str
    side: OrderSide
    qty: float
    price: float
    avg_price: float | None
    last_qty: float
    filled_qty: float

    @property
    def notional(self) -> float:
        """Quote asset filled."""
        return self.filled_qty * (self.avg_price or self.price)


class Book(NamedTuple):
    """An order book, best level first on each side; each array has shape (levels,)."""

    bid_prices: FloatArray
    bid_qtys: FloatArray
    ask_prices: FloatArray
    ask_qtys: FloatArray


class MarketSource(Protocol):
    """A market that can be asked about any moment from its history to its end."""

    start_ms: int
    """When the exchange opens its doors; history before it is served by REST."""
    end_ms: int | None
    """When the market ends; None if it goes on past any use."""
    forced_orders_are_thinned: bool
    """Whether the forced orders have been through Binance's one-a-symbol-a-second rule already."""

    def listings(self, venue: Venue) -> Mapping[str, Listing]:
        """What the venue trades, by exchange id."""
        ...

    def bars(
        self, venue: Venue, symbol_id: str, step_ms: int, first_ms: int, last_ms: int, at_ms: int
    ) -> Bars:
        """Bars that opened from `first_ms` to `last_ms` inclusive, as known at `at_ms` (the last may be unfinished)."""
        ...

    def bar(self, venue: Venue, symbol_id: str, step_ms: int, at_ms: int) -> Bar | None:
        """The unfinished bar at `at_ms`; None if nothing has traded in it."""
        ...

    def mark(self, symbol_id: str, at_ms: int) -> Mark | None:
        """Mark price and predicted funding; None for an instrument without prices."""
        ...

    def fundings(self, symbol_id: str, first_ms: int, last_ms: int) -> Sequence[Funding]:
        """Settlements from `first_ms` to `last_ms` inclusive, oldest first."""
        ...

    def funding_hours(self, symbol_id: str) -> int:
        """Hours between settlements."""
        ...

    def open_interest(self, symbol_id: str, at_ms: int) -> float | None:
        """Contracts open in the base asset; None where it is not known."""
        ...

    def forced_orders(self, first_ms: int, last_ms: int) -> Sequence[ForcedOrder]:
        """Forced orders with a time from `first_ms` to `last_ms` inclusive, oldest first."""
        ...

    def book(self, venue: Venue, symbol_id: str, at_ms: int) -> Book | None:
        """The order book at `at_ms`; None for an instrument without prices."""
        ...

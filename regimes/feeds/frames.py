"""Frames of the three kinds that come by the thousand, decoded straight into records, as long as they look as usual.

What is unusual in any way raises one of `UNUSUAL`, and is left to `parse`: it reads what can be read, and says what is wrong.
So nothing is taken here that `parse` refuses, and nothing is read otherwise.
"""

from collections.abc import Container, Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from regimes.errors import DataError
from regimes.feeds.fields import FIRST_MS, HUGE, LAST_MS
from regimes.feeds.parse import dollar_liquidation
from regimes.observations import Candle, Liquidation, MarkPrice, Side


class UnusualError(ValueError):
    """Something may be wrong with a frame, or not."""


UNUSUAL: Final = (DataError, ValueError, LookupError)
_Ms: TypeAlias = Annotated[int, msgspec.Meta(gt=FIRST_MS, lt=LAST_MS)]
Ids: TypeAlias = Mapping[str, str]


class _Event(msgspec.Struct, gc=False, tag_field="e"):
    # `parse` would look into it and nowhere else.
    data: msgspec.UnsetType = msgspec.UNSET


class _Order(
    msgspec.Struct,
    gc=False,
    rename={"market_id": "s", "side": "S", "limit": "p", "average": "ap", "filled": "z", "ts_ms": "T"},
):
    market_id: str
    side: Literal["SELL", "BUY"]
    limit: str
    average: str
    filled: str
    ts_ms: _Ms


class _ForceOrder(_Event, gc=False, kw_only=True, tag="forceOrder", rename={"event_ms": "E", "order": "o"}):
    event_ms: _Ms
    order: _Order

    def liquidation(self, venue: str, ids: Ids) -> Liquidation | None:
        order = self.order
        average, quantity = float(order.average), float(order.filled)
        price = average or float(order.limit)
        if not (0.0 < price < HUGE and 0.0 < quantity < HUGE):
            raise UnusualError
        closed: Side = "long" if order.side == "SELL" else "short"
        return dollar_liquidation(order.ts_ms, venue, ids[order.market_id], closed, price, quantity)


class _Bar(
    msgspec.Struct,
    gc=False,
    rename={
        "open_ms": "t",
        "market_id": "s",
        "timeframe": "i",
        "open": "o",
        "high": "h",
        "low": "l",
        "close": "c",
        "base_volume": "v",
        "quote_volume": "q",
        "taker_buy_volume": "V",
        "closed": "x",
    },
):
    open_ms: _Ms
    market_id: str
    timeframe: str
    open: str
    high: str
    low: str
    close: str
    base_volume: str
    quote_volume: str
    taker_buy_volume: str
    closed: bool


class _Kline(_Event, gc=False, kw_only=True, tag="kline", rename={"event_ms": "E", "bar": "k"}):
    event_ms: _Ms
    bar: _Bar

    def candle(self, venue: str, ids: Ids, timeframes: Container[str]) -> Candle:
        bar = self.bar
        if bar.timeframe not in timeframes:
            raise UnusualError
        open_, high, low, close = float(bar.open), float(bar.high), float(bar.low), float(bar.close)
        base, quote, taker = float(bar.base_volume), float(bar.quote_volume), float(bar.taker_buy_volume)
        if not (0.0 < open_ < HUGE and 0.0 < high < HUGE and 0.0 < low < HUGE and 0.0 < close < HUGE):
            raise UnusualError
        if not (0.0 <= base < HUGE and 0.0 <= quote < HUGE and 0.0 <= taker < HUGE):
            raise UnusualError
        return Candle(
            venue,
            ids[bar.market_id],
            bar.timeframe,
            bar.open_ms,
            open_,
            high,
            low,
            close,
            base,
            quote,
            taker,
            bar.closed,
        )


class _Mark(
    _Event,
    gc=False,
    kw_only=True,
    tag="markPriceUpdate",
    rename={"ts_ms": "E", "market_id": "s", "price": "p", "index": "i", "rate": "r", "next_ms": "T"},
):
    ts_ms: _Ms
    market_id: str
    price: str
    index: str
    rate: str
    next_ms: _Ms

    def mark_price(self, venue: str, ids: Ids) -> MarkPrice:
        price, index, rate = float(self.price), float(self.index), float(self.rate)
        if not (0.0 < price < HUGE and 0.0 <= index < HUGE and -1.0 <= rate <= 1.0):
            raise UnusualError
        return MarkPrice(self.ts_ms, venue, ids[self.market_id], price, index or None, rate, self.next_ms)


_AnyEvent: TypeAlias = _ForceOrder | _Kline | _Mark | list[_Mark]


class _Combined(msgspec.Struct, gc=False):
    """As streams come that share a connection."""

    data: _AnyEvent


_read_event: Final = msgspec.json.Decoder(_AnyEvent).decode
_read_combined: Final = msgspec.json.Decoder(_Combined).decode


def read(
    frame: str | bytes, venue: str, ids: Ids, timeframes: Container[str]
) -> tuple[int | None, Liquidation | Candle | list[MarkPrice] | None]:
    """Read a frame: when it was sent, and what it holds; None for a liquidation that is not in dollars.

    Its event has nothing escaped, so that no number in it has an underscore, or digits that are not ASCII. ids: symbols
    by market id; one that is not there is unusual, as is a bar whose length is not among `timeframes`.
    """
    if isinstance(frame, bytes):
        raise UnusualError
    combined = frame.startswith('{"s')
    event_at = frame.find('"data"') if combined else 0
    if not frame.isascii() or "\\" in frame or frame.find("_", event_at) >= 0:
        raise UnusualError
    event = _read_combined(frame).data if combined else _read_event(frame)
    if isinstance(event, _ForceOrder):
        return event.event_ms, event.liquidation(venue, ids)
    if isinstance(event, _Kline):
        return event.event_ms, event.candle(venue, ids, timeframes)
    marks = event if isinstance(event, list) else [event]
    return None, [mark.mark_price(venue, ids) for mark in marks]

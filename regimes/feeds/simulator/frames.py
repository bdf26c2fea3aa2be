"""Binance's JSON: each websocket event and REST row written as the exchange writes it."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias
from zlib import crc32

import msgspec

from regimes.feeds.simulator.source import (
    Bar,
    Bars,
    FloatArray,
    ForcedOrder,
    Funding,
    Listing,
    Mark,
    Venue,
)

_SPOT_DECIMALS: Final = 8
_MARK_DECIMALS: Final = 8
_QUOTE_DECIMALS: Final = 5
_TRADES_PER_MS: Final = 1e-3
Levels: TypeAlias = list[tuple[str, str]]
_encoder = msgspec.json.Encoder()


def text_decimals(listing: Listing, venue: Venue) -> tuple[int, int, int]:
    """Decimals that prices, quantities and quote volumes are written with: eight of each on spot."""
    if venue == "spot":
        return (_SPOT_DECIMALS,) * 3
    return listing.price_decimals, listing.qty_decimals, _QUOTE_DECIMALS


def fixed(value: float, decimals: int) -> str:
    """Write a number as Binance does: fixed decimals, a bare 0 for nothing."""
    return f"{value:.{decimals}f}"


def kline(
    listing: Listing, venue: Venue, timeframe: str, step_ms: int, bar: Bar, event_ms: int, *, closed: bool
) -> bytes:
    """A `kline` event; `closed` marks the one that ends the bar."""
    price, qty, quote = text_decimals(listing, venue)
    first, last, trades = _trade_ids(bar, step_ms, event_ms, closed=closed)
    return (
        f'{{"e":"kline","E":{event_ms},"s":"{listing.id}","k":{{"t":{bar.open_ms},"T":{bar.open_ms + step_ms - 1},'
        f'"s":"{listing.id}","i":"{timeframe}","f":{first},"L":{last},"o":"{bar.open:.{price}f}",'
        f'"c":"{bar.close:.{price}f}","h":"{bar.high:.{price}f}","l":"{bar.low:.{price}f}",'
        f'"v":"{bar.volume:.{qty}f}","n":{trades},"x":{"true" if closed else "false"},'
        f'"q":"{bar.quote_volume:.{quote}f}","V":"{bar.taker_volume:.{qty}f}",'
        f'"Q":"{_taker_quote(bar):.{quote}f}","B":"0"}}}}'
    ).encode()


def kline_rows(listing: Listing, venue: Venue, step_ms: int, bars: Bars, at_ms: int) -> list[list[Any]]:
    """REST klines: twelve columns a bar, numbers that carry a price or a volume as text."""
    price, qty, quote = text_decimals(listing, venue)
    rows: list[list[Any]] = []
    for values in zip(*(column.tolist() for column in bars.columns()), strict=True):
        bar = Bar(*values)
        close_ms = bar.open_ms + step_ms - 1
        trades = _trade_ids(bar, step_ms, at_ms, closed=close_ms < at_ms)[2]
        prices = [fixed(value, price) for value in (bar.open, bar.high, bar.low, bar.close)]
        row = [bar.open_ms, *prices, fixed(bar.volume, qty), close_ms, fixed(bar.quote_volume, quote), trades]
        rows.append([*row, fixed(bar.taker_volume, qty), fixed(_taker_quote(bar), quote), "0"])
    return rows


def mark_price(listing: Listing, mark: Mark, event_ms: int, shift_ms: int) -> bytes:
    """A `markPriceUpdate` event; `shift_ms` moves the times in it."""
    return (
        f'{{"e":"markPriceUpdate","E":{event_ms + shift_ms},"s":"{listing.id}","p":"{mark.mark_price:.8f}",'
        f'"ap":"{mark.mark_price:.8f}","P":"{mark.index_price:.8f}","i":"{mark.index_price:.8f}",'
        f'"r":"{mark.predicted_rate:.8f}","T":{mark.next_funding_ms + shift_ms},"st":1}}'
    ).encode()


def array(events: Iterable[bytes]) -> bytes:
    """Several events as one, for the streams of all markets."""
    return b"[" + b",".join(events) + b"]"


def forced_order(listing: Listing, order: ForcedOrder, event_ms: int, shift_ms: int) -> bytes:
    """A `forceOrder` event; an average price that was not published is written `0`."""
    price, qty = listing.price_decimals, listing.qty_decimals
    average = "0" if order.avg_price is None else f"{order.avg_price:.{price}f}"
    return (
        f'{{"e":"forceOrder","E":{event_ms + shift_ms},"o":{{"s":"{order.symbol_id}","S":"{order.side}","o":"LIMIT",'
        f'"f":"IOC","q":"{order.qty:.{qty}f}","p":"{order.price:.{price}f}","ap":"{average}","X":"FILLED",'
        f'"l":"{order.last_qty:.{qty}f}","z":"{order.filled_qty:.{qty}f}","T":{order.ts_ms + shift_ms},'
        f'"ps":"{order.symbol_id}","st":1}}}}'
    ).encode()


def agg_trade(listing: Listing, venue: Venue, price: float, event_ms: int, trade_ms: int) -> bytes:
    """An `aggTrade` event of one trade at `price`."""
    decimals, qty_decimals, _ = text_decimals(listing, venue)
    number = trade_ms // 100
    spread = crc32(f"{listing.id}{trade_ms}".encode())
    qty = fixed((1 + spread % 50) * 10.0**-listing.qty_decimals, qty_decimals)
    maker = "true" if spread % 2 else "false"
    trade = f'"p":"{price:.{decimals}f}","q":"{qty}"'
    rest = f'"f":{number},"l":{number},"T":{trade_ms},"m":{maker}'
    if venue == "spot":
        return f'{{"e":"aggTrade","E":{event_ms},"s":"{listing.id}","a":{number},{trade},{rest},"M":true}}'.encode()
    head = f'{{"e":"aggTrade","E":{event_ms},"a":{number},"s":"{listing.id}"'
    return f'{head},{trade},"nq":"{qty}",{rest},"st":1}}'.encode()


def levels(prices: FloatArray, qtys: FloatArray, decimals: tuple[int, int], count: int) -> Levels:
    """The best `count` levels of one side as Binance writes them."""
    price, qty = decimals
    pairs = zip(prices[:count].tolist(), qtys[:count].tolist(), strict=True)
    return [(fixed(p, price), fixed(q, qty)) for p, q in pairs]


def changed_levels(old: Levels, new: Levels, empty: str) -> Levels:
    """What turns one side into another: new sizes, and `empty` for a level that is gone."""
    before, after = dict(old), dict(new)
    gone = [(price, empty) for price in before if price not in after]
    return gone + [(price, size) for price, size in after.items() if before.get(price) != size]


def depth_update(
    listing: Listing,
    venue: Venue,
    ids: tuple[int, int, int],
    bids: Levels,
    asks: Levels,
    event_ms: int,
) -> bytes:
    """A `depthUpdate` event. ids: first and last update in it, and the last of the event before."""
    first, last, previous = ids
    event: dict[str, Any] = {"e": "depthUpdate", "E": event_ms}
    if venue == "usdm":
        event["T"] = event_ms
    event |= {"s": listing.id, "U": first, "u": last}
    if venue == "usdm":
        event["pu"] = previous
    return _encoder.encode(event | {"b": bids, "a": asks})


def spot_partial_book(update_id: int, bids: Levels, asks: Levels) -> bytes:
    """A partial book of spot, which names neither event nor symbol."""
    return _encoder.encode({"lastUpdateId": update_id, "bids": bids, "asks": asks})


def premium_index(listing: Listing, mark: Mark, at_ms: int) -> dict[str, Any]:
    """One row of REST `premiumIndex`; what it calls the last rate is the one that would settle now."""
    return {
        "symbol": listing.id,
        "markPrice": fixed(mark.mark_price, _MARK_DECIMALS),
        "indexPrice": fixed(mark.index_price, _MARK_DECIMALS),
        "estimatedSettlePrice": fixed(mark.index_price, _MARK_DECIMALS),
        "lastFundingRate": fixed(mark.predicted_rate, 8),
        "interestRate": "0.00010000",
        "nextFundingTime": mark.next_funding_ms,
        "time": at_ms,
    }


def funding_row(listing: Listing, funding: Funding) -> dict[str, Any]:
    """One row of REST `fundingRate`; the mark price is empty where it is not known."""
    price = "" if funding.mark_price is None else fixed(funding.mark_price, _MARK_DECIMALS)
    return {
        "symbol": listing.id,
        "fundingTime": funding.ts_ms,
        "fundingRate": fixed(funding.rate, 8),
        "markPrice": price,
    }


def _trade_ids(bar: Bar, step_ms: int, at_ms: int, *, closed: bool) -> tuple[int, int, int]:
    """First and last trade id of a bar and their count: a steady number of trades a second."""
    elapsed_ms = step_ms if closed else max(1, min(at_ms - bar.open_ms, step_ms))
    first = int(bar.open_ms * _TRADES_PER_MS)
    trades = max(1, int(elapsed_ms * _TRADES_PER_MS))
    return first, first + trades - 1, trades


def _taker_quote(bar: Bar) -> float:
    return bar.quote_volume * bar.taker_volume / bar.volume if bar.volume > 0 else 0.0

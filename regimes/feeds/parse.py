"""Raw frames and REST rows of exchanges to observations. Pure and strict: what is not right is a DataError.

Exchanges send prices and quantities as decimal strings and times as integers (ms); nothing else is taken.
Every error names the field, the rule and the value.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from regimes.errors import DataError
from regimes.feeds import fields
from regimes.feeds.fields import Frame
from regimes.feeds.symbols import in_dollars
from regimes.observations import (
    BookDepth,
    Candle,
    FundingRate,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
)
from regimes.timeframe import to_ms

SymbolOf: TypeAlias = Callable[[str], str]
_HUGE_USD: Final = 1e12


def event_time(frame: Frame) -> int | None:
    """The exchange's own time of sending (`E`), None where a frame has none."""
    value = frame.get("E")
    return value if type(value) is int and fields.FIRST_MS < value < fields.LAST_MS else None


def liquidation(frame: Frame, *, venue: str, symbol_of: SymbolOf) -> Liquidation | None:
    """Read Binance's forceOrder: quantity filled in all (`z`) at the average price (`ap`, or `p` while that is 0).

    The side is the order's: SELL closes a long. None for a market that is not quoted in dollars.
    """
    order = fields.part(frame, "o", "forceOrder")
    where = "forceOrder.o"
    side = order.get("S")
    if side not in ("SELL", "BUY"):
        raise DataError(f"{where}.S must be SELL or BUY (got {fields.shown(side)})")
    symbol = symbol_of(fields.name(order, "s", where))
    quantity = fields.decimal(order, "z", where, fields.POSITIVE)
    price = fields.decimal(order, "ap", where, fields.NOT_NEGATIVE) or fields.decimal(
        order, "p", where, fields.POSITIVE
    )
    return dollar_liquidation(
        fields.time_ms(order, "T", where),
        venue,
        symbol,
        "long" if side == "SELL" else "short",
        price,
        quantity,
    )


def dollar_liquidation(
    ts_ms: int, venue: str, symbol: str, closed: Side, price: float, quantity: float
) -> Liquidation | None:
    """Put a forced order together, if its market is quoted in dollars."""
    if not in_dollars(symbol):
        return None
    usd = price * quantity
    if usd >= _HUGE_USD:
        raise DataError(f"{venue} liquidation of {symbol}: price * quantity must be < 1e12 USD (got {usd:g})")
    return Liquidation(ts_ms, venue, symbol, closed, price, quantity, usd)


def candle(frame: Frame, *, venue: str, symbol_of: SymbolOf) -> Candle:
    """Read Binance's kline event; `closed` is its flag `x`."""
    bar = fields.part(frame, "k", "kline")
    where = "kline.k"
    closed = bar.get("x")
    if type(closed) is not bool:
        raise DataError(f"{where}.x must be true or false (got {fields.shown(closed)})")
    return Candle(
        venue=venue,
        symbol=symbol_of(fields.name(bar, "s", where)),
        timeframe=fields.name(bar, "i", where),
        open_ms=fields.time_ms(bar, "t", where),
        open=fields.decimal(bar, "o", where, fields.POSITIVE),
        high=fields.decimal(bar, "h", where, fields.POSITIVE),
        low=fields.decimal(bar, "l", where, fields.POSITIVE),
        close=fields.decimal(bar, "c", where, fields.POSITIVE),
        base_volume=fields.decimal(bar, "v", where, fields.NOT_NEGATIVE),
        quote_volume=fields.decimal(bar, "q", where, fields.NOT_NEGATIVE),
        taker_buy_volume=fields.decimal(bar, "V", where, fields.NOT_NEGATIVE),
        closed=closed,
    )


def mark_price(frame: Frame, *, venue: str, symbol_of: SymbolOf) -> MarkPrice:
    """Read Binance's markPriceUpdate; dated futures have no funding (`r` empty, `T` 0)."""
    where = "markPriceUpdate"
    funded = bool(frame.get("T")) and frame.get("r") != ""
    return MarkPrice(
        ts_ms=fields.time_ms(frame, "E", where),
        venue=venue,
        symbol=symbol_of(fields.name(frame, "s", where)),
        mark_price=fields.decimal(frame, "p", where, fields.POSITIVE),
        index_price=fields.decimal(frame, "i", where, fields.NOT_NEGATIVE) or None,
        predicted_rate=fields.rate(frame, "r", where) if funded else None,
        next_funding_ms=fields.time_ms(frame, "T", where) if funded else None,
    )


_ROW: Final = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V")


def rest_candle(row: Sequence[Any], *, venue: str, symbol: str, timeframe: str, now_ms: int) -> Candle:
    """Read one row of Binance's klines. It is closed when its end lies at or before `now_ms`."""
    if not isinstance(row, list) or len(row) < len(_ROW):
        raise DataError(f"klines row must be a list of >= {len(_ROW)} values (got {fields.shown(row)})")
    bar = dict(zip(_ROW, row, strict=False))
    where = "klines"
    open_ms = fields.time_ms(bar, "t", where)
    return Candle(
        venue=venue,
        symbol=symbol,
        timeframe=timeframe,
        open_ms=open_ms,
        open=fields.decimal(bar, "o", where, fields.POSITIVE),
        high=fields.decimal(bar, "h", where, fields.POSITIVE),
        low=fields.decimal(bar, "l", where, fields.POSITIVE),
        close=fields.decimal(bar, "c", where, fields.POSITIVE),
        base_volume=fields.decimal(bar, "v", where, fields.NOT_NEGATIVE),
        quote_volume=fields.decimal(bar, "q", where, fields.NOT_NEGATIVE),
        taker_buy_volume=fields.decimal(bar, "V", where, fields.NOT_NEGATIVE),
        closed=open_ms + to_ms(timeframe) <= now_ms,
    )


def rest_settlement(row: object) -> tuple[str, int, float]:
    """Read one row of Binance's fundingRate: market id, time (ms), settled rate (fraction)."""
    where = "fundingRate"
    record = fields.record(row, where)
    return (
        fields.name(record, "symbol", where),
        fields.time_ms(record, "fundingTime", where),
        fields.rate(record, "fundingRate", where),
    )


def settled(ts_ms: int, rate: float, *, venue: str, symbol: str, interval_hours: float) -> FundingRate:
    """Put a settlement and the interval it was for together."""
    return FundingRate(ts_ms=ts_ms, venue=venue, symbol=symbol, rate=rate, interval_hours=interval_hours)


def rest_interval(row: object) -> tuple[str, float]:
    """Read one row of Binance's fundingInfo: market id, hours between settlements."""
    where = "fundingInfo"
    record = fields.record(row, where)
    hours = record.get("fundingIntervalHours")
    if type(hours) is not int or not 0 < hours <= 24:
        raise DataError(
            f"{where}.fundingIntervalHours must be a whole number of 1 to 24 (got {fields.shown(hours)})"
        )
    return fields.name(record, "symbol", where), float(hours)


def rest_open_interest(row: object, *, venue: str, symbol: str, mark: float | None) -> OpenInterest:
    """Read Binance's openInterest (base asset); its notional needs a mark price."""
    where = "openInterest"
    record = fields.record(row, where)
    quantity = fields.decimal(record, "openInterest", where, fields.NOT_NEGATIVE)
    return OpenInterest(
        ts_ms=fields.time_ms(record, "time", where),
        venue=venue,
        symbol=symbol,
        base_qty=quantity,
        notional_usd=None if mark is None or not in_dollars(symbol) else quantity * mark,
    )


def rest_depth(row: object, *, venue: str, symbol: str, now_ms: int) -> BookDepth:
    """Read Binance's depth snapshot; spot ones have no time of their own and take `now_ms`."""
    where = "depth"
    record = fields.record(row, where)
    sent = event_time(record)
    return BookDepth(
        ts_ms=now_ms if sent is None else sent,
        venue=venue,
        symbol=symbol,
        bids=_levels(record, "bids", where),
        asks=_levels(record, "asks", where),
    )


def _levels(record: Frame, field: str, where: str) -> tuple[tuple[float, float], ...]:
    levels: list[tuple[float, float]] = []
    for level in fields.rows(record, field, where):
        if not isinstance(level, list) or len(level) < 2:
            raise DataError(f"{where}.{field} must hold [price, quantity] pairs (got {fields.shown(level)})")
        pair = {"price": level[0], "quantity": level[1]}
        levels.append(
            (
                fields.decimal(pair, "price", where, fields.POSITIVE),
                fields.decimal(pair, "quantity", where, fields.NOT_NEGATIVE),
            )
        )
    return tuple(levels)


def rest_time(row: object) -> int:
    """Read an exchange's clock (`serverTime`, ms)."""
    return fields.time_ms(fields.record(row, "time"), "serverTime", "time")


def bybit_liquidations(frame: Frame, *, symbol_of: SymbolOf) -> Sequence[Liquidation]:
    """Read Bybit's allLiquidation. The side is the position's: `Buy` means a long was closed."""
    found: list[Liquidation | None] = []
    for row in fields.rows(frame, "data", "allLiquidation"):
        where = "allLiquidation.data"
        record = fields.record(row, where)
        side = record.get("S")
        if side not in ("Buy", "Sell"):
            raise DataError(f"{where}.S must be Buy or Sell (got {fields.shown(side)})")
        found.append(
            dollar_liquidation(
                fields.time_ms(record, "T", where),
                "bybit",
                symbol_of(fields.name(record, "s", where)),
                "long" if side == "Buy" else "short",
                fields.decimal(record, "p", where, fields.POSITIVE),
                fields.decimal(record, "v", where, fields.POSITIVE),
            )
        )
    return [entry for entry in found if entry is not None]


def okx_liquidations(frame: Frame, *, contract_size: Callable[[str], float]) -> Sequence[Liquidation]:
    """Read OKX's liquidation-orders, every entry of `details`. Sizes are contracts.

    contract_size: base asset in one contract, by instrument id such as `BTC-USDT-SWAP`.
    """
    found: list[Liquidation | None] = []
    for row in fields.rows(frame, "data", "liquidation-orders"):
        where = "liquidation-orders.data"
        record = fields.record(row, where)
        instrument = fields.name(record, "instId", where)
        base, _, rest = instrument.partition("-")
        symbol = f"{base}/{rest.partition('-')[0]}"
        size = contract_size(instrument)
        details = fields.rows(record, "details", where)
        found.extend(
            _okx_detail(fields.record(detail, f"{where}.details"), symbol, size) for detail in details
        )
    return [entry for entry in found if entry is not None]


def _okx_detail(detail: Frame, symbol: str, contract_size: float) -> Liquidation | None:
    where = "liquidation-orders.details"
    side, position = detail.get("side"), detail.get("posSide")
    if side not in ("sell", "buy") or position not in ("long", "short", "net"):
        raise DataError(
            f"{where} must have side sell or buy and posSide long, short or net (got {fields.shown(detail)})"
        )
    closed: Side = "long" if side == "sell" else "short"
    text = detail.get("ts")
    moment = (
        int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 16 else text
    )
    return dollar_liquidation(
        fields.time_ms({"ts": moment}, "ts", where),
        "okx",
        symbol,
        closed,
        fields.decimal(detail, "bkPx", where, fields.POSITIVE),
        fields.decimal(detail, "sz", where, fields.POSITIVE) * contract_size,
    )

"""Raw frames and REST rows of exchanges to observations. Pure and strict: what is not right is a DataError.

Exchanges send prices and quantities as decimal strings and times as integers (ms); nothing else is taken.
Every error names the field, the rule and the value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from regimes.errors import DataError
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

Frame: TypeAlias = Mapping[str, Any]
SymbolOf: TypeAlias = Callable[[str], str]

_HUGE: Final = 1e15
_POSITIVE: Final = 5e-324
_NOT_NEGATIVE: Final = 0.0
_FRACTION: Final = -1.0
_RULES: Final = {
    _POSITIVE: "> 0 and < 1e15",
    _NOT_NEGATIVE: ">= 0 and < 1e15",
    _FRACTION: "between -1 and 1",
}
# 2010-01-01 and 2100-01-01: no exchange has data outside.
_FIRST_MS: Final = 1_262_304_000_000
_LAST_MS: Final = 4_102_444_800_000
_MAX_ID: Final = 64


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _decimal(record: Frame, field: str, where: str, least: float) -> float:
    """Read a decimal string of at least `least`: one of the keys of _RULES."""
    text = record.get(field)
    if type(text) is str and text.isascii() and "_" not in text:
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            if least <= value < _HUGE:
                return value
    raise DataError(f"{where}.{field} must be a decimal string {_RULES[least]} (got {_shown(text)})")


def _time(record: Frame, field: str, where: str) -> int:
    value = record.get(field)
    if type(value) is int and _FIRST_MS < value < _LAST_MS:
        return value
    raise DataError(f"{where}.{field} must be a time in ms between 2010 and 2100 (got {_shown(value)})")


def _name(record: Frame, field: str, where: str) -> str:
    value = record.get(field)
    if type(value) is str and 0 < len(value) <= _MAX_ID and value.isprintable():
        return value
    raise DataError(f"{where}.{field} must be a name of 1 to {_MAX_ID} characters (got {_shown(value)})")


def _part(record: Frame, field: str, where: str) -> Frame:
    value = record.get(field)
    if isinstance(value, dict):
        return value
    raise DataError(f"{where}.{field} must be an object (got {_shown(value)})")


def _rows(record: Frame, field: str, where: str) -> Sequence[Any]:
    value = record.get(field)
    if isinstance(value, list):
        return value
    raise DataError(f"{where}.{field} must be a list (got {_shown(value)})")


def event_time(frame: Frame) -> int | None:
    """The exchange's own time of sending (`E`), None where a frame has none."""
    value = frame.get("E")
    return value if type(value) is int and _FIRST_MS < value < _LAST_MS else None


def liquidation(frame: Frame, *, venue: str, symbol_of: SymbolOf) -> Liquidation | None:
    """Read Binance's forceOrder: quantity filled in all (`z`) at the average price (`ap`, or `p` while that is 0).

    The side is the order's: SELL closes a long. None for a market that is not quoted in dollars.
    """
    order = _part(frame, "o", "forceOrder")
    where = "forceOrder.o"
    side = order.get("S")
    if side not in {"SELL", "BUY"}:
        raise DataError(f"{where}.S must be SELL or BUY (got {_shown(side)})")
    symbol = symbol_of(_name(order, "s", where))
    quantity = _decimal(order, "z", where, _POSITIVE)
    price = _decimal(order, "ap", where, _NOT_NEGATIVE) or _decimal(order, "p", where, _POSITIVE)
    return _liquidation(
        _time(order, "T", where), venue, symbol, "long" if side == "SELL" else "short", price, quantity
    )


def _liquidation(
    ts_ms: int, venue: str, symbol: str, closed: Side, price: float, quantity: float
) -> Liquidation | None:
    if not in_dollars(symbol):
        return None
    return Liquidation(ts_ms, venue, symbol, closed, price, quantity, price * quantity)


def candle(frame: Frame, *, venue: str, symbol_of: SymbolOf) -> Candle:
    """Read Binance's kline event; `closed` is its flag `x`."""
    bar = _part(frame, "k", "kline")
    where = "kline.k"
    closed = bar.get("x")
    if type(closed) is not bool:
        raise DataError(f"{where}.x must be true or false (got {_shown(closed)})")
    return Candle(
        venue=venue,
        symbol=symbol_of(_name(bar, "s", where)),
        timeframe=_name(bar, "i", where),
        open_ms=_time(bar, "t", where),
        open=_decimal(bar, "o", where, _POSITIVE),
        high=_decimal(bar, "h", where, _POSITIVE),
        low=_decimal(bar, "l", where, _POSITIVE),
        close=_decimal(bar, "c", where, _POSITIVE),
        base_volume=_decimal(bar, "v", where, _NOT_NEGATIVE),
        quote_volume=_decimal(bar, "q", where, _NOT_NEGATIVE),
        taker_buy_volume=_decimal(bar, "V", where, _NOT_NEGATIVE),
        closed=closed,
    )


def mark_price(frame: Frame, *, venue: str, symbol_of: SymbolOf) -> MarkPrice:
    """Read Binance's markPriceUpdate; dated futures have no funding (`r` empty, `T` 0)."""
    where = "markPriceUpdate"
    funded = bool(frame.get("T")) and frame.get("r") != ""
    return MarkPrice(
        ts_ms=_time(frame, "E", where),
        venue=venue,
        symbol=symbol_of(_name(frame, "s", where)),
        mark_price=_decimal(frame, "p", where, _POSITIVE),
        index_price=_decimal(frame, "i", where, _NOT_NEGATIVE) or None,
        predicted_rate=_rate(frame, "r", where) if funded else None,
        next_funding_ms=_time(frame, "T", where) if funded else None,
    )


def _rate(record: Frame, field: str, where: str) -> float:
    value = _decimal(record, field, where, _FRACTION)
    if value > 1.0:
        raise DataError(
            f"{where}.{field} must be a decimal string {_RULES[_FRACTION]} (got {_shown(record[field])})"
        )
    return value


_ROW: Final = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V")


def rest_candle(row: Sequence[Any], *, venue: str, symbol: str, timeframe: str, now_ms: int) -> Candle:
    """Read one row of Binance's klines. It is closed when its end lies at or before `now_ms`."""
    if not isinstance(row, list) or len(row) < len(_ROW):
        raise DataError(f"klines row must be a list of >= {len(_ROW)} values (got {_shown(row)})")
    bar = dict(zip(_ROW, row, strict=False))
    where = "klines"
    open_ms = _time(bar, "t", where)
    return Candle(
        venue=venue,
        symbol=symbol,
        timeframe=timeframe,
        open_ms=open_ms,
        open=_decimal(bar, "o", where, _POSITIVE),
        high=_decimal(bar, "h", where, _POSITIVE),
        low=_decimal(bar, "l", where, _POSITIVE),
        close=_decimal(bar, "c", where, _POSITIVE),
        base_volume=_decimal(bar, "v", where, _NOT_NEGATIVE),
        quote_volume=_decimal(bar, "q", where, _NOT_NEGATIVE),
        taker_buy_volume=_decimal(bar, "V", where, _NOT_NEGATIVE),
        closed=open_ms + to_ms(timeframe) <= now_ms,
    )


def rest_settlement(row: object) -> tuple[str, int, float]:
    """Read one row of Binance's fundingRate: market id, time (ms), settled rate (fraction)."""
    where = "fundingRate"
    record = _record(row, where)
    return (
        _name(record, "symbol", where),
        _time(record, "fundingTime", where),
        _rate(record, "fundingRate", where),
    )


def settled(ts_ms: int, rate: float, *, venue: str, symbol: str, interval_hours: float) -> FundingRate:
    """Put a settlement and the interval it was for together."""
    return FundingRate(ts_ms=ts_ms, venue=venue, symbol=symbol, rate=rate, interval_hours=interval_hours)


def rest_interval(row: object) -> tuple[str, float]:
    """Read one row of Binance's fundingInfo: market id, hours between settlements."""
    where = "fundingInfo"
    record = _record(row, where)
    hours = record.get("fundingIntervalHours")
    if type(hours) is not int or not 0 < hours <= 24:
        raise DataError(
            f"{where}.fundingIntervalHours must be a whole number of 1 to 24 (got {_shown(hours)})"
        )
    return _name(record, "symbol", where), float(hours)


def rest_open_interest(row: object, *, venue: str, symbol: str, mark: float | None) -> OpenInterest:
    """Read Binance's openInterest (base asset); its notional needs a mark price."""
    where = "openInterest"
    record = _record(row, where)
    quantity = _decimal(record, "openInterest", where, _NOT_NEGATIVE)
    return OpenInterest(
        ts_ms=_time(record, "time", where),
        venue=venue,
        symbol=symbol,
        base_qty=quantity,
        notional_usd=None if mark is None or not in_dollars(symbol) else quantity * mark,
    )


def rest_depth(row: object, *, venue: str, symbol: str, now_ms: int) -> BookDepth:
    """Read Binance's depth snapshot; spot ones have no time of their own and take `now_ms`."""
    where = "depth"
    record = _record(row, where)
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
    for level in _rows(record, field, where):
        if not isinstance(level, list) or len(level) < 2:
            raise DataError(f"{where}.{field} must hold [price, quantity] pairs (got {_shown(level)})")
        pair = {"price": level[0], "quantity": level[1]}
        levels.append(
            (_decimal(pair, "price", where, _POSITIVE), _decimal(pair, "quantity", where, _NOT_NEGATIVE))
        )
    return tuple(levels)


def rest_time(row: object) -> int:
    """Read an exchange's clock (`serverTime`, ms)."""
    return _time(_record(row, "time"), "serverTime", "time")


def _record(row: object, where: str) -> Frame:
    if isinstance(row, dict):
        return row
    raise DataError(f"{where} must be an object (got {_shown(row)})")


def bybit_liquidations(frame: Frame, *, symbol_of: SymbolOf) -> Sequence[Liquidation]:
    """Read Bybit's allLiquidation. The side is the position's: `Buy` means a long was closed."""
    found: list[Liquidation | None] = []
    for row in _rows(frame, "data", "allLiquidation"):
        where = "allLiquidation.data"
        record = _record(row, where)
        side = record.get("S")
        if side not in {"Buy", "Sell"}:
            raise DataError(f"{where}.S must be Buy or Sell (got {_shown(side)})")
        found.append(
            _liquidation(
                _time(record, "T", where),
                "bybit",
                symbol_of(_name(record, "s", where)),
                "long" if side == "Buy" else "short",
                _decimal(record, "p", where, _POSITIVE),
                _decimal(record, "v", where, _POSITIVE),
            )
        )
    return [entry for entry in found if entry is not None]


def okx_liquidations(frame: Frame, *, contract_size: Callable[[str], float]) -> Sequence[Liquidation]:
    """Read OKX's liquidation-orders, every entry of `details`. Sizes are contracts.

    contract_size: base asset in one contract, by instrument id such as `BTC-USDT-SWAP`.
    """
    found: list[Liquidation | None] = []
    for row in _rows(frame, "data", "liquidation-orders"):
        where = "liquidation-orders.data"
        record = _record(row, where)
        instrument = _name(record, "instId", where)
        base, _, rest = instrument.partition("-")
        symbol = f"{base}/{rest.partition('-')[0]}"
        size = contract_size(instrument)
        details = _rows(record, "details", where)
        found.extend(_okx_detail(_record(detail, f"{where}.details"), symbol, size) for detail in details)
    return [entry for entry in found if entry is not None]


def _okx_detail(detail: Frame, symbol: str, contract_size: float) -> Liquidation | None:
    where = "liquidation-orders.details"
    side, position = detail.get("side"), detail.get("posSide")
    if side not in {"sell", "buy"} or position not in {"long", "short", "net"}:
        raise DataError(
            f"{where} must have side sell or buy and posSide long, short or net (got {_shown(detail)})"
        )
    closed: Side = "long" if side == "sell" else "short"
    text = detail.get("ts")
    moment = (
        int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 16 else text
    )
    return _liquidation(
        _time({"ts": moment}, "ts", where),
        "okx",
        symbol,
        closed,
        _decimal(detail, "bkPx", where, _POSITIVE),
        _decimal(detail, "sz", where, _POSITIVE) * contract_size,
    )

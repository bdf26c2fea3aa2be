"""Frames that no exchange should send, and some do: each by the name of what is wrong with it."""

from typing import Final, NamedTuple

from regimes.feeds.simulator.connections import websocket_frame


class Malformed(NamedTuple):
    """Payload of a broken frame. `binary` sends it as a binary message."""

    payload: bytes
    binary: bool = False


def _force_order(
    qty: str = '"1"', price: str = '"100"', side: str = '"SELL"', ts: str = "1700000000000"
) -> bytes:
    return (
        f'{{"e":"forceOrder","E":1700000001000,"o":{{"s":"BTCUSDT","S":{side},"o":"LIMIT","f":"IOC","q":{qty},'
        f'"p":{price},"ap":{price},"X":"FILLED","l":{qty},"z":{qty},"T":{ts}}}}}'
    ).encode()


def _kline(close: str, *, high: str = '"101"') -> bytes:
    return (
        '{"e":"kline","E":1700000001000,"s":"BTCUSDT","k":{"t":1699999200000,"T":1700002799999,"s":"BTCUSDT",'
        f'"i":"1h","f":1,"L":2,"o":"100","c":{close},"h":{high},"l":"99","v":"1","n":2,"x":true,"q":"100","V":"1",'
        '"Q":"100","B":"0"}}'
    ).encode()


MALFORMED: Final = {
    "broken-json": Malformed(b'{"e":"forceOrder","E":17000'),
    "empty": Malformed(b""),
    "not-json": Malformed(b"upstream connect error"),
    "null": Malformed(b"null"),
    "number": Malformed(b"42"),
    "empty-object": Malformed(b"{}"),
    "empty-array": Malformed(b"[]"),
    "array-of-nulls": Malformed(b"[null,null]"),
    "unknown-event": Malformed(b'{"e":"somethingNew","E":1700000000000,"s":"BTCUSDT"}'),
    "missing-order": Malformed(b'{"e":"forceOrder","E":1700000000000}'),
    "missing-keys": Malformed(b'{"e":"forceOrder","E":1700000000000,"o":{"s":"BTCUSDT"}}'),
    "order-is-text": Malformed(b'{"e":"forceOrder","E":1700000000000,"o":"BTCUSDT"}'),
    "nan": Malformed(_force_order(price='"NaN"')),
    "infinite": Malformed(_force_order(qty='"Infinity"')),
    "negative": Malformed(_force_order(qty='"-5"')),
    "zero": Malformed(_force_order(price='"0"')),
    "huge": Malformed(_force_order(qty='"1e308"', price='"1e308"')),
    "text-for-number": Malformed(_force_order(price='"cheap"')),
    "null-for-number": Malformed(_force_order(price="null")),
    "unknown-side": Malformed(_force_order(side='"HOLD"')),
    "far-future": Malformed(_force_order(ts="99999999999999")),
    "kline-nan": Malformed(_kline('"NaN"')),
    "kline-negative": Malformed(_kline('"-1"')),
    "kline-high-below-low": Malformed(_kline('"100"', high='"1"')),
    "kline-missing-bar": Malformed(b'{"e":"kline","E":1700000000000,"s":"BTCUSDT"}'),
    "mark-null": Malformed(
        b'{"e":"markPriceUpdate","E":1700000000000,"s":"BTCUSDT","p":null,"r":"","T":null}'
    ),
    "deep": Malformed(b"[" * 500 + b"]" * 500),
    "binary": Malformed(bytes(range(256)), binary=True),
    "binary-json": Malformed(b'{"e":"somethingNew"}', binary=True),
    "invalid-utf8": Malformed(b'{"e":"\xff\xfe"}', binary=True),
}


def malformed_frame(name: str) -> bytes:
    """The websocket frame of one of `MALFORMED`. Raises KeyError for another name."""
    broken = MALFORMED[name]
    return websocket_frame(broken.payload, binary=broken.binary)

"""A block of the tape: a head with checksums, and compressed records. Each can be read without any other.

```
"RTP" version | run u64 | segment began ms i64 | number u64 | numbers u32 | records u32
| first ms i64 | last ms i64 | bytes u32 | crc32 of the bytes u32 | crc32 of the head u32 | bytes
```
"""

import struct
import zlib
from typing import Final, NamedTuple

import msgspec

from regimes.errors import DataError
from regimes.observations import DataKind, Observation

MAGIC: Final = b"RTP\x01"
LARGEST: Final = 64 * 1024 * 1024
"""No block is larger; a head that says so is damaged."""
_HEAD: Final = struct.Struct("<4sQqQIIqqII")
_CRC: Final = struct.Struct("<I")
HEAD_BYTES: Final = _HEAD.size + _CRC.size
# Part of the format: what frames and records have in common, so that blocks of a few records are small too.
_COMMON: Final = (
    b"\xa4type\xaaopen_interest\xa5depth\xa8feed_gap\xabunavailable\xa4tick\xa5ts_ms\xcf\x00\x00\x01\x94\xa7funding"
    b"\xaamark_price\xa5venue\xabbinanceusdm\xa6symbol\xa8ETH/USDT\xa8SOL/USDT\xa8BTC/USDT\xabindex_price"
    b"\xaepredicted_rate\xafnext_funding_ms\xa6candle\xa9timeframe\xa21h\xa7open_ms\xa4open\xa4high\xa3low\xa5close"
    b"\xabbase_volume\xacquote_volume\xb0taker_buy_volume\xa6closed"
    b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":17,"s":"BTCUSDT","p":"102000.00000000",'
    b'"ap":"102000.00000000","P":"102000.00000000","i":"102000.00000000","r":"0.00010000","T":17}}'
    b'{"stream":"btcusdt@kline_1h","data":{"e":"kline","E":17,"s":"BTCUSDT","k":{"t":17,"T":17,"s":"BTCUSDT","i":"1h",'
    b'"f":1,"L":2,"o":"102000.00","c":"102000.00","h":"102000.00","l":"102000.00","v":"1.000","n":1,"x":false,'
    b'"q":"1.00","V":"1.000","Q":"1.00","B":"0"}}}'
    b"\x84\xa4type\xabliquidation\xa5ts_ms\xcf\x00\x00\x01\x94\xa5venue\xabbinanceusdm\xa6symbol\xa8BTC/USDT"
    b"\xa6closed\xa5short\xa6closed\xa4long\xaafill_price\xcb\xa8base_qty\xcb\xa9quote_usd\xcb"
    b'{"e":"forceOrder","E":17,"o":{"s":"BTCUSDT","S":"BUY","o":"LIMIT","f":"IOC","q":"1.000","p":"102000.00",'
    b'"ap":"102000.00","X":"FILLED","l":"1.000","z":"1.000","T":17,"ps":"BTCUSDT","st":1}}'
    b'{"stream":"!forceOrder@arr","data":{"e":"forceOrder","E":17,"o":{"s":"USDT","S":"SELL","o":"LIMIT","f":"IOC",'
    b'"q":"","p":"","ap":"","X":"FILLED","l":"","z":"","T":17,"ps":"USDT","st":1}}}'
)
_LEVEL: Final = 6


class Meta(msgspec.Struct, frozen=True, array_like=True):
    """What a run records: stands in the first block of each segment.

    version: of the program. symbols: configured spelling. whole: everything the engine was given is on the tape, so that
    a replay gives the same events.
    """

    version: str
    symbols: tuple[str, ...]
    kinds: tuple[DataKind, ...]
    whole: bool


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One observation as it came.

    received_ms: event time of its arrival. frame: the exchange's own text. superseded: the engine never got it, as a
    newer state or a full queue came before.
    """

    received_ms: int
    observation: Observation
    frame: str | None = None
    superseded: bool = False


class Page(msgspec.Struct, frozen=True, array_like=True):
    """What is inside a block. dropped: how many observations before it were not recorded, as the disk was too slow."""

    records: list[Record]
    meta: Meta | None = None
    dropped: int = 0


class Head(NamedTuple):
    """What stands before a block's bytes.

    run: a number of the process that recorded it. segment_ms: when its segment was begun. number: its place in the run;
    a block that was made of several has `numbers` places. first_ms, last_ms: receive times.
    """

    run: int
    segment_ms: int
    number: int
    numbers: int
    records: int
    first_ms: int
    last_ms: int
    size: int
    crc: int


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Page)


def pack(page: Page, *, run: int, segment_ms: int, number: int, numbers: int = 1) -> bytes:
    """A block of at least one record, head and bytes. Raises ValueError for one that is too large."""
    squeeze = zlib.compressobj(_LEVEL, zdict=_COMMON)
    body = squeeze.compress(_encoder.encode(page)) + squeeze.flush()
    if len(body) > LARGEST:
        raise ValueError(f"a block must be at most {LARGEST} bytes (got {len(body)})")
    times = [record.received_ms for record in page.records]
    head = _HEAD.pack(
        MAGIC,
        run,
        segment_ms,
        number,
        numbers,
        len(page.records),
        min(times),
        max(times),
        len(body),
        zlib.crc32(body),
    )
    return head + _CRC.pack(zlib.crc32(head)) + body


def unpack_head(data: bytes) -> Head | None:
    """The head at the beginning of `data`; None where there is none, or it is damaged."""
    if len(data) < HEAD_BYTES or data[:4] != MAGIC:
        return None
    if zlib.crc32(data[: _HEAD.size]) != _CRC.unpack_from(data, _HEAD.size)[0]:
        return None
    head = Head(*_HEAD.unpack_from(data)[1:])
    return head if 0 < head.size <= LARGEST else None


def unpack(head: Head, body: bytes) -> Page:
    """The records of a block. Raises DataError for bytes that are not those that were written."""
    if len(body) != head.size or zlib.crc32(body) != head.crc:
        raise DataError("the checksum does not fit")
    try:
        return _decoder.decode(zlib.decompressobj(zdict=_COMMON).decompress(body))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise DataError(f"not readable ({error})") from error

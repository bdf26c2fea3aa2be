"""What else comes from outside: answers of the exchange, configuration files, and tapes."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from regimes.config import load
from regimes.config.sources import shipped_config
from regimes.errors import ConfigError, DataError
from regimes.feeds import parse
from regimes.history.tape.block import Meta, Page, Record, pack
from regimes.history.tape.scan import Damage, read, scan
from regimes.observations import Liquidation

NOW_MS: Final = 1_736_121_600_000
_BLOCKS: Final = 4

KLINE: Final = b'[1736118000000,"100","101","99","100.5","10",1736121599999,"1000",42,"5","500","0"]'
ROWS: Final[Sequence[tuple[bytes, Callable[[Any], object]]]] = (
    (
        KLINE,
        lambda row: parse.rest_candle(row, venue="v", symbol="BTC/USDT", timeframe="1h", now_ms=NOW_MS),
    ),
    (b'{"symbol":"BTCUSDT","fundingTime":1736121600000,"fundingRate":"0.0001"}', parse.rest_settlement),
    (b'{"symbol":"BTCUSDT","fundingIntervalHours":8}', parse.rest_interval),
    (
        b'{"symbol":"BTCUSDT","openInterest":"1000.5","time":1736121600000}',
        lambda row: parse.rest_open_interest(row, venue="v", symbol="BTC/USDT", mark=100.0),
    ),
    (
        b'{"lastUpdateId":1,"E":1736121600000,"T":1736121600000,"bids":[["99","1"],["98","2"]],"asks":[["101","1"]]}',
        lambda row: parse.rest_depth(row, venue="v", symbol="BTC/USDT", now_ms=NOW_MS),
    ),
    (b'{"serverTime":1736121600000}', parse.rest_time),
)


class RestTarget:
    """Each JSON value as each kind of row."""

    samples: Sequence[bytes] = tuple(sample for sample, _ in ROWS)

    def __call__(self, data: bytes) -> None:
        try:
            row = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        for _, take in ROWS:
            try:
                take(row)
            except DataError:
                continue


class ConfigTarget:
    """A file of settings: read, or refused in words."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "fuzz.toml"
        self._folder = folder
        text = shipped_config().read_text()
        # Every key, as the file itself shows it.
        lines = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
        whole = "\n".join(line for line in lines if not line.startswith("#"))
        self.samples: Sequence[bytes] = [
            whole.encode(),
            *(b"[" + part.encode() for part in whole.split("\n[")[1:]),
            b'symbols = ["BTC/USDT"]\ntimeframes = ["1h"]\n',
        ]

    def __call__(self, data: bytes) -> None:
        self._file.write_bytes(data)
        try:
            load(self._file, environ={}, folder=self._folder)
        except ConfigError as error:
            if not str(error).strip():
                raise AssertionError("a refusal without a word") from error


class TapeTarget:
    """A segment: every byte is part of a block that can be read, or named as damage."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "fuzz.tape"
        blocks = [_block(number) for number in range(_BLOCKS)]
        self.samples: Sequence[bytes] = [b"".join(blocks), *blocks]

    def __call__(self, data: bytes) -> None:
        self._file.write_bytes(data)
        damage: list[Damage] = []
        told = 0
        for place in scan(self._file, damage):
            told += place.head.size
            try:
                read(place)
            except DataError:
                continue
        heads = sum(piece.size for piece in damage)
        if told + heads > len(data):
            raise AssertionError(f"{told} bytes in blocks and {heads} of damage in a file of {len(data)}")


def _block(number: int) -> bytes:
    order = Liquidation(NOW_MS + number, "binanceusdm", "BTC/USDT", "long", 100.0, 1.0, 100.0)
    meta = Meta("1", ("BTC/USDT",), ("liquidation",), whole=True)
    return pack(Page([Record(NOW_MS, order, "{}")], meta), run=7, segment_ms=NOW_MS, number=number)


def in_folder() -> "tempfile.TemporaryDirectory[str]":
    """Where the files of a run lie."""
    return tempfile.TemporaryDirectory(prefix="regimes-fuzz-")

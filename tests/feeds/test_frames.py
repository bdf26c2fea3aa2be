"""Frames read straight into records: only what the readers of all frames take, and the same of it."""

from itertools import product
from typing import Any

import msgspec
import pytest

from bench.fuzz.frames import VENUE, as_parsed
from regimes.errors import DataError
from regimes.feeds import frames
from regimes.feeds.symbols import SymbolMap
from tests.feeds.test_parse import FORCE_ORDER, KLINE, MARK, changed

SYMBOLS = SymbolMap({"BTCUSDT": "BTC/USDT", "ETHBTC": "ETH/BTC"})
STREAM = {"stream": "btcusdt@kline_1h"}
USUAL: list[Any] = [
    FORCE_ORDER,
    changed(FORCE_ORDER, "o.S", "BUY"),
    changed(FORCE_ORDER, "o.ap", "0"),
    changed(FORCE_ORDER, "o.s", "ETHBTC"),
    changed(FORCE_ORDER, "o.new", {"a": [1]}),
    KLINE,
    changed(KLINE, "k.x", False),
    changed(KLINE, "k.v", "0"),
    MARK,
    changed(MARK, "i", "0"),
    changed(MARK, "r", "-0.00375"),
    [MARK, changed(MARK, "p", "1.5")],
]
ODD: list[Any] = [
    *(
        "NaN",
        "Infinity",
        "-1",
        "-0",
        "0",
        "1e15",
        "1e400",
        "0x10",
        "",
        " ",
        " 1 ",
        "1_0",
        "\uff11",
        "+1",
        "1e3",
    ),
    *(None, True, 0, 1, 1.5, -1, 1791565602120.0, 99999999999999, [], {}, {"e": "kline"}),
    *("X" * 65, "BTC\nUSDT", "ETHUSDT", "BTCUSDT_261225", "4h", "SELL", "HOLD", ...),
]
PLACES = [
    *(
        (FORCE_ORDER, path)
        for path in ("e", "E", "o", "data", *(f"o.{name}" for name in ("s", "S", "p", "ap", "z", "T")))
    ),
    *((KLINE, path) for path in ("e", "E", "k", "data", *(f"k.{name}" for name in "tsiohlcvqVx"))),
    *((MARK, path) for path in (*MARK, "data")),
]


def text(event: Any) -> str:
    return msgspec.json.encode(event).decode()


def quickly(frame: str | bytes) -> Any:
    return frames.read(frame, VENUE, SYMBOLS.by_id, ("1h",))


@pytest.mark.parametrize("event", USUAL, ids=repr)
@pytest.mark.parametrize("stream", [{}, STREAM], ids=["alone", "combined"])
def test_usual_frames_are_read_as_all_frames_are(event: Any, stream: dict[str, str]) -> None:
    frame = text({**stream, "data": event} if stream else event)
    assert repr(quickly(frame)) == repr(as_parsed(frame, SYMBOLS))


@pytest.mark.parametrize(("event", "path"), PLACES, ids=[f"{event['e']} {path}" for event, path in PLACES])
def test_an_odd_value_is_read_as_in_all_frames_or_left_to_who_says_what_is_wrong(
    event: dict[str, Any], path: str
) -> None:
    whole = {**event, "data": None} if path == "data" else event
    for value, stream in product(ODD, ({}, STREAM)):
        odd = changed(whole, path, value)
        frame = text({**stream, "data": odd} if stream else odd)
        try:
            found = quickly(frame)
        except frames.UNUSUAL:
            continue
        assert repr(found) == repr(as_parsed(frame, SYMBOLS)), frame


@pytest.mark.parametrize(
    "frame",
    [
        text(FORCE_ORDER).replace("0.190", "\\u0030.190"),
        text(FORCE_ORDER).replace("82651.90", "82_651.90"),
        text({**STREAM, "data": changed(KLINE, "k.o", "84_550.20")}),
        text(MARK).replace("84551", "\uff18\uff14551"),
        text(FORCE_ORDER).encode(),
        text({"stream": "x", "data": None}),
        text({"result": None, "id": 1}),
        text({**MARK, "e": "aggTrade"}),
        text([MARK, FORCE_ORDER]),
        text(FORCE_ORDER)[:-1],
        text(FORCE_ORDER) + "x",
        "",
        "{",
        "7",
    ],
    ids=repr,
)
def test_what_may_be_wrong_is_left_alone(frame: str | bytes) -> None:
    with pytest.raises(frames.UNUSUAL):
        quickly(frame)


def test_an_amount_no_order_can_have_is_left_alone() -> None:
    with pytest.raises(DataError, match="1e12 USD"):
        quickly(text(changed(FORCE_ORDER, "o.z", "90000000000000")))

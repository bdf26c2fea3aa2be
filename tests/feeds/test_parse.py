"""Raw frames to observations: every recorded one, and everything that can be wrong with one."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from regimes.errors import DataError
from regimes.feeds import parse
from regimes.feeds.symbols import SymbolMap, guess_symbol
from regimes.observations import Candle, Liquidation, MarkPrice

FORCE_ORDER = {
    "e": "forceOrder",
    "E": 1791565603055,
    "o": {
        "s": "BTCUSDT",
        "S": "SELL",
        "o": "LIMIT",
        "f": "IOC",
        "q": "0.190",
        "p": "82338.30",
        "ap": "82651.90",
        "X": "FILLED",
        "l": "0.155",
        "z": "0.190",
        "T": 1791565602120,
    },
}
KLINE = {
    "e": "kline",
    "E": 1790526539304,
    "s": "BTCUSDT",
    "k": {
        "t": 1790524800000,
        "T": 1790528399999,
        "s": "BTCUSDT",
        "i": "1h",
        "o": "84550.20",
        "c": "84551.10",
        "h": "84558.90",
        "l": "84536.70",
        "v": "104.194",
        "n": 1483,
        "x": True,
        "q": "8809619.55440",
        "V": "56.811",
    },
}
MARK = {
    "e": "markPriceUpdate",
    "E": 1790526539000,
    "s": "BTCUSDT",
    "p": "84551.10762319",
    "P": "84559.09090930",
    "i": "84590.87304348",
    "r": "0.00000801",
    "T": 1790553600000,
}


def changed(frame: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(frame))
    *parents, last = path.split(".")
    target = copy
    for name in parents:
        target = target[name]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return copy


def read(frame: dict[str, Any]) -> Liquidation | Candle | MarkPrice | None:
    reader = {"forceOrder": parse.liquidation, "kline": parse.candle, "markPriceUpdate": parse.mark_price}[
        frame["e"]
    ]
    return reader(frame, venue="binanceusdm", symbol_of=guess_symbol)


def test_a_forced_sale_closes_a_long_for_all_that_was_filled_at_the_average_price() -> None:
    assert read(FORCE_ORDER) == Liquidation(
        ts_ms=1791565602120,
        venue="binanceusdm",
        symbol="BTC/USDT",
        closed="long",
        fill_price=82651.90,
        base_qty=0.190,
        quote_usd=82651.90 * 0.190,
    )


def test_a_forced_purchase_closes_a_short() -> None:
    found = read(changed(FORCE_ORDER, "o.S", "BUY"))
    assert isinstance(found, Liquidation)
    assert found.closed == "short"


def test_the_bankruptcy_price_stands_in_while_the_average_is_zero() -> None:
    found = read(changed(FORCE_ORDER, "o.ap", "0"))
    assert isinstance(found, Liquidation)
    assert found.fill_price == 82338.30


def test_a_liquidation_not_quoted_in_dollars_is_left_out() -> None:
    assert read(changed(FORCE_ORDER, "o.s", "ETHBTC")) is None


def test_new_fields_in_a_frame_do_no_harm() -> None:
    assert read(changed(FORCE_ORDER, "o.new", {"a": [1]})) == read(FORCE_ORDER)


def test_a_kline_keeps_its_closed_flag_quote_volume_and_taker_volume() -> None:
    found = read(KLINE)
    assert isinstance(found, Candle)
    assert (found.closed, found.quote_volume, found.taker_buy_volume) == (True, 8809619.55440, 56.811)
    assert (found.symbol, found.timeframe, found.open_ms) == ("BTC/USDT", "1h", 1790524800000)
    assert (found.open, found.high, found.low, found.close) == (84550.20, 84558.90, 84536.70, 84551.10)


def test_a_mark_price_carries_the_predicted_rate_and_the_next_funding_time() -> None:
    found = read(MARK)
    assert isinstance(found, MarkPrice)
    assert (found.predicted_rate, found.next_funding_ms) == (0.00000801, 1790553600000)
    assert (found.mark_price, found.index_price) == (84551.10762319, 84590.87304348)


def test_a_dated_future_has_a_mark_price_and_no_funding() -> None:
    found = read(changed(changed(changed(MARK, "r", ""), "T", 0), "s", "BTCUSDT_261225"))
    assert isinstance(found, MarkPrice)
    assert (found.symbol, found.predicted_rate, found.next_funding_ms) == ("BTC/USDT-261225", None, None)


NUMBERS = ["o.z", "o.ap", "k.o", "k.h", "k.l", "k.c", "p"]
WRONG_NUMBERS: list[Any] = [
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "-1",
    "1e308",
    "abc",
    "",
    "1_000",
    "\uff11\uff12",
    None,
    1.5,
    7,
    [],
    {},
    True,
]


def frame_with(path: str) -> dict[str, Any]:
    return {"o": FORCE_ORDER, "k": KLINE}.get(path.partition(".")[0], MARK)


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize("value", [*WRONG_NUMBERS, ...], ids=repr)
def test_a_price_or_quantity_that_is_no_positive_decimal_string_is_named_and_refused(
    path: str, value: Any
) -> None:
    with pytest.raises(DataError) as caught:
        read(changed(frame_with(path), path, value))
    assert f".{path.rpartition('.')[-1]} must be" in str(caught.value)
    assert "got" in str(caught.value)


@pytest.mark.parametrize("path", ["o.z", "k.c", "p"])
def test_zero_is_refused_where_nothing_is_free(path: str) -> None:
    with pytest.raises(DataError, match="> 0"):
        read(changed(frame_with(path), path, "0"))


@pytest.mark.parametrize("path", ["k.v", "k.q", "k.V"])
def test_a_bar_may_have_no_volume_but_not_a_negative_one(path: str) -> None:
    assert read(changed(KLINE, path, "0")) is not None
    with pytest.raises(DataError, match=">= 0"):
        read(changed(KLINE, path, "-0.1"))


@pytest.mark.parametrize(("frame", "path"), [(FORCE_ORDER, "o.T"), (KLINE, "k.t"), (MARK, "E"), (MARK, "T")])
@pytest.mark.parametrize(
    "value", ["1791565602120", 1791565602120.0, -1, 12, 99999999999999, [1], True], ids=repr
)
def test_a_time_that_is_no_integer_of_this_century_is_named_and_refused(
    frame: dict[str, Any], path: str, value: Any
) -> None:
    with pytest.raises(DataError, match=r"must be a time in ms between 2010 and 2100"):
        read(changed(frame, path, value))


@pytest.mark.parametrize(
    ("frame", "path", "value", "rule"),
    [
        (FORCE_ORDER, "o", "BTCUSDT", "must be an object"),
        (FORCE_ORDER, "o", ..., "must be an object"),
        (FORCE_ORDER, "o.S", "HOLD", "must be SELL or BUY"),
        (FORCE_ORDER, "o.S", [], "must be SELL or BUY"),
        (FORCE_ORDER, "o.z", "90000000000000", "must be < 1e12 USD"),
        (FORCE_ORDER, "o.s", "", "must be a name"),
        (FORCE_ORDER, "o.s", "X" * 65, "must be a name"),
        (FORCE_ORDER, "o.s", "BTC\nUSDT", "must be a name"),
        (KLINE, "k.x", "true", "must be true or false"),
        (KLINE, "k", [], "must be an object"),
        (MARK, "r", "1.5", "between -1 and 1"),
        (MARK, "r", "NaN", "must be a decimal string"),
    ],
)
def test_a_frame_of_the_wrong_shape_is_named_and_refused(
    frame: dict[str, Any], path: str, value: Any, rule: str
) -> None:
    with pytest.raises(DataError, match=rule):
        read(changed(frame, path, value))


def test_an_error_shows_only_the_beginning_of_a_huge_value() -> None:
    with pytest.raises(DataError) as caught:
        read(changed(FORCE_ORDER, "o.z", "9" * 100_000))
    assert len(str(caught.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("oskTzpS"), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(event=st.sampled_from([FORCE_ORDER, KLINE, MARK]), part=JSON, whole=st.booleans())
def test_whatever_a_frame_holds_it_is_read_or_refused_as_bad_data(
    event: dict[str, Any], part: Any, *, whole: bool
) -> None:
    inner = next((name for name in ("o", "k") if name in event), None)
    frame = (
        {**event, inner: part}
        if inner and not whole
        else {"e": event["e"], **(part if isinstance(part, dict) else {})}
    )
    try:
        found = read(frame)
    except DataError:
        return
    assert found is None or not isinstance(found, Liquidation) or 0 < found.quote_usd < float("inf")


def recorded(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text().splitlines():
            start = line.find("{")
            if start >= 0:
                yield msgspec.json.decode(line[start:])
    for line in (folder / "liquidation_frames_2026-10.jsonl").read_text().splitlines():
        yield msgspec.json.decode(line)


def test_every_recorded_frame_of_three_exchanges_is_read(data_dir: Path) -> None:
    counts: Counter[str] = Counter()
    symbols = set()
    for message in recorded(data_dir / "frames"):
        if "topic" in message:
            found = parse.bybit_liquidations(message, symbol_of=guess_symbol)
            counts["bybit"] += len(found)
        elif "arg" in message:
            counts["okx"] += len(parse.okx_liquidations(message, contract_size=lambda _: 0.01))
        else:
            frame = message.get("data", message)
            counts[frame.get("e", "bookTicker")] += 1
            if frame.get("e") in {"forceOrder", "kline", "markPriceUpdate"}:
                one = read(frame)
                assert one is not None
                symbols.add(one.symbol)
    known = {"forceOrder", "kline", "markPriceUpdate", "bybit", "okx"}
    unused = {"bookTicker", "aggTrade", "depthUpdate"}
    assert set(counts) == known | unused
    assert all(counts[name] > 0 for name in known)
    assert any(not symbol.isascii() for symbol in symbols)


def test_bybits_side_is_the_positions_own() -> None:
    frame = {
        "topic": "allLiquidation.BTCUSDT",
        "data": [{"T": 1791565600992, "s": "BTCUSDT", "S": "Buy", "v": "0.006", "p": "82396.90"}],
    }
    (found,) = parse.bybit_liquidations(frame, symbol_of=guess_symbol)
    assert (found.venue, found.closed, found.base_qty) == ("bybit", "long", 0.006)


def test_okx_sizes_are_contracts_and_every_detail_counts() -> None:
    detail = {"bkPx": "82655.7", "posSide": "long", "side": "sell", "sz": "8.5", "ts": "1791565600771"}
    other = {**detail, "posSide": "short", "side": "buy", "sz": "2"}
    frame = {"data": [{"details": [detail, other], "instId": "BTC-USDT-SWAP"}]}
    first, second = parse.okx_liquidations(frame, contract_size={"BTC-USDT-SWAP": 0.01}.__getitem__)
    assert (first.symbol, first.closed) == ("BTC/USDT", "long")
    assert (second.closed, second.ts_ms) == ("short", 1791565600771)
    assert (first.base_qty, second.base_qty) == pytest.approx((0.085, 0.02))


@pytest.mark.parametrize("side", ["Hold", None, 1])
def test_other_venues_frames_are_read_as_strictly(side: Any) -> None:
    bybit = {"data": [{"T": 1791565600992, "s": "BTCUSDT", "S": side, "v": "0.006", "p": "82396.90"}]}
    with pytest.raises(DataError, match="must be Buy or Sell"):
        parse.bybit_liquidations(bybit, symbol_of=guess_symbol)
    okx = {
        "data": [
            {
                "instId": "BTC-USDT-SWAP",
                "details": [{"bkPx": "1", "posSide": "long", "side": side, "sz": "1", "ts": "1791565600771"}],
            }
        ]
    }
    with pytest.raises(DataError, match="must have side sell or buy"):
        parse.okx_liquidations(okx, contract_size=lambda _: 1.0)


ROW = [
    1591478520000,
    "0.025",
    "0.026",
    "0.024",
    "0.0255",
    "22.19",
    1591482119999,
    "0.55",
    40,
    "10.9",
    "0.27",
    "0",
]


@pytest.mark.parametrize(
    ("now_ms", "closed"), [(1591478520000 + 3_599_999, False), (1591478520000 + 3_600_000, True)]
)
def test_a_row_of_klines_is_closed_once_its_hour_is_over(now_ms: int, closed: bool) -> None:  # noqa: FBT001
    bar = parse.rest_candle(ROW, venue="binanceus", symbol="ETH/BTC", timeframe="1h", now_ms=now_ms)
    assert bar.closed is closed
    assert (bar.quote_volume, bar.taker_buy_volume) == (0.55, 10.9)


@pytest.mark.parametrize(
    "row", [[], None, "x", {}, ROW[:9], [None, *ROW[1:]], [ROW[0], "NaN", *ROW[2:]]], ids=repr
)
def test_a_row_of_klines_that_is_none_is_refused(row: Any) -> None:
    with pytest.raises(DataError):
        parse.rest_candle(row, venue="binanceus", symbol="ETH/BTC", timeframe="1h", now_ms=0)


def test_an_unknown_market_is_remembered_under_one_name() -> None:
    symbols = SymbolMap({"BTCUSDT": "BTC/USDT"})
    found = parse.liquidation(
        changed(FORCE_ORDER, "o.s", "币安人生USDT"), venue="binanceusdm", symbol_of=symbols.symbol
    )
    assert found is not None
    assert found.symbol == "币安人生/USDT"

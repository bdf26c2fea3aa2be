"""Our frames beside recorded ones: the same keys in the same order, the same JSON types, the same way of writing numbers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regimes.feeds.simulator import frames
from regimes.feeds.simulator.source import Bar, Bars, ForcedOrder, Listing, Mark

BTC = Listing("BTCUSDT", "BTC", "USDT", 2, 3)
BAR = Bar(1_790_526_480_000, 84550.2, 84558.9, 84536.7, 84551.1, 104.194, 8809619.5544, 56.811)
MARK = Mark(84551.10762319, 84590.87304348, 8.01e-6, 1_790_553_600_000)
MINUTE = 60_000


def recorded(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a capture, whatever stands before each of them, without their envelope."""
    for line in path.read_text().splitlines():
        text = line[line.find("{") :]
        if text.startswith("{"):
            frame = json.loads(text)
            yield frame.get("data", frame)


def of_event(path: Path, event: str) -> dict[str, Any]:
    return next(frame for frame in recorded(path) if frame.get("e") == event)


def manner(value: Any, *, exact: bool = True) -> Any:
    """How a value is written: keys in order, types, and for numbers as text their decimals."""
    if isinstance(value, dict):
        return [(key, manner(item, exact=exact)) for key, item in value.items()]
    if isinstance(value, list):
        return [manner(value[0], exact=exact)] if value else []
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"number, {len(value.partition('.')[2]) if exact else 'any'} decimals"
    return type(value).__name__


@pytest.fixture
def usdm_frames(data_dir: Path) -> Path:
    return data_dir / "frames/binance_usdm_2026-09-27.txt"


@pytest.fixture
def spot_frames(data_dir: Path) -> Path:
    return data_dir / "frames/binance_us_2021-10-12.txt"


@pytest.mark.parametrize("closed", [False, True])
def test_futures_klines_are_written_as_recorded(usdm_frames: Path, *, closed: bool) -> None:
    real = next(f for f in recorded(usdm_frames) if f["e"] == "kline" and f["k"]["x"] == closed)
    ours = json.loads(frames.kline(BTC, "usdm", "1m", MINUTE, BAR, 1_790_526_539_304, closed=closed))
    assert manner(ours) == manner(real)
    same = ("t", "T", "s", "i", "x")
    assert {key: ours["k"][key] for key in same} == {key: real["k"][key] for key in same}


def test_spot_klines_are_written_as_recorded(spot_frames: Path) -> None:
    real = of_event(spot_frames, "kline")
    ours = json.loads(frames.kline(BTC, "spot", "1m", MINUTE, BAR, 1, closed=False))
    assert manner(ours) == manner(real)


def test_mark_prices_are_written_as_recorded(usdm_frames: Path) -> None:
    real = of_event(usdm_frames, "markPriceUpdate")
    ours = json.loads(frames.mark_price(BTC, MARK, real["E"], 0))
    assert manner(ours) == manner(real)
    assert (ours["p"], ours["i"], ours["r"], ours["T"]) == (real["p"], real["i"], real["r"], real["T"])


def test_forced_orders_are_written_to_the_byte_as_recorded(usdm_frames: Path) -> None:
    lines = [line for line in usdm_frames.read_text().splitlines() if "forceOrder" in line]
    assert len(lines) >= 20
    for line in lines:
        real = json.loads(line[line.find("{") :])["data"]
        o = real["o"]
        decimals = [len(o[key].partition(".")[2]) for key in ("p", "q")]
        listing = Listing(o["s"], "X", "USDT", max(decimals[0], len(o["ap"].partition(".")[2])), decimals[1])
        numbers = [float(o[key]) for key in ("q", "p", "ap", "l", "z")]
        order = ForcedOrder(o["T"], o["s"], o["S"], *numbers)
        ours = frames.forced_order(listing, order, real["E"], 0).decode()
        assert f'"data":{ours}' in line


def test_an_average_price_that_was_not_published_is_written_as_zero() -> None:
    order = ForcedOrder(1, "BTCUSDT", "BUY", 1.0, 84000.0, None, 0.5, 1.0)
    assert json.loads(frames.forced_order(BTC, order, 2, 0))["o"]["ap"] == "0"


def test_futures_trades_are_written_as_recorded(usdm_frames: Path) -> None:
    real = of_event(usdm_frames, "aggTrade")
    ours = json.loads(frames.agg_trade(BTC, "usdm", 84551.1, 1_790_526_539_033, 1_790_526_538_883))
    assert manner(ours) == manner(real)


def test_spot_trades_are_written_as_recorded(spot_frames: Path) -> None:
    ours = json.loads(frames.agg_trade(BTC, "spot", 13.8048, 1_633_998_288_468, 1_633_998_288_467))
    assert manner(ours) == manner(of_event(spot_frames, "aggTrade"))


def test_depth_updates_are_written_as_recorded(data_dir: Path, spot_frames: Path) -> None:
    captures = (("usdm", data_dir / "frames/binance_usdm_2021-07-22.txt"), ("spot", spot_frames))
    for venue, path in captures:
        real = next(f for f in recorded(path) if f.get("e") == "depthUpdate" and f["a"] and f["b"])
        level = [("1.5", "2")]
        ours = json.loads(frames.depth_update(BTC, venue, (1, 2, 0), level, level, 3))  # type: ignore[arg-type]
        assert manner(ours, exact=False) == manner(real, exact=False)


def test_rest_klines_say_what_the_stream_says() -> None:
    bars = Bars(*(np.array([value]) for value in BAR))
    at_ms = BAR.open_ms + 30_000
    row = frames.kline_rows(BTC, "usdm", MINUTE, bars, at_ms)[0]
    k = json.loads(frames.kline(BTC, "usdm", "1m", MINUTE, BAR, at_ms, closed=False))["k"]
    assert row == [k[key] for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")]


def test_shifted_clocks_move_event_times_only() -> None:
    order = ForcedOrder(1_000, "BTCUSDT", "BUY", 1.0, 84000.0, 83000.0, 0.5, 1.0)
    plain, shifted = (json.loads(frames.forced_order(BTC, order, 2_000, shift)) for shift in (0, 500))
    assert (shifted["E"], shifted["o"]["T"]) == (2_500, 1_500)
    assert plain["o"] | {"T": 1_500} == shifted["o"]


def test_changes_turn_one_book_side_into_the_other() -> None:
    old, new = [("3", "1"), ("2", "1"), ("1", "5")], [("4", "2"), ("3", "1"), ("2", "7")]
    book = dict(old) | dict(frames.changed_levels(old, new, "0.0"))
    assert {price: qty for price, qty in book.items() if qty != "0.0"} == dict(new)

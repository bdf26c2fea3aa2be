"""Candles on disk: whole files, checked when read, named when broken."""

import os
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from regimes.feeds.cache import SCHEMA, CandleCache, join, to_candles, to_frame
from regimes.observations import Candle


def bars(*opens: int, close: float = 1.5) -> list[Candle]:
    return [Candle("binanceus", "BTC/USDT", "1h", o, 1.0, 2.0, 0.5, close, 3.0, 4.0, 1.0) for o in opens]


def test_columns_stand_in_the_order_of_a_candles_fields() -> None:
    names = [field.name for field in msgspec.structs.fields(Candle)]
    assert names == ["venue", "symbol", "timeframe", *SCHEMA, "closed"]


def test_candles_survive_the_way_to_disk_and_back(tmp_path: Path) -> None:
    cache = CandleCache(tmp_path)
    cache.store("binanceus", "BTC/USDT", "1h", to_frame(bars(1, 2, 3)))
    found = cache.load("binanceus", "BTC/USDT", "1h")
    assert to_candles(found, venue="binanceus", symbol="BTC/USDT", timeframe="1h") == bars(1, 2, 3)


def test_what_was_never_stored_is_empty(tmp_path: Path) -> None:
    assert CandleCache(tmp_path / "none").load("binanceus", "BTC/USDT", "1h").is_empty()


@pytest.mark.parametrize("symbol", ["BTC/USDT", "币安人生/USDT", "../../etc/passwd", "a b:c"])
def test_any_symbol_stays_inside_the_folder(tmp_path: Path, symbol: str) -> None:
    cache = CandleCache(tmp_path)
    cache.store("binanceus", symbol, "1h", to_frame(bars(1)))
    (file,) = tmp_path.rglob("*.parquet")
    assert file.parent == tmp_path / "binanceus"
    assert len(cache.load("binanceus", symbol, "1h")) == 1


BROKEN = {
    "no parquet": b"PAR1 nonsense",
    "empty": b"",
    "cut short": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_corrupt_file_is_named_set_aside_and_counts_as_absent(tmp_path: Path, name: str) -> None:
    cache = CandleCache(tmp_path)
    cache.store("binanceus", "BTC/USDT", "1h", to_frame(bars(*range(100))))
    path = cache.path("binanceus", "BTC/USDT", "1h")
    broken = BROKEN[name]
    path.write_bytes(path.read_bytes()[:-200] if broken is None else broken)
    with capture_logs() as logs:
        assert cache.load("binanceus", "BTC/USDT", "1h").is_empty()
    (entry,) = logs
    assert (entry["event"], entry["path"]) == ("cache_file_corrupt", str(path))
    assert not path.exists()
    assert path.with_suffix(".corrupt").exists()


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"ts": [1]}),
        to_frame(bars(2, 1)),
        to_frame(bars(1, 1)),
        to_frame(bars(1, close=float("nan"))),
        to_frame(bars(1, close=-1.0)),
        to_frame(bars(1, close=float("inf"))),
        to_frame(bars(1)).with_columns(quote_volume=pl.lit(None, pl.Float64)),
    ],
    ids=["columns", "order", "doubles", "nan", "negative", "infinite", "missing"],
)
def test_a_file_with_wrong_content_is_not_trusted(tmp_path: Path, frame: pl.DataFrame) -> None:
    cache = CandleCache(tmp_path)
    cache.store("binanceus", "BTC/USDT", "1h", frame)
    with capture_logs() as logs:
        assert cache.load("binanceus", "BTC/USDT", "1h").is_empty()
    assert logs[0]["event"] == "cache_file_corrupt"


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = CandleCache(tmp_path)
    cache.store("binanceus", "BTC/USDT", "1h", to_frame(bars(1)))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        cache.store("binanceus", "BTC/USDT", "1h", to_frame(bars(1, 2)))
    assert len(cache.load("binanceus", "BTC/USDT", "1h")) == 1
    assert len(list(tmp_path.rglob("*"))) == 2


@given(st.lists(st.lists(st.integers(0, 30), unique=True).map(sorted), min_size=1, max_size=4))
def test_joined_parts_are_one_bar_each_oldest_first_the_later_part_winning(parts: list[list[int]]) -> None:
    frames = [to_frame(bars(*opens, close=float(number + 1))) for number, opens in enumerate(parts)]
    whole = join(*frames)
    latest = {open_ms: float(number + 1) for number, opens in enumerate(parts) for open_ms in opens}
    assert whole.get_column("open_ms").to_list() == sorted(latest)
    assert whole.get_column("close").to_list() == [latest[open_ms] for open_ms in sorted(latest)]

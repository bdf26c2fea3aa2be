from pathlib import Path

import polars as pl
import pytest

from regimes.errors import ConfigError, DataError
from regimes.history import open_source
from regimes.history.archive.convert import Conversion, Converted
from regimes.history.archive.source import ArchiveSource
from regimes.history.backfill.table import Span, read_sums
from regimes.observations import Candle, FundingRate, Unavailable
from regimes.timeframe import HOUR_MS, known_at_ms

from .support import DEC, FEB, JAN, archive, funding, hours, pack, spot

EVER = Span(0, 2**60)


def convert(source: Path, folder: Path, span: Span = EVER, **options: object) -> Converted:
    folder.mkdir(exist_ok=True)
    wanted: dict[str, object] = {"symbols": None, "timeframes": ("1h",), **options}
    return Conversion(source, folder, span, **wanted).run()  # type: ignore[arg-type]


def test_an_archive_becomes_a_folder_of_recordings(tmp_path: Path) -> None:
    done = convert(archive(tmp_path / "archive"), tmp_path / "out")
    assert [(one.name, one.rows, one.missing) for one in done.files] == [
        ("candles/spot_BTCUSDT_1h.parquet", (31 + 31 + 1) * 24, 0),
        ("funding/funding_BTCUSDT.parquet", 62 * 3, 0),
        ("candles/um_BTCUSDT_1h.parquet", 31 * 24, 0),
        ("candles/um_ETHUSDT_1h.parquet", 31 * 24, 0),
    ]
    assert not done.refused
    assert not done.unverified
    assert set(read_sums(tmp_path / "out")) == {one.name for one in done.files}
    times = pl.read_parquet(tmp_path / "out/candles/spot_BTCUSDT_1h.parquet")["ts"]
    assert times.to_list() == list(range(DEC, FEB + 24 * HOUR_MS, HOUR_MS))


def test_what_was_converted_is_not_read_again(tmp_path: Path) -> None:
    source = archive(tmp_path / "archive")
    first = convert(source, tmp_path / "out")
    again = convert(source, tmp_path / "out")
    assert (first.known, again.known) == (0, 7)
    assert again.files == first.files


def test_files_that_cannot_be_used_are_named_and_the_rest_is_converted(tmp_path: Path) -> None:
    source = archive(tmp_path / "archive")
    torn, wrong = spot(source, "2025-01"), funding(source, "2024-12")
    torn.write_bytes(torn.read_bytes()[:-100])
    torn.with_name(torn.name + ".CHECKSUM").unlink()
    wrong.with_name(wrong.name + ".CHECKSUM").write_text("0" * 64)
    done = convert(source, tmp_path / "out")
    assert [one.rows for one in done.files] == [32 * 24, 31 * 3, 31 * 24, 31 * 24]
    assert len(done.refused) == 2
    assert str(torn) in done.refused[0]
    assert str(wrong) in done.refused[1]
    assert done.files[0].gaps == [Span(JAN, FEB)]
    assert done.files[0].missing == 31 * 24
    pack(torn, hours(JAN, FEB, unit=1000))
    again = convert(source, tmp_path / "out")
    assert (again.files[0].rows, again.files[0].missing) == (63 * 24, 0)


def test_only_what_is_wanted_is_converted(tmp_path: Path) -> None:
    source = archive(tmp_path / "archive")
    done = convert(source, tmp_path / "eth", symbols=("ETH/USDT",))
    assert [one.name for one in done.files] == ["candles/um_ETHUSDT_1h.parquet"]
    done = convert(source, tmp_path / "dec", Span(DEC, JAN), funding=False, markets=("spot",))
    assert [(one.name, one.rows) for one in done.files] == [("candles/spot_BTCUSDT_1h.parquet", 31 * 24)]
    assert convert(source, tmp_path / "none", timeframes=("1m",), funding=False).files == []


def test_hours_that_are_not_in_the_archive_are_gaps(tmp_path: Path) -> None:
    lost = [JAN + 5 * HOUR_MS, JAN + 6 * HOUR_MS]
    pack(spot(tmp_path / "a", "2025-01"), hours(JAN, FEB, without=lost))
    done = convert(tmp_path / "a", tmp_path / "out")
    assert done.files[0].gaps == [Span(lost[0], lost[1] + HOUR_MS)]


def test_an_archive_is_history_as_it_lies_there(tmp_path: Path) -> None:
    source = open_source(archive(tmp_path))
    assert isinstance(source, ArchiveSource)
    assert source.symbols == ("BTC/USDT", "ETH/USDT")
    found = list(source.observations(*source.span()))
    assert found == sorted(found, key=known_at_ms)
    assert [type(one) for one in found].count(Candle) == (63 + 31) * 24
    assert [type(one) for one in found].count(FundingRate) == 62 * 3
    lacking = [(one.kind, one.symbol) for one in found if isinstance(one, Unavailable)]
    assert lacking == [("liquidation", None), ("funding", "ETH/USDT")]


def test_an_archive_and_what_it_was_converted_to_say_the_same(tmp_path: Path) -> None:
    direct = open_source(archive(tmp_path / "archive"))
    convert(tmp_path / "archive", tmp_path / "out")
    converted = open_source(tmp_path / "out")
    span = (JAN - 100 * HOUR_MS, JAN + 300 * HOUR_MS)

    def told(one: object) -> bool:
        return isinstance(one, Candle | FundingRate)

    found = [one for one in direct.observations(*span, ["BTC/USDT"]) if told(one)]
    assert {one.open_ms for one in found if isinstance(one, Candle)} == set(
        range(span[0] - HOUR_MS, span[1] - HOUR_MS, HOUR_MS)
    )
    other = [one for one in converted.observations(*span, ["BTC/USDT"]) if told(one)]
    # Times, prices, rates and order; quote and taker volumes are not in every folder of recordings.
    assert [_core(one) for one in found] == [_core(one) for one in other]


def _core(one: object) -> object:
    if isinstance(one, Candle):
        return (one.venue, one.symbol, one.open_ms, one.open, one.high, one.low, one.close, one.base_volume)
    return one


def test_a_damaged_file_stops_reading_the_archive_and_is_named(tmp_path: Path) -> None:
    path = spot(archive(tmp_path), "2025-01")
    path.write_bytes(path.read_bytes()[:-100])
    source = open_source(tmp_path)
    assert len(list(source.observations(DEC, JAN - HOUR_MS))) > 0
    with pytest.raises(DataError, match=path.name):
        list(source.observations(*source.span()))


def test_a_folder_without_archive_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no `\\*-1h"):
        ArchiveSource(tmp_path)

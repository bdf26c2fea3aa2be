import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings as examples, strategies as st

from regimes.errors import DataError
from regimes.history.archive.files import ArchiveFile, find, is_verified, rows_of
from regimes.history.backfill.table import Span
from regimes.timeframe import HOUR_MS

from .support import DEC, FEB, JAN, archive, bar, funding, hours, ms, pack, settlements, spot


def only(folder: Path) -> ArchiveFile:
    (file,) = find(folder)
    return file


def test_every_file_of_the_archive_is_found_with_what_its_place_says(tmp_path: Path) -> None:
    found = find(archive(tmp_path))
    assert [(f.market, f.market_id, f.timeframe, f.span) for f in found] == [
        ("spot", "BTCUSDT", "1h", Span(DEC, JAN)),
        ("spot", "BTCUSDT", "1h", Span(JAN, FEB)),
        ("spot", "BTCUSDT", "1h", Span(FEB, ms(2025, 2, 2))),
        ("um", "BTCUSDT", None, Span(DEC, JAN)),
        ("um", "BTCUSDT", None, Span(JAN, FEB)),
        ("um", "BTCUSDT", "1h", Span(DEC, JAN)),
        ("um", "ETHUSDT", "1h", Span(JAN, FEB)),
    ]


def test_the_folder_above_and_files_of_others_do_no_harm(tmp_path: Path) -> None:
    archive(tmp_path / "data")
    for name in ("notes.zip", "BTCUSDT-aggTrades-2024-01.zip", "BTCUSDT-1h-2024.zip"):
        (tmp_path / "data/spot/monthly/klines/BTCUSDT/1h" / name).write_bytes(b"")
    assert len(find(tmp_path)) == 7
    assert find(tmp_path / "nowhere") == []


def test_milliseconds_and_microseconds_give_the_same_times(tmp_path: Path) -> None:
    pack(spot(tmp_path / "ms", "2025-01"), hours(JAN, FEB))
    pack(spot(tmp_path / "us", "2025-01"), hours(JAN, FEB, unit=1000))
    old, new = rows_of(only(tmp_path / "ms")), rows_of(only(tmp_path / "us"))
    assert old.equals(new)
    assert old["ts"].to_list() == list(range(JAN, FEB, HOUR_MS))
    assert old.row(0) == (JAN, *old.row(0)[1:5], 5.5, 551.0, 2.5)


def test_names_of_columns_may_be_there_or_not(tmp_path: Path) -> None:
    pack(spot(tmp_path / "a", "2025-01"), hours(JAN, FEB), named=True)
    pack(spot(tmp_path / "b", "2025-01"), hours(JAN, FEB))
    assert rows_of(only(tmp_path / "a")).equals(rows_of(only(tmp_path / "b")))


def test_funding_keeps_its_interval_and_its_milliseconds(tmp_path: Path) -> None:
    pack(funding(tmp_path, "2025-01"), settlements(JAN, FEB), named=True)
    rows = rows_of(only(tmp_path))
    assert rows.row(0) == (JAN + 2, 0.0001, 8.0)
    assert len(rows) == 93


def test_a_wrong_checksum_is_named_with_both(tmp_path: Path) -> None:
    path = pack(spot(tmp_path, "2025-01"), hours(JAN, FEB))
    path.with_name(path.name + ".CHECKSUM").write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(
        DataError, match=r"BTCUSDT-1h-2025-01\.zip: its checksum is .* says 0000.*fetch it again"
    ):
        rows_of(only(tmp_path))


def test_a_file_without_a_checksum_is_read_and_known_as_unverified(tmp_path: Path) -> None:
    pack(spot(tmp_path, "2025-01"), hours(JAN, FEB), checksum=False)
    assert not is_verified(only(tmp_path))
    assert len(rows_of(only(tmp_path))) == 31 * 24


@examples(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(share=st.floats(0, 0.999))
def test_a_torn_zip_is_refused_by_name(tmp_path: Path, share: float) -> None:
    path = pack(spot(tmp_path, "2025-01"), hours(JAN, FEB), checksum=False)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"BTCUSDT-1h-2025-01\.zip"):
        rows_of(only(tmp_path))


@examples(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_wrong_byte_in_a_file_with_a_checksum_never_gets_through(
    tmp_path: Path, at: int, flip: int
) -> None:
    path = pack(spot(tmp_path, "2025-01"), hours(JAN, FEB))
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= flip
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="checksum"):
        rows_of(only(tmp_path))


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (bar(JAN - HOUR_MS), "time the file's name says"),
        (bar(JAN + 1), "begin at a multiple of 1h"),
        (bar(JAN, -5.0), "positive"),
        (bar(JAN).replace("102.0", "99.0"), "low <= open"),
        (bar(JAN).replace(",5.5,", ",-5.5,"), "volume"),
        (bar(JAN).replace(",5.5,", ",nan,"), "volume"),
        ("not,a,bar", "not readable"),
        (bar(JAN).replace("100.0", "many"), "not readable"),
        ("open_time,open", "no rows"),
    ],
)
def test_values_that_cannot_be_are_refused_with_file_and_rule(tmp_path: Path, line: str, rule: str) -> None:
    pack(spot(tmp_path, "2025-01"), [line])
    with pytest.raises(DataError, match=rule) as raised:
        rows_of(only(tmp_path))
    assert "BTCUSDT-1h-2025-01.zip" in str(raised.value)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    path = spot(tmp_path, "2025-01")
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as other:
        other.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="one CSV file"):
        rows_of(only(tmp_path))

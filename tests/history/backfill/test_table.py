from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from regimes.history.backfill.table import (
    FUNDING,
    PARTS,
    Span,
    Table,
    joined,
    read_sums,
    replace_file,
    sha256,
    without,
    write_sums,
)

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: Span(*ends)), max_size=8)


def moments(found: list[Span]) -> set[int]:
    return {moment for span in found for moment in range(span.from_ms, span.to_ms)}


@given(spans=spans)
def test_joined_spans_hold_the_same_moments_and_do_not_touch(spans: list[Span]) -> None:
    found = joined(spans)
    assert moments(found) == moments(spans)
    assert all(a.to_ms < b.from_ms for a, b in pairwise(found))


@given(span=st.tuples(st.integers(0, 60), st.integers(0, 60)), covered=spans)
def test_what_is_left_of_a_span_is_what_is_not_covered(span: tuple[int, int], covered: list[Span]) -> None:
    left = without(Span(*span), covered)
    assert moments(left) == moments([Span(*span)]) - moments(covered)
    assert left == joined(left)


def rows(*times: int, rate: float = 0.1) -> pl.DataFrame:
    return pl.DataFrame([(ts, rate, 8.0) for ts in times], schema=FUNDING, orient="row")


def table(folder: Path) -> Table:
    return Table(folder, folder / "funding" / "funding_X.parquet", FUNDING)


def test_parts_become_one_file_in_order_and_are_gone(tmp_path: Path) -> None:
    filled = table(tmp_path)
    filled.add(rows(30, 40), Span(25, 50))
    filled.add(rows(10, 20), Span(0, 25))
    assert filled.covered(1) == [Span(0, 50)]
    assert filled.finish(1)["ts"].to_list() == [10, 20, 30, 40]
    assert pl.read_parquet(filled.path)["ts"].to_list() == [10, 20, 30, 40]
    assert list((tmp_path / PARTS).iterdir()) == []


def test_what_was_asked_for_and_is_not_there_is_remembered(tmp_path: Path) -> None:
    filled = table(tmp_path)
    filled.add(rows(), Span(0, 100))
    filled.finish(1)
    assert table(tmp_path).covered(1) == [Span(0, 100)]


def test_parts_of_a_run_that_was_killed_count_and_its_torn_file_does_not(tmp_path: Path) -> None:
    table(tmp_path).add(rows(10), Span(0, 20))
    (tmp_path / PARTS / "funding_X" / ".20-40.parquet.abc.tmp").write_bytes(b"torn")
    again = table(tmp_path)
    assert again.covered(1) == [Span(0, 20)]
    assert again.finish(1)["ts"].to_list() == [10]


def test_parts_that_went_into_the_file_before_the_process_was_killed_change_nothing(tmp_path: Path) -> None:
    filled = table(tmp_path)
    filled.add(rows(10), Span(0, 20))
    filled.finish(1)
    filled.add(rows(10), Span(0, 20))  # as it lies there between the two steps
    assert table(tmp_path).finish(1)["ts"].to_list() == [10]


def test_a_file_of_other_origin_is_kept_and_covers_what_it_holds(tmp_path: Path) -> None:
    filled = table(tmp_path)
    filled.path.parent.mkdir()
    pl.DataFrame({"ts": [10, 30], "rate": [0.5, 0.5]}).write_parquet(filled.path)
    assert filled.covered(5) == [Span(10, 35)]
    filled.add(rows(40), Span(35, 50))
    assert filled.finish(5).rows() == [(10, 0.5, None), (30, 0.5, None), (40, 0.1, 8.0)]
    assert table(tmp_path).covered(5) == [Span(10, 50)]


def test_a_file_that_is_none_is_set_aside_and_named(tmp_path: Path) -> None:
    filled = table(tmp_path)
    filled.path.parent.mkdir()
    filled.path.write_bytes(b"PAR1 not really")
    with capture_logs() as log:
        assert filled.covered(1) == []
    assert log[0]["event"] == "history_file_corrupt"
    assert filled.path.with_suffix(".corrupt").exists()
    filled.add(rows(1), Span(0, 2))
    assert filled.finish(1)["ts"].to_list() == [1]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_checksums_are_as_sha256sum_writes_them_and_those_of_other_files_stay(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        write_sums(tmp_path, {name: sha256(tmp_path / name)})
    assert (tmp_path / "SHA256SUMS").read_text().splitlines()[0] == (
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a"
    )
    assert set(read_sums(tmp_path)) == {"a", "b"}

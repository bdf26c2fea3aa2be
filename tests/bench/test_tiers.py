from pathlib import Path

import msgspec
import pytest

from bench.tiers import PAGE, markdown, newest, put
from regimes.commands.load_test.verdict import Line, Outcome


def outcome(tier: str, *lines: Line, at: str = "2026-01-01T00:00:00Z") -> Outcome:
    passed = all(line.passed for line in lines)
    return Outcome(
        title=f"load test, tier {tier}",
        at=at,
        machine="",
        version="",
        load=None,
        lines=lines,
        passed=passed,
    )


def test_the_newest_outcome_of_each_tier_is_a_column(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    runs = [
        outcome("3", Line("CPU", 90.0, "%", 25.0)),
        outcome("50", Line("CPU", 60.0, "%", 50.0), Line("lost", 0.0, "", 0.0)),
        outcome("3", Line("CPU", 20.0, "%", 25.0)),
    ]
    kept.write_bytes(b"\n".join(map(msgspec.json.encode, runs)))
    assert markdown(newest(kept)).splitlines() == [
        "| tier | 3 | 50 |",
        "| --- | ---: | ---: |",
        "| CPU | 20.0 % | **60.0 %** (at most 50) |",
        "| lost |  | 0.0 |",
        "| verdict | pass | **missed** |",
    ]


def test_the_page_has_a_place_for_the_table_and_the_rest_of_it_stays() -> None:
    page = PAGE.read_text()
    written = put("| a |", put("| old |", page, "then:"), "now:")
    assert "now:\n\n| a |\n" in written
    assert "| old |" not in written
    assert written.partition("<!-- measured -->")[0] == page.partition("<!-- measured -->")[0]
    assert written.partition("<!-- end of measured -->")[2] == page.partition("<!-- end of measured -->")[2]


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        put("| a |", "# Page", "now:")

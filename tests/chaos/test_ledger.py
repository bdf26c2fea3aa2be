"""The ledger of kills counts every season whose books were read, and no other."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.chaos import ledger
from tests.chaos.ledger import Season


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ledger, "FILE", tmp_path / "build" / "kills.jsonl")
    return ledger.FILE


def test_seasons_are_summed_by_day_and_database_and_broken_ones_stand_out(file: Path) -> None:
    for kills in (20, 1_000):
        with ledger.entry(Season("sqlite", kills=kills)):
            pass
    with pytest.raises(AssertionError), ledger.entry(Season("postgresql", kills=7)):
        raise AssertionError("states missing")
    with pytest.raises(asyncio.CancelledError), ledger.entry(Season("sqlite", kills=500)):
        raise asyncio.CancelledError
    found = [msgspec.json.decode(line, type=Season) for line in file.read_bytes().splitlines()]
    assert [season.verdict for season in found] == ["held", "held", "broken", "ended early"]
    (day,) = {season.day for season in found}
    rows = [line.strip("| ").split(" | ") for line in ledger.table(found).splitlines()]
    assert rows[0] == [f"{day} postgresql", f"{day} sqlite"]
    assert [row[1:] for row in rows[2:5]] == [["1", "2"], ["1", "0"], ["7", "1,020"]]

from pathlib import Path

import msgspec

from regimes.alerting.track_record import Effect, Group, ScoreTable
from regimes.clock import SystemClock
from regimes.commands.webhooks.samples import sample
from regimes.events import EventType, body
from regimes.narrative.settings import NarrativeSettings
from regimes.pipeline.telling import Telling, shipped_table
from regimes.storage.base import ScoreRow
from regimes.storage.sqlite import SqliteStorage

KIND = EventType.LEADERSHIP_CHANGE
EFFECT = Effect(
    outcome="volatility",
    horizon_hours=24,
    scale="ratio",
    n=30,
    weeks=20,
    truncated=0,
    unmatched=0,
    missing=0,
    free=0.9,
    median=1.0,
    usual=1.0,
    effect=1.5,
    ci=(1.2, 1.8),
    p=0.001,
    q=0.01,
)
TABLE = ScoreTable(
    source="a test",
    symbols=[],
    from_ms=0,
    to_ms=1,
    settings="s",
    events=30,
    groups=[Group(event_type=KIND, variant="", symbol="", events=30, effects=[EFFECT])],
)


def row(made_ms: int, score: bytes) -> ScoreRow:
    return ScoreRow(made_ms, 0, 1, "a test", "s", score)


async def test_an_event_carries_the_users_own_record_as_soon_as_there_is_one(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "test.db")
    await storage.open()
    telling = Telling(storage, NarrativeSettings(style="full"), SystemClock())
    before = telling.enrich(body(sample(KIND, 1_700_000_000_000)))
    assert before.narrative
    assert before.track_record is None or before.track_record.shipped
    await storage.put_score(row(5, msgspec.json.encode(TABLE)))
    await telling.look()
    after = telling.enrich(body(sample(KIND, 1_700_000_000_000)))
    assert after.track_record is not None
    assert not after.track_record.shipped
    assert after.track_record.words.startswith("after 30 like this since 1970: 24 h volatility 1.50x usual")
    assert after.track_record.words in after.narrative
    await storage.close()


async def test_a_stored_score_that_cannot_be_read_leaves_the_one_in_use(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "test.db")
    await storage.open()
    await storage.put_score(row(5, b"{}"))
    telling = Telling(storage, NarrativeSettings(), SystemClock())
    known = telling.table
    await telling.look()
    assert telling.table == known
    await storage.close()


async def test_a_database_that_is_away_delays_nothing(tmp_path: Path) -> None:
    telling = Telling(SqliteStorage(tmp_path / "never-opened.db"), NarrativeSettings(), SystemClock())
    await telling.look()
    assert telling.enrich(body(sample(EventType.SYSTEM_DB_DOWN, 1_700_000_000_000))).narrative


def test_the_record_that_comes_with_the_program_is_there_and_says_so() -> None:
    table = shipped_table()
    assert table is not None
    assert table.shipped
    assert table.events > 1_000
    assert table.to_ms <= 1_738_368_000_000  # 2025-02-01


def test_without_a_shipped_record_or_with_a_damaged_one_there_is_none(tmp_path: Path) -> None:
    assert shipped_table(tmp_path / "none.json") is None
    (tmp_path / "damaged.json").write_text("{")
    assert shipped_table(tmp_path / "damaged.json") is None

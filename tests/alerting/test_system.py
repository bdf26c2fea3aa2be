"""Events about the service itself."""

from regimes.alerting.system import SystemWatch, Trouble
from regimes.events import EventType, Phase, Severity

START = 1_722_816_000_000
DOWN = EventType.SYSTEM_DB_DOWN


def trouble(severity: Severity = Severity.WARNING, *, since_ms: int | None = None) -> Trouble:
    return Trouble(
        severity=severity,
        title="Database away",
        description="Everything is kept in the spool.",
        why="no connection for 30 min",
        since_ms=since_ms,
        data={"spooled": 12},
    )


def test_trouble_opens_one_event_escalates_and_closes_with_its_length() -> None:
    watch = SystemWatch()
    said = [
        watch.report(DOWN, "database", told, START + after)
        for told, after in [
            (trouble(), 0),
            (trouble(), 60_000),
            (trouble(Severity.CRITICAL), 120_000),
            (None, 3_600_000),
            (None, 3_660_000),
        ]
    ]
    assert [[(e.phase, e.severity, e.revision) for e in events] for events in said] == [
        [(Phase.OPENED, Severity.WARNING, 0)],
        [],
        [(Phase.UPDATED, Severity.CRITICAL, 1)],
        [(Phase.CLOSED, Severity.CRITICAL, 2)],
        [],
    ]
    closed = said[3][0]
    assert closed.title == "Database away: over after 1 h"
    assert closed.data == {"spooled": 12, "duration_hours": 1.0}
    assert {e.id for events in said for e in events} == {closed.id}


def test_trouble_is_dated_from_when_it_began() -> None:
    (event,) = SystemWatch().report(DOWN, "database", trouble(since_ms=START - 1_800_000), START)
    assert event.started_ms == START - 1_800_000
    assert event.data["duration_hours"] == 0.5


def test_a_thing_that_is_well_says_nothing() -> None:
    assert SystemWatch().report(DOWN, "database", None, START) == []


def test_subjects_have_episodes_of_their_own() -> None:
    watch = SystemWatch()
    kind = EventType.SYSTEM_FEED_STALE
    watch.report(kind, "binanceusdm liquidation", trouble(), START)
    watch.report(kind, "binanceus candle", trouble(), START)
    watch.report(kind, "binanceus candle", None, START + 1)
    assert watch.subjects(kind) == ["binanceusdm liquidation"]
    assert not watch.is_open(kind, "binanceus candle")


def test_a_restart_neither_repeats_nor_forgets_what_is_open() -> None:
    before, after = SystemWatch(), SystemWatch()
    (opened,) = before.report(DOWN, "database", trouble(), START)
    after.restore(before.snapshot())
    assert after.report(DOWN, "database", trouble(), START + 60_000) == []
    (closed,) = after.report(DOWN, "database", None, START + 120_000)
    assert (closed.id, closed.phase) == (opened.id, Phase.CLOSED)

"""Events in the order they came, one row a state, and what was decided about each."""

from collections.abc import Sequence
from typing import Final

from regimes.alerting.records import Decision
from regimes.errors import DataError
from regimes.events import EventBody
from regimes.storage.base import EventPage, EventQuery
from regimes.storage.rows import EventRow, columns, event_body, event_row, from_rows, insert, to_row
from regimes.storage.session import Row, Session, Value

_POSITION_LOCK: Final = 7_243_002
_INSERT_EVENT: Final = insert("market_events", EventRow)
_INSERT_DECISION: Final = insert("decisions", Decision)
_NEWEST: Final = "NOT EXISTS (SELECT 1 FROM market_events n WHERE n.id = e.id AND n.revision > e.revision)"
_CURSOR_MARK: Final = "."


async def add_events(session: Session, events: Sequence[EventBody]) -> None:
    """Append states; one that is there keeps its place.

    One transaction at a time gives out positions, so that a reader who has seen one has seen all before it.
    """
    if not events:
        return
    await session.queue(_POSITION_LOCK)
    found = await session.rows("SELECT coalesce(max(position), 0) FROM market_events")
    first = int(found[0][0]) + 1
    rows = [to_row(event_row(event, position)) for position, event in enumerate(events, start=first)]
    await session.many(_INSERT_EVENT, rows)


async def add_decisions(session: Session, decisions: Sequence[Decision]) -> None:
    """Append decisions."""
    if decisions:
        await session.many(_INSERT_DECISION, [to_row(decision) for decision in decisions])


async def page(session: Session, query: EventQuery) -> EventPage:
    """The newest states, newest episode first."""
    clauses, values = _filters(query)
    found = await session.rows(
        f"SELECT e.body, e.started_ms, e.id FROM market_events e WHERE {' AND '.join([_NEWEST, *clauses])} "
        "ORDER BY e.started_ms DESC, e.id DESC LIMIT ?",
        *values,
        query.limit + 1,
    )
    shown = found[: query.limit]
    more = len(found) > len(shown) and shown
    cursor = f"{shown[-1][1]}{_CURSOR_MARK}{shown[-1][2]}" if more else None
    return EventPage([event_body(row[0]) for row in shown], cursor)


async def newest(session: Session, event_id: str) -> EventBody | None:
    """The newest state of one event."""
    found = await session.rows(
        "SELECT body FROM market_events WHERE id = ? ORDER BY revision DESC LIMIT 1", event_id
    )
    return event_body(found[0][0]) if found else None


async def last_state(session: Session) -> tuple[str, int] | None:
    """Id and revision of the state that was stored last."""
    found = await session.rows("SELECT id, revision FROM market_events ORDER BY position DESC LIMIT 1")
    return (str(found[0][0]), int(found[0][1])) if found else None


async def states_after(
    session: Session, event_id: str, revision: int, limit: int
) -> Sequence[EventBody] | None:
    """All states stored after this one, oldest first; None when it is not there. An empty id: from the beginning."""
    found: Sequence[Row] = [(0,)]
    if event_id:
        found = await session.rows(
            "SELECT position FROM market_events WHERE id = ? AND revision = ?", event_id, revision
        )
    if not found:
        return None
    later = await session.rows(
        "SELECT body FROM market_events WHERE position > ? ORDER BY position LIMIT ?", found[0][0], limit
    )
    return [event_body(row[0]) for row in later]


async def decisions_of(session: Session, event_id: str) -> Sequence[Decision]:
    """Oldest first."""
    found = await session.rows(
        f"SELECT {columns(Decision)} FROM decisions WHERE event_id = ? ORDER BY ts_ms, revision, endpoint",
        event_id,
    )
    return from_rows(Decision, found)


def _filters(query: EventQuery) -> tuple[list[str], list[Value]]:
    wanted: list[tuple[str, Value]] = [
        ("e.event_type = ?", query.event_type),
        ("e.symbol = ?", query.symbol),
        ("e.severity = ?", query.severity),
        ("e.started_ms >= ?", query.from_ms),
        ("e.started_ms < ?", query.to_ms),
    ]
    clauses = [clause for clause, value in wanted if value is not None]
    values: list[Value] = [value for _, value in wanted if value is not None]
    if query.cursor is not None:
        started_ms, event_id = _place(query.cursor)
        clauses.append("(e.started_ms, e.id) < (?, ?)")
        values += [started_ms, event_id]
    return clauses, values


def _place(cursor: str) -> tuple[int, str]:
    started_ms, mark, event_id = cursor.partition(_CURSOR_MARK)
    if not (mark and event_id and started_ms.removeprefix("-").isdecimal()):
        raise DataError(f"cursor must be one that a page of events gave (got {cursor[:80]!r})")
    return int(started_ms), event_id

"""Records to rows and back: columns are named and ordered as the record's fields."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from regimes.events import EventBody
from regimes.storage.session import Row, Value, marks

RecordT = TypeVar("RecordT", bound=msgspec.Struct)

_body = msgspec.json.Decoder(EventBody)


def columns(kind: type[msgspec.Struct]) -> str:
    """The columns of a record's table: `id, event_id, ...`."""
    return ", ".join(kind.__struct_fields__)


def insert(table: str, kind: type[msgspec.Struct]) -> str:
    """INSERT of one record, passing over one that is there."""
    fields = kind.__struct_fields__
    return f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks(len(fields))}) ON CONFLICT DO NOTHING"


def to_row(record: msgspec.Struct) -> Sequence[Value]:
    """Its fields in order; a truth value becomes 0 or 1, which both databases hold alike."""
    return [int(value) if isinstance(value, bool) else value for value in msgspec.structs.astuple(record)]


def from_row(kind: type[RecordT], row: Row) -> RecordT:
    """The record behind a row of `columns(kind)`."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind, strict=False)


def from_rows(kind: type[RecordT], rows: Iterable[Row]) -> list[RecordT]:
    """The records behind rows of `columns(kind)`."""
    return [from_row(kind, row) for row in rows]


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `market_events`. position: its place in the order in which states were stored."""

    id: str
    revision: int
    position: int
    event_type: str
    symbol: str
    severity: str
    phase: str
    started_ms: int
    ts_ms: int
    body: bytes


def event_row(event: EventBody, position: int) -> EventRow:
    """An event with what is searched for set beside its JSON."""
    return EventRow(
        id=event.id,
        revision=event.revision,
        position=position,
        event_type=event.event_type,
        symbol=event.symbol,
        severity=event.severity,
        phase=event.phase,
        started_ms=_ms(event.started),
        ts_ms=_ms(event.timestamp),
        body=msgspec.json.encode(event),
    )


def event_body(stored: Any) -> EventBody:
    """The event behind a `body` column."""
    return _body.decode(stored)


def _ms(iso: str) -> int:
    moment = datetime.fromisoformat(iso)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)

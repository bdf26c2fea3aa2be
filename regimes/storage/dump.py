"""Tables read whole, a page at a time, in the order of their keys."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from regimes.errors import ConfigError
from regimes.storage.database import Database
from regimes.storage.session import Row, Session, Value, marks


class DumpTable(msgspec.Struct, frozen=True):
    """A table that is exported. key: what makes a row unique. time: ms UTC. columns: name and type, in order."""

    name: str
    key: tuple[str, ...]
    time: str
    columns: dict[str, type]


_EVENT: Final = {"event_id": str, "revision": int, "endpoint": str}
DUMPED: Final = {
    table.name: table
    for table in (
        DumpTable(
            "market_events",
            ("id", "revision"),
            "ts_ms",
            {
                "id": str, "revision": int, "position": int, "event_type": str, "symbol": str, "severity": str,
                "phase": str, "started_ms": int, "ts_ms": int, "body": str,
            },
        ),
        DumpTable(
            "decisions",
            ("event_id", "ts_ms", "revision", "endpoint", "action"),
            "ts_ms",
            {**_EVENT, "action": str, "reason": str, "words": str, "ts_ms": int},
        ),
        DumpTable(
            "deliveries",
            ("id",),
            "created_ms",
            {
                "id": str, **_EVENT, "collapse_key": str, "created_ms": int, "next_at_ms": int, "expires_at_ms": int,
                "message": str, "reminder": int, "status": str, "attempt": int, "provider_message_id": str,
                "is_replay": int,
            },
        ),
        DumpTable(
            "webhook_logs",
            ("delivery_id", "started_ms", "attempt"),
            "started_ms",
            {
                "delivery_id": str, "endpoint": str, "attempt": int, "started_ms": int, "duration_ms": int,
                "outcome": str, "status_code": int, "note": str, "is_replay": int,
            },
        ),
        DumpTable(
            "silences",
            ("id",),
            "created_ms",
            {
                "id": str, "created_ms": int, "until_ms": int, "comment": str, "event_type": str, "symbol": str,
                "up_to": int,
            },
        ),
        DumpTable(
            "liquidations",
            ("ts_ms", "venue", "symbol", "closed", "fill_price", "base_qty"),
            "ts_ms",
            {
                "ts_ms": int, "venue": str, "symbol": str, "closed": str, "fill_price": float, "base_qty": float,
                "quote_usd": float,
            },
        ),
        DumpTable(
            "readings",
            ("feature", "symbol", "ts_ms"),
            "ts_ms",
            {"ts_ms": int, "feature": str, "symbol": str, "body": str},
        ),
    )
}  # fmt: skip
"""Everything that tells what was seen, decided and sent; what the program keeps for itself is left out."""


def dump_table(name: str) -> DumpTable:
    """The table of a name. Raises ConfigError that lists the names there are."""
    if name not in DUMPED:
        raise ConfigError(f"no table {name!r} to export; there are {', '.join(DUMPED)}")
    return DUMPED[name]


async def page(
    database: Database, table: DumpTable, from_ms: int, to_ms: int, after: Sequence[Any] | None, limit: int
) -> list[tuple[Any, ...]]:
    """Up to `limit` rows of a span behind the row `after`, by key, with texts decoded. Raises StorageError."""
    rows = await database.read(
        partial(_rows, table=table, from_ms=from_ms, to_ms=to_ms, after=after, limit=limit)
    )
    return [tuple(v.decode() if isinstance(v, bytes) else v for v in row) for row in rows]


async def _rows(
    session: Session, *, table: DumpTable, from_ms: int, to_ms: int, after: Sequence[Any] | None, limit: int
) -> Sequence[Row]:
    key = ", ".join(table.key)
    where, values = f"{table.time} >= ? AND {table.time} < ?", list[Value]([from_ms, to_ms])
    if after is not None:
        names = list(table.columns)
        where += f" AND ({key}) > ({marks(len(table.key))})"
        values += [after[names.index(name)] for name in table.key]
    return await session.rows(
        f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {where} ORDER BY {key} LIMIT ?",
        *values,
        limit,
    )

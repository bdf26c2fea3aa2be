"""Old rows go, a few at a time; and how many there are."""

from typing import Any, Final

from regimes.errors import ConfigError
from regimes.storage import migrate
from regimes.storage.session import Session


def _oldest(table: str, key: str, time: str, spared: str = "") -> str:
    return (
        f"DELETE FROM {table} WHERE ({key}) IN "
        f"(SELECT {key} FROM {table} WHERE {time} < ? {spared}ORDER BY {time} LIMIT ?)"
    )


# An episode goes with all its states, once its newest one closed it and nothing of it waits to be sent.
_ENDED_EVENTS: Final = (
    "DELETE FROM market_events WHERE id IN (SELECT e.id FROM market_events e "
    "WHERE e.phase = 'closed' AND e.ts_ms < ? "
    "AND NOT EXISTS (SELECT 1 FROM market_events n WHERE n.id = e.id AND n.revision > e.revision) "
    "AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id AND d.status = 'pending') "
    "ORDER BY e.ts_ms LIMIT ?)"
)
_PURGE: Final = {
    "market_events": _ENDED_EVENTS,
    "decisions": _oldest("decisions", "event_id, ts_ms, revision, endpoint, action", "ts_ms"),
    "deliveries": _oldest(
        "deliveries", "id", "created_ms", "AND status <> 'pending' AND coalesce(lease_until_ms, 0) < ? "
    ),
    "webhook_logs": _oldest("webhook_logs", "delivery_id, started_ms, attempt", "started_ms"),
    "liquidations": _oldest("liquidations", "ts_ms, venue, symbol, closed, fill_price, base_qty", "ts_ms"),
    "readings": _oldest("readings", "feature, symbol, ts_ms", "ts_ms"),
    "silences": _oldest("silences", "id", "until_ms"),
}
TABLES: Final = (*_PURGE, "endpoints", "engine_state", "scores", "spool")


async def purge(session: Session, table: str, before_ms: int, limit: int) -> int:
    """Delete up to `limit` rows older than a time; how many went."""
    if table not in _PURGE:
        raise ConfigError(f"table to purge must be one of {', '.join(_PURGE)} (got {table!r})")
    sql = _PURGE[table]
    times = [before_ms] * (sql.count("?") - 1)
    return await session.run(sql, *times, limit)


async def counts(session: Session) -> dict[str, Any]:
    """Rows by table, deliveries by status, version of the schema."""
    rows = {table: (await session.rows(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}
    by_status = await session.rows("SELECT status, count(*) FROM deliveries GROUP BY status")
    return {
        "rows": rows,
        "deliveries": dict(by_status),
        "schema_version": await migrate.version(session),
    }

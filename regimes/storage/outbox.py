"""Deliveries: written with their event, taken with a lease, settled with the attempt that was made."""

from collections.abc import Sequence
from typing import Final

from regimes.storage.base import Attempt, Delivery, DeliveryStatus, NewDelivery, Settlement
from regimes.storage.rows import columns, from_rows, insert, to_row
from regimes.storage.session import Session, Value, marks

_COLUMNS: Final = columns(Delivery)
_INSERT: Final = insert("deliveries", Delivery)
_INSERT_ATTEMPT: Final = insert("webhook_logs", Attempt)
_SUPERSEDE: Final = (
    "UPDATE deliveries SET status = 'superseded' "
    "WHERE endpoint = ? AND collapse_key = ? AND status = 'pending' AND id <> ?"
)
_EXPIRE: Final = (
    "UPDATE deliveries SET status = 'expired', lease_until_ms = NULL WHERE endpoint = ? AND status = 'pending' "
    "AND expires_at_ms <= ? AND coalesce(lease_until_ms, 0) <= ?"
)
# When the last of the deliveries that share a collapse key is let go, this one included.
_FREE_MS: Final = (
    "coalesce((SELECT max(o.lease_until_ms) FROM deliveries o WHERE o.endpoint = d.endpoint "
    "AND o.collapse_key = d.collapse_key AND o.lease_until_ms IS NOT NULL), 0)"
)
_MESSAGE_AT_ENDPOINT: Final = (
    "(SELECT p.provider_message_id FROM deliveries p WHERE p.event_id = deliveries.event_id "
    "AND p.endpoint = deliveries.endpoint AND p.provider_message_id IS NOT NULL "
    "ORDER BY p.revision DESC, p.reminder DESC LIMIT 1)"
)
# The row's own lease is asked for too: what a competitor committed meanwhile is seen only there.
_CLAIM: Final = (
    "WITH due AS (SELECT d.id FROM deliveries d WHERE d.endpoint = ? AND d.status = 'pending' "
    f"AND d.next_at_ms <= ? AND coalesce(d.lease_until_ms, 0) <= ? AND {_FREE_MS} <= ? "
    "ORDER BY d.created_ms, d.id LIMIT ?{skip_locked}) "
    "UPDATE deliveries SET lease_until_ms = ? WHERE id IN (SELECT id FROM due) "
    f"RETURNING {_COLUMNS.replace('provider_message_id', _MESSAGE_AT_ENDPOINT)}"
)
_NEXT_DUE: Final = (
    f"SELECT min(CASE WHEN {_FREE_MS} > d.next_at_ms THEN {_FREE_MS} ELSE d.next_at_ms END) "
    "FROM deliveries d WHERE d.endpoint = ? AND d.status = 'pending'"
)
_SETTLE: Final = (
    "UPDATE deliveries SET status = ?, next_at_ms = coalesce(?, next_at_ms), attempt = ?, lease_until_ms = NULL, "
    "provider_message_id = coalesce(?, provider_message_id) WHERE id = ?"
)
_OPEN_TRY: Final = " AND status = 'pending' AND attempt < ?"
_LET_GO: Final = "UPDATE deliveries SET lease_until_ms = NULL WHERE id = ? AND status <> 'pending'"
_REPLAY: Final = (
    "UPDATE deliveries SET status = 'pending', attempt = 0, is_replay = 1, lease_until_ms = NULL, next_at_ms = ?, "
    "expires_at_ms = ? WHERE coalesce(lease_until_ms, 0) <= ? AND "
)
_HURRY: Final = "UPDATE deliveries SET next_at_ms = ? WHERE endpoint = ? AND status = 'pending' AND attempt > 0 AND next_at_ms > ?"


async def add(session: Session, deliveries: Sequence[NewDelivery]) -> None:
    """Append pending deliveries; each supersedes what waits for the same endpoint under its collapse key."""
    for new in deliveries:
        stored = Delivery(
            **{field: getattr(new, field) for field in new.__struct_fields__},
            status=DeliveryStatus.PENDING,
            attempt=0,
        )
        if await session.run(_INSERT, *to_row(stored)):
            await session.run(_SUPERSEDE, new.endpoint, new.collapse_key, new.id)


async def claim(
    session: Session, endpoint: str, now_ms: int, lease_ms: int, limit: int
) -> Sequence[Delivery]:
    """Lease up to `limit` due deliveries, oldest first."""
    await session.run(_EXPIRE, endpoint, now_ms, now_ms)
    sql = _CLAIM.replace("{skip_locked}", session.skip_locked)
    found = await session.rows(sql, endpoint, now_ms, now_ms, now_ms, limit, now_ms + lease_ms)
    return sorted(from_rows(Delivery, found), key=lambda d: (d.created_ms, d.id))


async def lease(session: Session, delivery_ids: Sequence[str], until_ms: int) -> int:
    """Mark deliveries as being sent, as `claim` did elsewhere; how many are there."""
    return await session.run(
        f"UPDATE deliveries SET lease_until_ms = ? WHERE id IN ({marks(len(delivery_ids))}) AND status = 'pending'",
        until_ms,
        *delivery_ids,
    )


async def settle(session: Session, attempt: Attempt, settlement: Settlement) -> bool:
    """Record an attempt and what follows from it; whether the delivery is there."""
    if not await session.run(_INSERT_ATTEMPT, *to_row(attempt)):
        return True
    consequence: list[Value] = [
        settlement.status,
        settlement.next_at_ms,
        attempt.attempt,
        settlement.provider_message_id,
        attempt.delivery_id,
    ]
    if settlement.status is DeliveryStatus.DELIVERED:
        return bool(await session.run(_SETTLE, *consequence))
    if await session.run(_SETTLE + _OPEN_TRY, *consequence, attempt.attempt):
        return True
    await session.run(_LET_GO, attempt.delivery_id)
    return bool(await session.rows("SELECT 1 FROM deliveries WHERE id = ?", attempt.delivery_id))


async def next_due_ms(session: Session, endpoint: str) -> int | None:
    """When the next pending delivery may be claimed."""
    found = await session.rows(_NEXT_DUE, endpoint)
    due: int | None = found[0][0]
    return due


async def hurry(session: Session, endpoint: str, now_ms: int) -> int:
    """Make what waits for another try due now; how many."""
    return await session.run(_HURRY, now_ms, endpoint, now_ms)


async def replay(
    session: Session, now_ms: int, delivery_id: str | None, since_ms: int | None, expires_at_ms: int
) -> int:
    """Make deliveries pending again; how many."""
    common = (now_ms, expires_at_ms, now_ms)
    if delivery_id is not None:
        return await session.run(_REPLAY + "id = ?", *common, delivery_id)
    if since_ms is not None:
        ended = "created_ms >= ? AND status IN ('delivered', 'expired', 'dead')"
        return await session.run(_REPLAY + ended, *common, since_ms)
    return await session.run(_REPLAY + "status = 'dead'", *common)


async def listed(
    session: Session,
    event_id: str | None,
    status: str | None,
    limit: int,
    endpoint: str | None = None,
    before: tuple[int, str] | None = None,
) -> Sequence[Delivery]:
    """Newest first. before: only those older than this `created_ms` and `id`."""
    wanted = [("event_id = ?", event_id), ("status = ?", status), ("endpoint = ?", endpoint)]
    clauses = [clause for clause, value in wanted if value is not None]
    values: list[Value] = [value for _, value in wanted if value is not None]
    if before is not None:
        clauses.append("(created_ms, id) < (?, ?)")
        values += before
    where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
    found = await session.rows(
        f"SELECT {_COLUMNS} FROM deliveries {where}ORDER BY created_ms DESC, id DESC LIMIT ?",
        *values,
        limit,
    )
    return from_rows(Delivery, found)


async def attempts_of(session: Session, delivery_id: str) -> Sequence[Attempt]:
    """Oldest first."""
    found = await session.rows(
        f"SELECT {columns(Attempt)} FROM webhook_logs WHERE delivery_id = ? ORDER BY started_ms, attempt",
        delivery_id,
    )
    return from_rows(Attempt, found)


async def delivery(session: Session, delivery_id: str) -> Delivery | None:
    """One delivery."""
    found = await session.rows(f"SELECT {_COLUMNS} FROM deliveries WHERE id = ?", delivery_id)
    return from_rows(Delivery, found)[0] if found else None

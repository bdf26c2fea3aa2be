"""Changes that wait for another database, in the order they were made, each applied there exactly once."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final, TypeAlias
from uuid import uuid4

import msgspec

from regimes.storage import outbox
from regimes.storage.base import Delivery, Step
from regimes.storage.changes import Change, Commit, Lease, PutEndpoint, PutState
from regimes.storage.session import Session

BATCH: Final = 200
BATCH_BYTES: Final = 500_000
"""Some 5,000 rows: well within the time that one transaction may take."""
Entry: TypeAlias = tuple[int, Change]

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Change] = msgspec.msgpack.Decoder(Change)
_PROGRESS: Final = (
    "INSERT INTO spool_progress (spool_id, seq) VALUES (?, ?) "
    "ON CONFLICT (spool_id) DO UPDATE SET seq = excluded.seq"
)
_TURN: Final = "turn"
"""In the database that spools flow back to: how many turns services have had, and (with a spool's name) which was its last."""
# Numbers go on where the cleared ones ended: they are never used twice. A newer state takes over the time of the
# one it replaces, so that the oldest time tells when the other database went away.
_KEEP: Final = (
    "INSERT INTO spool (seq, ts_ms, replaces, body) SELECT 1 + coalesce("
    "(SELECT max(seq) FROM spool), (SELECT max(seq) FROM spool_progress), 0), "
    "coalesce((SELECT min(ts_ms) FROM spool WHERE replaces = ?), ?), ?, ?"
)
_REPLACED: Final = "DELETE FROM spool WHERE replaces = ? AND seq < (SELECT max(seq) FROM spool)"
_COPIES: Final = (
    "spool",
    "market_events",
    "decisions",
    "deliveries",
    "webhook_logs",
    "liquidations",
    "readings",
    "scores",
)


async def identity(session: Session) -> str:
    """The spool's own name, made at its first use."""
    known = await session.rows("SELECT spool_id FROM spool_progress")
    if known:
        return str(known[0][0])
    spool_id = uuid4().hex
    await session.run(_PROGRESS, spool_id, 0)
    return spool_id


async def since_ms(session: Session) -> int | None:
    """When the oldest waiting change was made, None when none waits."""
    oldest: int | None = (await session.rows("SELECT min(ts_ms) FROM spool"))[0][0]
    return oldest


async def append(session: Session, change: Change, now_ms: int) -> int:
    """Apply a change here, and keep it for the other database, in one transaction."""
    found = await change.apply(session)
    await _keep(session, change, now_ms)
    return found


async def claim(
    session: Session, endpoint: str, now_ms: int, lease_ms: int, limit: int
) -> Sequence[Delivery]:
    """Claim here; the leases are kept for the other database too."""
    taken = await outbox.claim(session, endpoint, now_ms, lease_ms, limit)
    if taken:
        await _keep(session, Lease([delivery.id for delivery in taken], now_ms + lease_ms), now_ms)
    return taken


async def waiting(session: Session, after: int) -> Sequence[Entry]:
    """The next batch after a number, oldest first; at least one where any waits."""
    found = await session.rows("SELECT seq, body FROM spool WHERE seq > ? ORDER BY seq LIMIT ?", after, BATCH)
    sizes = accumulate(len(body) for _, body in found)
    fitting = max(1, sum(size <= BATCH_BYTES for size in sizes))
    return [(seq, _decoder.decode(body)) for seq, body in found[:fitting]]


async def count_waiting(session: Session, after: int) -> int:
    """How many come after a number."""
    return int((await session.rows("SELECT count(*) FROM spool WHERE seq > ?", after))[0][0])


async def progress(session: Session, spool_id: str) -> int:
    """Number of the last change of this spool that is in the database of `session`."""
    found = await session.rows("SELECT seq FROM spool_progress WHERE spool_id = ?", spool_id)
    return int(found[0][0]) if found else 0


async def begin_turn(session: Session, spool_id: str) -> None:
    """Note that the service of this spool has the database from now on."""
    turn = 1 + await progress(session, _TURN)
    await session.run(_PROGRESS, _TURN, turn)
    await session.run(_PROGRESS, f"{_TURN} {spool_id}", turn)


async def was_passed_over(session: Session, spool_id: str) -> bool:
    """Whether another service has had the database since that of this spool had it last."""
    mine = await progress(session, f"{_TURN} {spool_id}")
    return mine > 0 and mine != await progress(session, _TURN)


async def receive(session: Session, spool_id: str, entries: Sequence[Entry], *, states: bool = True) -> int:
    """Apply a batch and note how far it went, in one transaction; the number of the last.

    states: also what the engine knew, which would undo what another service has stored since.
    """
    done = await progress(session, spool_id)
    for seq, change in entries:
        if seq > done and (states or not isinstance(change, PutState)):
            await change.apply(session)
    last = max(done, entries[-1][0])
    await session.run(_PROGRESS, spool_id, last)
    return last


async def clear(session: Session, spool_id: str) -> None:
    """Forget what has flowed back, and its copies; what a restart must know stays."""
    last = (await session.rows("SELECT max(seq) FROM spool"))[0][0]
    if last is not None:
        await session.run(_PROGRESS, spool_id, last)
    for table in _COPIES:
        await session.run(f"DELETE FROM {table}")


async def _keep(session: Session, change: Change, now_ms: int) -> None:
    """Append to the spool; of what is only ever replaced, the newest is enough."""
    for part in _parts(change):
        key = _replaces(part)
        await session.run(_KEEP, key, now_ms, key, _encoder.encode(part))
        if key is not None:
            await session.run(_REPLACED, key)


def _parts(change: Change) -> Sequence[Change]:
    if not isinstance(change, Commit) or not change.step.state:
        return [change]
    rest = msgspec.structs.replace(change.step, state={})
    states = [PutState(name, body) for name, body in change.step.state.items()]
    return [Commit(rest), *states] if rest != Step() else states


def _replaces(change: Change) -> str | None:
    match change:
        case PutState(name):
            return f"state {name}"
        case PutEndpoint(name):
            return f"endpoint {name}"
        case _:
            return None

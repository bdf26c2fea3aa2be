"""Everything that can be written, as values: applied here and now, or kept in the spool and applied later.

`apply` says how many rows a change found; what that means is up to the kind of change.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from regimes.alerting.records import Silence
from regimes.observations import Liquidation
from regimes.storage import archive, event_log, memory, outbox, scores
from regimes.storage.base import Attempt, ReadingRow, ScoreRow, Settlement, Step
from regimes.storage.session import Session


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """One step of the engine."""

    step: Step

    async def apply(self, session: Session) -> int:
        await event_log.add_events(session, self.step.events)
        await event_log.add_decisions(session, self.step.decisions)
        await outbox.add(session, self.step.deliveries)
        return await memory.put_state(session, self.step.state)


class Lease(msgspec.Struct, frozen=True, tag="lease"):
    """Deliveries handed out by the spool, which the other database must not hand out too."""

    delivery_ids: Sequence[str]
    until_ms: int

    async def apply(self, session: Session) -> int:
        return await outbox.lease(session, self.delivery_ids, self.until_ms)


class Settle(msgspec.Struct, frozen=True, tag="settle"):
    """An attempt and its consequence. Finds 1 or 0: the delivery."""

    attempt: Attempt
    settlement: Settlement

    async def apply(self, session: Session) -> int:
        return await outbox.settle(session, self.attempt, self.settlement)


class Replay(msgspec.Struct, frozen=True, tag="replay"):
    """Deliveries made pending again."""

    now_ms: int
    delivery_id: str | None
    since_ms: int | None
    expires_at_ms: int

    async def apply(self, session: Session) -> int:
        return await outbox.replay(session, self.now_ms, self.delivery_id, self.since_ms, self.expires_at_ms)


class Hurry(msgspec.Struct, frozen=True, tag="hurry"):
    """Deliveries to one endpoint that wait no longer for their next try."""

    endpoint: str
    now_ms: int

    async def apply(self, session: Session) -> int:
        return await outbox.hurry(session, self.endpoint, self.now_ms)


class PutState(msgspec.Struct, frozen=True, tag="put_state"):
    """One row of `engine_state`."""

    name: str
    body: bytes

    async def apply(self, session: Session) -> int:
        return await memory.put_state(session, {self.name: self.body})


class PutEndpoint(msgspec.Struct, frozen=True, tag="put_endpoint"):
    """State of one endpoint."""

    name: str
    state: bytes

    async def apply(self, session: Session) -> int:
        return await memory.put_endpoint(session, self.name, self.state)


class PutSilence(msgspec.Struct, frozen=True, tag="put_silence"):
    """A silence, new or changed."""

    silence: Silence

    async def apply(self, session: Session) -> int:
        return await memory.put_silence(session, self.silence)


class DeleteSilence(msgspec.Struct, frozen=True, tag="delete_silence"):
    """A silence taken back. Finds 1 or 0."""

    silence_id: str

    async def apply(self, session: Session) -> int:
        return await memory.delete_silence(session, self.silence_id)


class PutScore(msgspec.Struct, frozen=True, tag="put_score"):
    """What followed events."""

    score: ScoreRow

    async def apply(self, session: Session) -> int:
        return await scores.put(session, self.score)


class AddRows(msgspec.Struct, frozen=True, tag="add_rows"):
    """A batch of liquidations and readings."""

    liquidations: Sequence[Liquidation]
    readings: Sequence[ReadingRow]

    async def apply(self, session: Session) -> int:
        return await archive.add(session, self.liquidations, self.readings)


Change: TypeAlias = (
    Commit
    | Lease
    | Settle
    | Replay
    | Hurry
    | PutState
    | PutEndpoint
    | PutSilence
    | DeleteSilence
    | PutScore
    | AddRows
)

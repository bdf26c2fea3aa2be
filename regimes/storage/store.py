"""Storage in terms of three things a database can do: apply a change, run a transaction, read."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from regimes.alerting.records import Decision, Silence
from regimes.errors import StorageError
from regimes.events import EventBody
from regimes.observations import Liquidation
from regimes.storage import archive, event_log, memory, outbox, retention, scores
from regimes.storage.base import (
    Attempt,
    Delivery,
    EventPage,
    EventQuery,
    Liquidated,
    LiquidationPlace,
    ReadingRow,
    ScoreRow,
    Settlement,
    Step,
)
from regimes.storage.buffer import Buffer
from regimes.storage.changes import (
    Change,
    Commit,
    DeleteSilence,
    Hurry,
    PutEndpoint,
    PutScore,
    PutSilence,
    Replay,
    Settle,
)
from regimes.storage.session import Session

ResultT = TypeVar("ResultT")
Work: TypeAlias = Callable[[Session], Awaitable[ResultT]]


class Store(ABC):
    """Every method of `Storage`, once, for all of its kinds."""

    def __init__(self) -> None:
        self.buffer = Buffer(self.apply)

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def apply(self, change: Change) -> int:
        """Write one change in one transaction."""

    @abstractmethod
    async def read(self, work: Work[ResultT]) -> ResultT:
        """Run queries that change nothing; they wait for no writer."""

    @abstractmethod
    async def write(self, work: Work[ResultT]) -> ResultT:
        """Run one transaction; all of it holds, or an error is raised and nothing does.

        work: may be run again after its transaction was undone, so it must change nothing but the database.
        """

    @abstractmethod
    async def bytes_used(self) -> int:
        """What the database takes on its disk."""

    @abstractmethod
    async def claim(self, endpoint: str, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[Delivery]: ...

    async def flush(self) -> None:
        await self.buffer.flush()

    async def commit(self, step: Step) -> None:
        await self.apply(Commit(step))

    async def load_state(self) -> dict[str, bytes]:
        return await self.read(memory.state)

    async def settle(self, attempt: Attempt, settlement: Settlement) -> None:
        if attempt.attempt < 1:
            raise ValueError(f"attempt must be counted from 1 (got {attempt.attempt})")
        if not await self.apply(Settle(attempt, settlement)):
            raise StorageError(
                f"delivery {attempt.delivery_id} is not in the database: its attempt {attempt.attempt} "
                f"({attempt.outcome}) is recorded, its state cannot be"
            )

    async def next_due_ms(self, endpoint: str) -> int | None:
        return await self.read(partial(outbox.next_due_ms, endpoint=endpoint))

    async def hurry(self, endpoint: str, *, now_ms: int) -> int:
        return await self.apply(Hurry(endpoint, now_ms))

    async def replay(
        self, *, now_ms: int, delivery_id: str | None, since_ms: int | None, expires_at_ms: int
    ) -> int:
        return await self.apply(Replay(now_ms, delivery_id, since_ms, expires_at_ms))

    async def deliveries(
        self,
        *,
        event_id: str | None,
        status: str | None,
        limit: int,
        endpoint: str | None = None,
        before: tuple[int, str] | None = None,
    ) -> Sequence[Delivery]:
        listed = partial(outbox.listed, event_id=event_id, status=status, limit=limit)
        return await self.read(partial(listed, endpoint=endpoint, before=before))

    async def delivery(self, delivery_id: str) -> Delivery | None:
        return await self.read(partial(outbox.delivery, delivery_id=delivery_id))

    async def attempts(self, delivery_id: str) -> Sequence[Attempt]:
        return await self.read(partial(outbox.attempts_of, delivery_id=delivery_id))

    async def events(self, query: EventQuery) -> EventPage:
        return await self.read(partial(event_log.page, query=query))

    async def event(self, event_id: str) -> EventBody | None:
        return await self.read(partial(event_log.newest, event_id=event_id))

    async def states_after(self, event_id: str, revision: int, *, limit: int) -> Sequence[EventBody] | None:
        return await self.read(
            partial(event_log.states_after, event_id=event_id, revision=revision, limit=limit)
        )

    async def last_state(self) -> tuple[str, int] | None:
        return await self.read(event_log.last_state)

    async def decisions(self, event_id: str) -> Sequence[Decision]:
        return await self.read(partial(event_log.decisions_of, event_id=event_id))

    async def put_endpoint(self, name: str, state: bytes) -> None:
        await self.apply(PutEndpoint(name, state))

    async def endpoints(self) -> dict[str, bytes]:
        return await self.read(memory.endpoints)

    async def put_silence(self, silence: Silence) -> None:
        await self.apply(PutSilence(silence))

    async def delete_silence(self, silence_id: str) -> bool:
        return await self.apply(DeleteSilence(silence_id)) > 0

    async def silences(self) -> Sequence[Silence]:
        return await self.read(memory.silences)

    async def put_score(self, score: ScoreRow) -> None:
        await self.apply(PutScore(score))

    async def score(self, *, after_ms: int = 0) -> ScoreRow | None:
        return await self.read(partial(scores.newest, after_ms=after_ms))

    async def add_liquidations(self, liquidations: Sequence[Liquidation]) -> None:
        self.buffer.add([*liquidations])

    async def liquidations(
        self, *, since_ms: int, symbol: str | None, limit: int, before: LiquidationPlace | None = None
    ) -> Sequence[Liquidation]:
        wanted = partial(archive.liquidations, since_ms=since_ms, symbol=symbol, limit=limit)
        return await self.read(partial(wanted, before=before))

    async def liquidated(
        self, *, symbol: str | None, from_ms: int, to_ms: int, step_ms: int
    ) -> Sequence[Liquidated]:
        span = partial(archive.liquidated, symbol=symbol, from_ms=from_ms, to_ms=to_ms)
        return await self.read(partial(span, step_ms=step_ms))

    async def add_readings(self, readings: Sequence[ReadingRow]) -> None:
        self.buffer.add([*readings])

    async def readings(
        self, *, feature: str, symbol: str, from_ms: int, to_ms: int, limit: int
    ) -> Sequence[ReadingRow]:
        span = partial(archive.readings, feature=feature, symbol=symbol, from_ms=from_ms, to_ms=to_ms)
        return await self.read(partial(span, limit=limit))

    async def purge(self, table: str, before_ms: int, limit: int) -> int:
        return await self.write(partial(retention.purge, table=table, before_ms=before_ms, limit=limit))

    async def stats(self) -> dict[str, Any]:
        counts = await self.read(retention.counts)
        buffer = {"waiting": len(self.buffer), "dropped": dict(self.buffer.dropped)}
        return {**counts, "bytes": await self.bytes_used(), "buffer": buffer}

"""What storage promises, whatever is behind it. SQLite and PostgreSQL pass the same tests."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import msgspec

from regimes.alerting.records import Decision, Silence
from regimes.errors import StorageError
from regimes.events import EventBody
from regimes.observations import Liquidation

LiquidationPlace: TypeAlias = tuple[int, str, str, str, float, float]
"""Where a liquidation stands among all: ts_ms, venue, symbol, closed, fill_price, base_qty."""


class StorageAwayError(StorageError):
    """The database cannot be reached or takes nothing just now: the same call may succeed later or elsewhere."""


class StorageTakenError(StorageError):
    """Another service uses the database. The text says where it is and what to do."""


class DeliveryStatus(StrEnum):
    """Where a delivery stands. `pending` is the only one that will be tried (again)."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    DEAD = "dead"


class Outcome(StrEnum):
    """How one attempt ended. `ambiguous`: the bytes left and no answer came."""

    DELIVERED = "delivered"
    RETRY = "retry"
    AMBIGUOUS = "ambiguous"
    PERMANENT = "permanent"
    BLOCKED = "blocked"


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message that must reach one endpoint.

    message: the event body and the message as JSON bytes, all that a restart needs to send it.
    collapse_key: a newer delivery to the same endpoint with the same key supersedes this one while it is pending.
    reminder: how often this same state was sent to the endpoint before, on purpose. One state goes to one
    endpoint once for each number of reminder, whatever `id` it comes with.
    """

    id: str
    event_id: str
    revision: int
    endpoint: str
    collapse_key: str
    created_ms: int
    next_at_ms: int
    expires_at_ms: int
    message: bytes
    reminder: int = 0


class Delivery(NewDelivery, frozen=True, kw_only=True):
    """A delivery as stored.

    attempt: tries settled so far; the next one is `attempt + 1`. provider_message_id: of the message this episode
    already has at the endpoint. is_replay: it was made pending again on purpose.
    """

    status: DeliveryStatus
    attempt: int
    lease_until_ms: int | None = None
    provider_message_id: str | None = None
    is_replay: bool = False


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try, for `webhook_logs`.

    attempt: counted from 1. note: our own words, never the text of an HTTP client's exception.
    """

    delivery_id: str
    endpoint: str
    attempt: int
    started_ms: int
    duration_ms: int
    outcome: Outcome
    status_code: int | None = None
    note: str = ""
    is_replay: bool = False


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a delivery after an attempt. next_at_ms: when it stays pending; None leaves it as it is."""

    status: DeliveryStatus
    next_at_ms: int | None = None
    provider_message_id: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one decision of the engine leaves behind; written whole or not at all."""

    events: Sequence[EventBody] = ()
    decisions: Sequence[Decision] = ()
    deliveries: Sequence[NewDelivery] = ()
    state: Mapping[str, bytes] = {}
    """Rows of `engine_state` to replace: `engine`, `policy`, ..."""


class ReadingRow(msgspec.Struct, frozen=True):
    """One reading kept for history."""

    ts_ms: int
    feature: str
    symbol: str
    body: bytes


class Liquidated(msgspec.Struct, frozen=True):
    """What was liquidated in one step of time: US dollars of longs and of shorts, and how many orders."""

    open_ms: int
    long_usd: float
    short_usd: float
    count: int


class ScoreRow(msgspec.Struct, frozen=True):
    """What followed events, as measured at a time. body: the whole table as JSON; settings: a name for what made the events."""

    made_ms: int
    from_ms: int
    to_ms: int
    source: str
    settings: str
    body: bytes


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of /api/events and `regimes events`; newest first, `cursor` as the previous page gave it.

    Order and `from_ms` (inclusive) to `to_ms` (exclusive) go by the start of the episode, which never changes: a page
    stays where it is while episodes are added and go on. The other filters look at the newest state.
    """

    event_type: str | None = None
    symbol: str | None = None
    severity: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    limit: int = 100
    cursor: str | None = None


class EventPage(msgspec.Struct, frozen=True):
    """One page of events and the cursor of the next, None on the last."""

    events: Sequence[EventBody]
    cursor: str | None


class Storage(Protocol):
    """Everything that must outlive the process.

    Raises StorageError when it cannot be reached or is full, and DataError for a value no database takes. What has
    returned without an error is on disk, except `add_liquidations` and `add_readings`.
    """

    async def open(self) -> None:
        """Connect and bring the schema to the newest version."""
        ...

    async def close(self) -> None:
        """Flush and disconnect."""
        ...

    async def flush(self) -> None:
        """Write the liquidations and readings that wait in memory; does nothing when none do."""
        ...

    async def commit(self, step: Step) -> None:
        """Write one step in one transaction; writing the same step again changes nothing.

        A new delivery supersedes the pending ones of the same endpoint and collapse key.
        """
        ...

    async def load_state(self) -> dict[str, bytes]:
        """All rows of `engine_state`."""
        ...

    async def claim(self, endpoint: str, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[Delivery]:
        """Take due deliveries, oldest first, leased; two workers never get the same one. Expires what is too late.

        A delivery waits while another of its endpoint and collapse key is leased: a state that is being sent is
        followed by the next one, not overtaken by it.
        """
        ...

    async def settle(self, attempt: Attempt, settlement: Settlement) -> None:
        """Record an attempt and its consequence in one transaction; the same attempt again changes nothing.

        DELIVERED always holds. Anything else only for a delivery that is still pending (not superseded meanwhile) and
        whose try of this number nobody has settled. Raises StorageError for a delivery that is not there.
        """
        ...

    async def next_due_ms(self, endpoint: str) -> int | None:
        """When the next pending delivery of an endpoint is due: past its lease, and past that of one before it."""
        ...

    async def hurry(self, endpoint: str, *, now_ms: int) -> int:
        """Make what waits for another try at an endpoint due now, as it takes messages again; how many."""
        ...

    async def replay(
        self, *, now_ms: int, delivery_id: str | None, since_ms: int | None, expires_at_ms: int
    ) -> int:
        """Make one delivery, all since a time, or (neither given) all dead ones pending again; how many.

        Tries count from the beginning. What is being sent is left alone, and so are, except by their own id,
        deliveries that still wait and those superseded by a newer state.
        """
        ...

    async def deliveries(
        self,
        *,
        event_id: str | None,
        status: str | None,
        limit: int,
        endpoint: str | None = None,
        before: tuple[int, str] | None = None,
    ) -> Sequence[Delivery]:
        """Newest first. before: only those older than this `created_ms` and `id`."""
        ...

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """One delivery."""
        ...

    async def attempts(self, delivery_id: str) -> Sequence[Attempt]:
        """Oldest first."""
        ...

    async def events(self, query: EventQuery) -> EventPage:
        """A page of the newest state of each event."""
        ...

    async def event(self, event_id: str) -> EventBody | None:
        """The newest state of one event."""
        ...

    async def states_after(self, event_id: str, revision: int, *, limit: int) -> Sequence[EventBody] | None:
        """States of all events stored after this one, in the order they were; None when it is not stored (any more).

        An empty id stands for the beginning.
        """
        ...

    async def last_state(self) -> tuple[str, int] | None:
        """Id and revision of the state that was stored last."""
        ...

    async def decisions(self, event_id: str) -> Sequence[Decision]:
        """Oldest first."""
        ...

    async def put_endpoint(self, name: str, state: bytes) -> None:
        """Store breaker, migrated chat id and the like."""
        ...

    async def endpoints(self) -> dict[str, bytes]:
        """State by endpoint name."""
        ...

    async def put_silence(self, silence: Silence) -> None:
        """Add or replace."""
        ...

    async def delete_silence(self, silence_id: str) -> bool:
        """Whether there was one."""
        ...

    async def silences(self) -> Sequence[Silence]:
        """All, expired ones too."""
        ...

    async def put_score(self, score: ScoreRow) -> None:
        """Keep a table of what followed events; of all of them the newest ten stay."""
        ...

    async def score(self, *, after_ms: int = 0) -> ScoreRow | None:
        """The newest such table, None where there is none, or none made after a time."""
        ...

    async def add_liquidations(self, liquidations: Sequence[Liquidation]) -> None:
        """Keep raw liquidations; doubles are ignored. On disk within the flush interval (250 ms), and at close."""
        ...

    async def liquidations(
        self, *, since_ms: int, symbol: str | None, limit: int, before: LiquidationPlace | None = None
    ) -> Sequence[Liquidation]:
        """The newest `limit` since a time, oldest first; before: only those that stand before this place."""
        ...

    async def liquidated(
        self, *, symbol: str | None, from_ms: int, to_ms: int, step_ms: int
    ) -> Sequence[Liquidated]:
        """Sums a step of time from a time (inclusive) to a time (exclusive), oldest first; empty steps are left out."""
        ...

    async def add_readings(self, readings: Sequence[ReadingRow]) -> None:
        """Keep readings; doubles are ignored. On disk as liquidations are."""
        ...

    async def readings(
        self, *, feature: str, symbol: str, from_ms: int, to_ms: int, limit: int
    ) -> Sequence[ReadingRow]:
        """The oldest `limit` from a time (inclusive) to a time (exclusive), oldest first."""
        ...

    async def purge(self, table: str, before_ms: int, limit: int) -> int:
        """Delete up to `limit` old rows of a table; never a pending delivery or an open event; how many.

        Of `market_events`, up to `limit` episodes that have ended, with all their states. Silences go by their end.
        """
        ...

    async def stats(self) -> dict[str, Any]:
        """`rows` by table, `deliveries` by status, `bytes`, `schema_version`, `buffer`. Counts: not for each scrape."""
        ...

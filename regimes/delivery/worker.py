"""One endpoint's deliveries: claimed when due, sent a few at a time, settled; no other endpoint waits for them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import msgspec
import structlog

from regimes.alerting.message import Parcel, unpack
from regimes.clock import Clock
from regimes.delivery.base import Reply, Verdict
from regimes.delivery.breaker import Breaker, BreakerPhase
from regimes.delivery.channel import Channel
from regimes.delivery.consequence import after_ms, attempt_of, consequence
from regimes.delivery.counters import Counters
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.exchange import Tried, exchange
from regimes.delivery.pace import Pace
from regimes.delivery.patience import Patience
from regimes.delivery.state import EndpointState, enabled, held, is_worth_storing, learned, restored
from regimes.errors import StorageError
from regimes.storage.base import Attempt, Delivery, DeliveryStatus, Outcome, Storage

LATE_FROM_MS: Final = 60_000
"""A message says how late it is from here on."""
_IDLE_S: Final = 4.0
"""How long a worker sleeps when nothing is due: another process may have asked for a replay."""
_SHORTEST_PAUSE_S: Final = 0.005
_SOON_S: Final = 0.25
"""Within it most tries end, and wake the worker, which then need not ask what is due next."""
_AHEAD: Final = 4
_MOST_UNDER_WAY: Final = 64
"""Deliveries an endpoint may have claimed and not settled."""
_SETTLE_ALLOWANCE_S: Final = 5.0

_log = structlog.get_logger(__name__)


class Office(Protocol):
    """What a worker hands on to the outbox it belongs to."""

    async def endpoint_disabled(self, endpoint: Endpoint, reason: str, now_ms: int) -> None:
        """An endpoint was given up."""
        ...

    async def undelivered(self, delivery: Delivery, now_ms: int) -> None:
        """A delivery will not reach its endpoint."""
        ...

    def hold_kind(self, kind: Kind, until_ms: int) -> None:
        """Nothing goes to any endpoint of a kind before a time."""
        ...


class Shared(msgspec.Struct, frozen=True):
    """What all workers of an outbox use.

    jitter: a random number from 0 to 1 each time. redact: masks secrets in what is noted about a try.
    """

    storage: Storage
    clock: Clock
    jitter: Callable[[], float]
    timeout_s: float
    counters: Counters
    redact: Callable[[str], str]


class EndpointWorker:
    """Sends what is due for one endpoint until it is closed.

    under_way: that of a worker whose place it takes, so that nothing is sent by both.
    """

    def __init__(
        self, channel: Channel, shared: Shared, office: Office, pace: Pace, under_way: set[str] | None = None
    ) -> None:
        self._channel = channel
        self._shared = shared
        self._storage = shared.storage
        self._clock = shared.clock
        self._office = office
        self._pace = pace
        self._patience = Patience(shared.counters, channel.endpoint.name)
        # Two requests at most and the time to settle: nobody else may send a delivery while this worker might.
        self._lease_ms = after_ms(2 * shared.timeout_s + _SETTLE_ALLOWANCE_S)
        self._wake = asyncio.Event()
        self._closing = False
        self._senders = asyncio.Semaphore(channel.traits.workers)
        self._unsent = 0
        self._is_full = False
        """Whether more may be due than there was room for."""
        self.ids_under_way = set[str]() if under_way is None else under_way
        self.endpoint = channel.endpoint
        self.state = EndpointState(fingerprint=channel.endpoint.fingerprint)

    @property
    def under_way(self) -> int:
        """Deliveries claimed and not settled."""
        return len(self.ids_under_way)

    def restore(self, stored: bytes | None) -> None:
        """Take up what an earlier process knew of the endpoint."""
        self.state = restored(stored, self.endpoint.fingerprint)

    def wake(self) -> None:
        """Something new may be due."""
        self._wake.set()

    def close(self) -> None:
        """Start nothing more; `run` returns when what is under way is settled."""
        self._closing = True
        self._wake.set()

    def hold(self, until_ms: int) -> None:
        """Send nothing before a time; kept by the next save."""
        self.state = held(self.state, until_ms)

    async def enable(self) -> None:
        """Start anew with the endpoint and with all that was put off, as a person asked. Raises StorageError."""
        now_ms = self._clock.now_ms()
        state = enabled(self.state, now_ms)
        await self._storage.put_endpoint(self.endpoint.name, state.encode())
        await self._storage.hurry(self.endpoint.name, now_ms=now_ms)
        self.state = state
        self.wake()

    def look_at(self, stored: bytes | None) -> None:
        """Follow a person who enabled the endpoint from another process."""
        state = restored(stored, self.endpoint.fingerprint)
        if state.enabled_ms > self.state.enabled_ms:
            self.state = enabled(self.state, state.enabled_ms)
            self.wake()

    async def run(self) -> None:
        """Work until closed. A database that is away is waited for."""
        async with asyncio.TaskGroup() as sending:
            while not self._closing:
                self._wake.clear()
                try:
                    is_more = await self._start_due(sending)
                    pause_s = 0.0 if is_more else await self._pause_s()
                    self._patience.succeeded()
                except StorageError as error:
                    pause_s = self._patience.failed(error)
                if pause_s > 0:
                    await self._woken_within(pause_s)

    async def _start_due(self, sending: asyncio.TaskGroup) -> bool:
        """Claim and start what is due; whether there may be more of it right now."""
        now_ms = self._clock.now_ms()
        slots = self._slots(now_ms)
        self._is_full = not slots
        if not slots or self._held_s(now_ms) > 0:
            return False
        due = await self._storage.claim(
            self.endpoint.name, now_ms=now_ms, lease_ms=self._lease_ms, limit=slots
        )
        for delivery in due:
            # One whose settling waits for the database may be claimed again when its lease has run out.
            if delivery.id not in self.ids_under_way:
                self.ids_under_way.add(delivery.id)
                self._unsent += 1
                sending.create_task(self._deliver(delivery))
        self._is_full = len(due) == slots
        return self._is_full and self._slots(now_ms) > 0

    def _slots(self, now_ms: int) -> int:
        """How many deliveries to claim: as many as may be sent now, and from a healthy receiver's backlog some more."""
        breaker, workers = self.state.breaker, self._channel.traits.workers
        slots = breaker.slots(now_ms, under_way=self._unsent, workers=workers)
        if workers > 1 and breaker == Breaker() and self._unsent <= workers:
            slots = _AHEAD * workers - self._unsent
        return max(0, min(slots, _MOST_UNDER_WAY - len(self.ids_under_way)))

    def _held_s(self, now_ms: int) -> float:
        """How long the receiver, its kind or its rates keep us from sending. Nothing is sent to a parked one anyway."""
        if self.state.breaker.parked_reason is not None:
            return 0.0
        held_s = max(0, self.state.hold_until_ms - now_ms) / 1000
        return max(held_s, self._pace.wait_s(self._clock.monotonic()))

    async def _pause_s(self) -> float:
        now_ms = self._clock.now_ms()
        held_s = self._held_s(now_ms)
        if held_s > 0:
            return min(held_s, _IDLE_S)
        open_until_ms = self.state.breaker.open_until_ms
        if open_until_ms is not None and open_until_ms > now_ms:
            return min((open_until_ms - now_ms) / 1000, _IDLE_S)
        if self._unsent and await self._woken_within(_SOON_S):
            return 0.0
        if not self._slots(now_ms):
            return _IDLE_S
        due_ms = await self._storage.next_due_ms(self.endpoint.name)
        if due_ms is None:
            return _IDLE_S
        return min(max((due_ms - self._clock.now_ms()) / 1000, _SHORTEST_PAUSE_S), _IDLE_S)

    async def _woken_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        return self._wake.is_set()

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            tried = await self._try_in_turn(delivery)
            if tried is not None:
                await self._conclude(delivery, tried)
        finally:
            self.ids_under_way.discard(delivery.id)
            self._wake.set()

    async def _try_in_turn(self, delivery: Delivery) -> Tried | None:
        """Try it when a sender is free; the sender is free again before the database writes about the delivery."""
        try:
            async with self._senders:
                tried = await self._try(delivery)
            if tried is not None:
                await self._learn(tried, self._clock.now_ms())
            return tried
        finally:
            self._unsent -= 1
            if self._is_full:
                self._wake.set()

    async def _try(self, delivery: Delivery) -> Tried | None:
        """Send it; None to leave it: its lease runs out, and whoever may send then claims it anew."""
        now_ms = self._clock.now_ms()
        phase = self.state.breaker.phase(now_ms)
        if phase is BreakerPhase.PARKED:
            return _not_sent(f"endpoint is disabled: {self.state.breaker.parked_reason}", now_ms)
        if self._closing or phase is BreakerPhase.OPEN:
            return None
        try:
            parcel = unpack(delivery.message)
        except msgspec.DecodeError:
            return _not_sent("stored message cannot be read", now_ms)
        while (wait_s := self._held_s(self._clock.now_ms())) > 0:
            if not self._lease_covers(delivery, wait_s):
                return None
            await asyncio.sleep(wait_s)
        return await self._send(delivery, parcel) if self._lease_covers(delivery, 0) else None

    def _lease_covers(self, delivery: Delivery, wait_s: float) -> bool:
        done_ms = self._clock.now_ms() + after_ms(wait_s + 2 * self._shared.timeout_s)
        return delivery.lease_until_ms is not None and done_ms <= delivery.lease_until_ms

    async def _send(self, delivery: Delivery, parcel: Parcel) -> Tried:
        began_ms, began_s = self._clock.now_ms(), self._clock.monotonic()
        self._pace.begin(began_s)
        # A replay is wanted as a message of its own.
        may_edit = parcel.message.may_edit and not delivery.is_replay
        try:
            tried = await exchange(
                self._channel.target,
                self._channel.transport,
                _with_lateness(parcel, delivery, began_ms),
                self._clock,
                edit=delivery.provider_message_id if may_edit else None,
                memory=self.state.memory,
            )
            return _noted(tried, self._shared.redact)
        except Exception as error:  # noqa: BLE001 (a fault in one target must not stop the others)
            _log.error("delivery_failed_inside", endpoint=self.endpoint.name, error=type(error).__name__)
            reply = Reply(verdict=Verdict.RETRY, note=f"internal error: {type(error).__name__}")
            return Tried(outcome=Outcome.RETRY, reply=reply, began_ms=began_ms)
        finally:
            self._pace.end(began_s, self._clock.monotonic())

    async def _conclude(self, delivery: Delivery, tried: Tried) -> None:
        now_ms = self._clock.now_ms()
        settlement = consequence(
            delivery,
            tried,
            waits_s=self._channel.traits.waits_s,
            jitter=self._shared.jitter(),
            now_ms=now_ms,
        )
        attempt = attempt_of(delivery, tried)
        if settlement.status in {DeliveryStatus.DEAD, DeliveryStatus.EXPIRED}:
            await self._patience.until_done(lambda: self._office.undelivered(delivery, now_ms))
        await self._patience.until_done(lambda: self._storage.settle(attempt, settlement))
        self._count(attempt, settlement.status)
        if settlement.status is DeliveryStatus.DELIVERED and not delivery.is_replay:
            waited_ms = self._clock.now_ms() - delivery.created_ms
            self._shared.counters.waited[self.endpoint.name].add(waited_ms / 1000)

    async def _learn(self, tried: Tried, now_ms: int) -> None:
        """Breaker, holds and memory after a try; stored when a restart should know."""
        reply, before = tried.reply, self.state
        after = self.state = learned(before, tried, now_ms)
        if reply.hold_kind:
            self._office.hold_kind(self.endpoint.kind, now_ms + after_ms(reply.hold_s or 0.0))
        if after.breaker.parked_reason != before.breaker.parked_reason:
            # Told before it is stored: a crash between the two repeats the alert rather than losing it.
            await self._patience.until_done(
                lambda: self._office.endpoint_disabled(self.endpoint, reply.note, now_ms)
            )
        if before.breaker.openings and after.breaker == Breaker():
            # It is back: what was put off for minutes or hours while it was away is news now.
            await self._patience.until_done(lambda: self._storage.hurry(self.endpoint.name, now_ms=now_ms))
        if is_worth_storing(before, after, now_ms):
            await self._patience.until_done(
                lambda: self._storage.put_endpoint(self.endpoint.name, self.state.encode())
            )

    def _count(self, attempt: Attempt, status: DeliveryStatus) -> None:
        counters, name = self._shared.counters, self.endpoint.name
        counters.tries[name, attempt.outcome] += 1
        counters.seconds[name] += attempt.duration_ms / 1000
        if status is not DeliveryStatus.PENDING:
            counters.ended[name, status] += 1
        if status is not DeliveryStatus.DELIVERED:
            _log.warning(
                "not_delivered",
                endpoint=name,
                delivery=attempt.delivery_id,
                attempt=attempt.attempt,
                outcome=attempt.outcome.value,
                note=attempt.note,
                then=status.value,
            )


def _not_sent(reason: str, now_ms: int) -> Tried:
    reply = Reply(verdict=Verdict.PERMANENT, note=f"not sent: {reason}")
    return Tried(outcome=Outcome.PERMANENT, reply=reply, began_ms=now_ms)


def _noted(tried: Tried, redact: Callable[[str], str]) -> Tried:
    """The try with a note that may be stored, logged and shown."""
    if not tried.reply.note:
        return tried
    reply = msgspec.structs.replace(tried.reply, note=redact(tried.reply.note))
    return msgspec.structs.replace(tried, reply=reply)


def _with_lateness(parcel: Parcel, delivery: Delivery, now_ms: int) -> Parcel:
    """Its own lateness, if it came late, and the time it has waited here."""
    late_ms = (parcel.message.late_ms or 0) + now_ms - delivery.created_ms
    shown = late_ms if late_ms >= LATE_FROM_MS else None
    return msgspec.structs.replace(parcel, message=msgspec.structs.replace(parcel.message, late_ms=shown))

"""The dispatcher: takes committed deliveries to their endpoints, each endpoint by itself."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from regimes.alerting.message import delivery_id
from regimes.clock import Clock
from regimes.delivery.breaker import BreakerPhase
from regimes.delivery.channel import Channel
from regimes.delivery.counters import Counters
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.pace import Pace
from regimes.delivery.patience import Patience
from regimes.delivery.worker import EndpointWorker, Shared
from regimes.errors import ConfigError, StorageError
from regimes.redact import Redactor
from regimes.storage.base import Delivery, NewDelivery, Step, Storage

_WATCH_S: Final = 2.0
_log = structlog.get_logger(__name__)


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint as people see it."""

    name: str
    kind: str
    routes: list[str]
    phase: BreakerPhase
    reason: str | None
    hold_until_ms: int | None
    under_way: int


class Outbox:
    """Sends what storage holds as pending, at least once, with the same `webhook-id` on every try.

    clock: real time, which must be the one deliveries were created by. fallback: name of the endpoint that gets what
    another could not be given. on_disabled: told endpoint, reason and time before an endpoint is parked; may raise
    StorageError, and is then told again. jitter: spreads retries, 0 to 1. redact: masks secrets in notes about tries.
    Raises ConfigError when there is no endpoint of the fallback's name.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        storage: Storage,
        clock: Clock,
        *,
        timeout_s: float = 5.0,
        fallback: str = "",
        on_disabled: Callable[[Endpoint, str, int], Awaitable[None]] | None = None,
        jitter: Callable[[], float] = random.random,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self.counters = Counters([])
        self._storage = storage
        self._clock = clock
        self._on_disabled = on_disabled
        self._jitter = jitter
        self._redact = redact or Redactor()
        self._workers: dict[str, EndpointWorker] = {}
        self._closing = False
        self._changed = asyncio.Event()
        self.change(channels, timeout_s=timeout_s, fallback=fallback)

    def change(self, channels: Sequence[Channel], *, timeout_s: float, fallback: str) -> None:
        """Serve other endpoints from now on; what is under way to the former ones is finished.

        Raises ConfigError when there is no endpoint of the fallback's name, and changes nothing then.
        """
        names = [channel.endpoint.name for channel in channels]
        if fallback and fallback not in names:
            raise ConfigError(
                f"delivery.fallback: no endpoint {fallback!r}; there are {', '.join(names) or 'none'}"
            )
        self.counters.add(names)
        shared = Shared(self._storage, self._clock, self._jitter, timeout_s, self.counters, self._redact)
        paces: dict[str, Pace] = {}
        former, self._workers = self._workers, {}
        for channel in channels:
            name = channel.endpoint.name
            pace = paces.setdefault(channel.traits.pace_key or name, Pace(channel.traits.rates))
            under_way = former[name].ids_under_way if name in former else None
            self._workers[name] = EndpointWorker(channel, shared, self, pace, under_way)
        self._expiry_ms = {channel.endpoint.name: channel.traits.expiry_ms for channel in channels}
        self._fallback = fallback
        for worker in former.values():
            worker.close()
        self._changed.set()

    async def run(self) -> None:
        """Work until `close`; deliveries that are under way then are finished."""
        watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as group:
                while not self._closing:
                    self._changed.clear()
                    await self._restore()
                    for worker in self._workers.values():
                        group.create_task(worker.run(), name=f"outbox {worker.endpoint.name}")
                    await self._changed.wait()
        finally:
            watching.cancel()

    def close(self) -> None:
        """Start nothing more. What is under way takes up to two timeouts; a cancelled `run` leaves it to its leases."""
        self._closing = True
        for worker in self._workers.values():
            worker.close()
        self._changed.set()

    def wake(self, endpoints: Iterable[str] | None = None) -> None:
        """New deliveries were committed for these endpoints (None: for any)."""
        for name in self._workers if endpoints is None else endpoints:
            if name in self._workers:
                self._workers[name].wake()

    async def replay(
        self, *, expires_at_ms: int, delivery_id: str | None = None, since_ms: int | None = None
    ) -> int:
        """Send again one delivery, all since a time, or (neither given) all dead ones; how many."""
        count = await self._storage.replay(
            now_ms=self._clock.now_ms(),
            delivery_id=delivery_id,
            since_ms=since_ms,
            expires_at_ms=expires_at_ms,
        )
        self.wake()
        return count

    async def enable(self, name: str) -> None:
        """Send to a parked or failing endpoint again. Raises ConfigError for an unknown one, StorageError."""
        if name not in self._workers:
            raise ConfigError(f"no endpoint {name!r}; there are {self._names()}")
        await self._workers[name].enable()

    def status(self) -> list[EndpointStatus]:
        """Every endpoint, in the order of the configuration."""
        now_ms = self._clock.now_ms()
        return [_status(worker, now_ms) for worker in self._workers.values()]

    async def endpoint_disabled(self, endpoint: Endpoint, reason: str, now_ms: int) -> None:
        """A worker gives its endpoint up."""
        _log.error("endpoint_disabled", endpoint=endpoint.name, reason=reason)
        if self._on_disabled is not None:
            await self._on_disabled(endpoint, reason, now_ms)

    async def undelivered(self, delivery: Delivery, now_ms: int) -> None:
        """A worker could not deliver; the fallback gets it once, unless it is the one that failed."""
        if not self._fallback or delivery.endpoint == self._fallback:
            return
        diverted = NewDelivery(
            id=delivery_id(delivery.event_id, delivery.revision, self._fallback, reminder=delivery.reminder),
            event_id=delivery.event_id,
            revision=delivery.revision,
            endpoint=self._fallback,
            collapse_key=delivery.collapse_key,
            created_ms=delivery.created_ms,
            next_at_ms=now_ms,
            expires_at_ms=now_ms + self._expiry_ms[self._fallback],
            message=delivery.message,
            reminder=delivery.reminder,
        )
        await self._storage.commit(Step(deliveries=[diverted]))
        self.counters.diverted[delivery.endpoint] += 1
        self.wake([self._fallback])

    def hold_kind(self, kind: Kind, until_ms: int) -> None:
        """A worker was told that its kind of receiver wants nothing from us for a while."""
        for worker in self._workers.values():
            if worker.endpoint.kind is kind:
                worker.hold(until_ms)

    async def _restore(self) -> None:
        stored: dict[str, bytes] = {}

        async def load() -> None:
            stored.update(await self._storage.endpoints())

        await Patience(self.counters, "outbox").until_done(load)
        for name, worker in self._workers.items():
            worker.restore(stored.get(name))

    async def _watch(self) -> None:
        """Look now and then for endpoints that a person enabled from another process."""
        while True:
            await asyncio.sleep(_WATCH_S)
            with suppress(StorageError):
                stored = await self._storage.endpoints()
                for name, worker in self._workers.items():
                    worker.look_at(stored.get(name))

    def _names(self) -> str:
        return ", ".join(self._workers) or "none"


def _status(worker: EndpointWorker, now_ms: int) -> EndpointStatus:
    state = worker.state
    return EndpointStatus(
        name=worker.endpoint.name,
        kind=worker.endpoint.kind.value,
        routes=sorted(worker.endpoint.routes),
        phase=state.breaker.phase(now_ms),
        reason=state.breaker.parked_reason,
        hold_until_ms=state.hold_until_ms if state.hold_until_ms > now_ms else None,
        under_way=worker.under_way,
    )

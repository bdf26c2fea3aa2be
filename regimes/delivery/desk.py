"""The desk between engine and outbox: events go through the policy into storage, whole, before anything is sent."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from regimes.alerting.policy import Policy
from regimes.alerting.records import Decision, Dispatch, Silence, Verdicts
from regimes.alerting.render import render
from regimes.clock import Clock
from regimes.delivery.endpoints import Endpoint
from regimes.delivery.enqueue import Letter, new_delivery
from regimes.delivery.settings import DEFAULTS, DeliverySettings
from regimes.errors import StorageError
from regimes.events import Event, EventBody, body
from regimes.storage.base import NewDelivery, Step, Storage

_PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_log = structlog.get_logger(__name__)

Links = Callable[[Event], Mapping[str, str]]
Enrich = Callable[[EventBody], EventBody]


class Written(msgspec.Struct, frozen=True):
    """What has just become durable."""

    events: Sequence[EventBody]
    decisions: Sequence[Decision]


class StateKeeper(Protocol):
    """Knows what a restart must know."""

    def take(self, *, whole: bool) -> Mapping[str, bytes]:
        """What must be written now. whole: also what could be found elsewhere after a crash."""
        ...

    def stored(self) -> None:
        """What was last taken is on disk."""
        ...


class AlertDesk:
    """Takes events in the engine's turn, writes them in order, and wakes the outbox once they are on disk.

    Nothing is lost while the database refuses: what waits is kept and written as one step when it takes it again.
    Event time decides, as `take` and `tick` are told it; clock is real time, the outbox's. states: what must be
    written with the events, such as what the engine knows; taken once for each try to write, between two turns of
    the engine, so that it is the state right after the last event that is written with it. enrich:
    adds what is known beside the event; quick, as it is called for each. settings: how long a message is worth sending.
    """

    def __init__(
        self,
        policy: Policy,
        storage: Storage,
        endpoints: Sequence[Endpoint],
        clock: Clock,
        *,
        states: StateKeeper,
        links: Links = lambda _event: {},
        enrich: Enrich = lambda whole: whole,
        wake: Callable[[], None] = lambda: None,
        on_written: Callable[[Written], None] = lambda _written: None,
        settings: DeliverySettings = DEFAULTS,
    ) -> None:
        self.policy = policy
        self.silences: Sequence[Silence] = ()
        self.failing_since: float | None = None
        """Monotonic time since which the database has refused steps; None while it takes them."""
        self.last_error = ""
        self.commits = 0
        self.commit_seconds = 0.0
        """Real seconds that `commits` steps took to be on disk."""
        self._storage = storage
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._clock = clock
        self._states = states
        self._links = links
        self._enrich = enrich
        self._wake = wake
        self._on_written = on_written
        self._settings = settings
        self._waiting: list[Step] = []
        self._saving = False
        self._has_work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Steps that are not on disk yet."""
        return len(self._waiting)

    def change(self, endpoints: Sequence[Endpoint], links: Links, settings: DeliverySettings) -> None:
        """Write for other endpoints from now on; the policy must have their routes."""
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._links = links
        self._settings = settings

    def take(self, events: Sequence[Event], now_ms: int) -> None:
        """Decide about events; they and what follows from them will be written together."""
        verdicts = [self.policy.decide(event, now_ms, self.silences) for event in events]
        self._put(events, verdicts)

    def note(self, events: Sequence[Event], now_ms: int) -> None:
        """Store events that are news to nobody, such as those of the history; later states of them may be."""
        self._put(events, [self.policy.note(event, now_ms) for event in events])

    def tick(self, now_ms: int) -> None:
        """Let the policy send what has become due."""
        verdicts = self.policy.tick(now_ms, self.silences)
        if verdicts.decisions:
            self._put([], [verdicts])

    def save(self) -> None:
        """Write all of the state, so that a restart goes on from here."""
        self._saving = True
        self._add(Step())

    async def load_silences(self) -> None:
        """Read the silences that people have made. Raises StorageError."""
        silences = await self._storage.silences()
        if list(silences) != list(self.silences):
            _log.info("silences_changed", silences=[silence.id for silence in silences])
        self.silences = silences

    async def run(self) -> None:
        """Write what is taken until cancelled."""
        failures = 0
        while True:
            await self._has_work.wait()
            steps, self._waiting = self._waiting, []
            self._has_work.clear()
            step, saving, self._saving = _joined(steps), self._saving, False
            began = self._clock.monotonic()
            try:
                await self._storage.commit(
                    msgspec.structs.replace(step, state=self._states.take(whole=saving))
                )
            except StorageError as error:
                self._saving |= saving
                self._refused(step, error)
                await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1
            except BaseException:
                self._waiting.insert(0, step)
                raise
            else:
                failures, self.failing_since = 0, None
                self._states.stored()
                self.commits += 1
                self.commit_seconds += self._clock.monotonic() - began
                self._told(step)

    async def drained(self) -> None:
        """Wait until everything taken is on disk."""
        await self._idle.wait()

    def _put(self, events: Sequence[Event], verdicts: Sequence[Verdicts]) -> None:
        made = [sent.event for each in verdicts for sent in each.dispatches if not sent.reminder]
        known = {(event.id, event.revision) for event in events}
        # Bursts, digests and notices are events of the policy's own; what is repeated is stored already.
        own = {(event.id, event.revision): event for event in made if (event.id, event.revision) not in known}
        self._add(
            Step(
                events=[self._body(event) for event in [*events, *own.values()]],
                decisions=[decision for each in verdicts for decision in each.decisions],
                deliveries=self._deliveries([sent for each in verdicts for sent in each.dispatches]),
            )
        )

    def _deliveries(self, dispatches: Sequence[Dispatch]) -> list[NewDelivery]:
        """One a dispatch; what several endpoints get alike is put into words once."""
        now_ms, letters = self._clock.now_ms(), dict[tuple[int, bool, int], Letter]()
        made = []
        for sent in dispatches:
            key = (id(sent.event), sent.edit, sent.reminder)
            letter = letters.get(key) or letters.setdefault(key, self._letter(sent))
            endpoint = self._endpoints[sent.endpoint]
            made.append(new_delivery(letter, endpoint, now_ms=now_ms, settings=self._settings))
        return made

    def _letter(self, dispatch: Dispatch) -> Letter:
        whole = self._body(dispatch.event)
        message = render(
            whole,
            may_edit=dispatch.edit,
            reminder=dispatch.reminder,
            suppressed=max(0, dispatch.event.data.get("count", 1) - 1),
        )
        return Letter.of(whole, message)

    def _body(self, event: Event) -> EventBody:
        return self._enrich(body(event, links=dict(self._links(event))))

    def _add(self, step: Step) -> None:
        self._waiting.append(step)
        self._has_work.set()
        self._idle.clear()

    def _refused(self, step: Step, error: StorageError) -> None:
        if self.failing_since is None:
            self.failing_since = self._clock.monotonic()
            _log.error("alerts_not_stored", error=str(error), waiting=len(self._waiting) + 1)
        self.last_error = str(error)
        self._waiting.insert(0, step)
        self._has_work.set()

    def _told(self, step: Step) -> None:
        if not self._waiting:
            self._idle.set()
        if step.deliveries:
            self._wake()
        if step.events or step.decisions:
            self._on_written(Written(step.events, step.decisions))


def _joined(steps: Sequence[Step]) -> Step:
    """Several steps as one, in order."""
    if len(steps) == 1:
        return steps[0]
    return Step(
        events=[event for step in steps for event in step.events],
        decisions=[decision for step in steps for decision in step.decisions],
        deliveries=[delivery for step in steps for delivery in step.deliveries],
    )

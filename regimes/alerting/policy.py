"""Whether an event becomes a message: a pure reducer over events, ticks and silences.

The order of the questions is the order of the functions below: was it sent before, is it silenced, is it severe
enough, is it unusual enough, is it in cooldown, is the day's cap reached, is it one of a burst. Each answer is a stored decision.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from regimes.alerting import bulletins
from regimes.alerting.basis import too_usual
from regimes.alerting.records import BURST_TYPES, Action, Decision, Dispatch, Reason, Route, Silence, Verdicts
from regimes.alerting.rules import routes_for
from regimes.alerting.settings import AlertingSettings
from regimes.events import Event, EventType, Phase, Severity, iso_utc
from regimes.timeframe import DAY_MS, HOUR_MS

DIGEST_LIMIT: Final = 200
"""Events kept for one digest; beyond, only their number is."""
SENT_KEPT_MS: Final = 14 * DAY_MS
"""An episode that nobody has heard of for so long is forgotten: some kinds are told once and never close."""


class Sent(msgspec.Struct):
    """What an endpoint was told of an open episode, when, and how often it was reminded of this state."""

    event: Event
    severity: Severity
    at_ms: int
    reminders: int = 0


class Burst(msgspec.Struct):
    """Events of one type held for one message. At `due_ms` it leaves."""

    due_ms: int
    events: dict[str, Event] = {}


class EndpointState(msgspec.Struct):
    """Memory of one endpoint.

    sent: by event id, open episodes it knows. last: by type and symbol, the latest message. recent: by type,
    when episodes opened lately. bursts: by type. messages: times of the last 24 h.
    """

    sent: dict[str, Sent] = {}
    last: dict[str, tuple[int, Severity]] = {}
    recent: dict[str, list[int]] = {}
    bursts: dict[str, Burst] = {}
    messages: list[int] = []
    cap_noticed_ms: int | None = None
    digest: list[Event] = []
    digest_missed: int = 0
    digest_sent_ms: int | None = None


class PolicyState(msgspec.Struct):
    """All memory of the policy, by endpoint."""

    endpoints: dict[str, EndpointState] = {}


class Policy:
    """Decides. Holds no clock: `now_ms` comes with each call."""

    def __init__(self, settings: AlertingSettings, routes: Sequence[Route]) -> None:
        self.settings = settings
        self.routes = list(routes)
        self.state = PolicyState()

    def change(self, settings: AlertingSettings, routes: Sequence[Route]) -> None:
        """Decide by other settings from now on; endpoints that are gone are forgotten."""
        self.settings = settings
        self.routes = list(routes)
        self._keep(self.state)

    def snapshot(self) -> bytes:
        """All memory, for `restore` after a restart."""
        return msgspec.msgpack.encode(self.state)

    def restore(self, snapshot: bytes) -> None:
        """Take back a snapshot; endpoints that are gone are forgotten."""
        self._keep(msgspec.msgpack.decode(snapshot, type=PolicyState))

    def _keep(self, state: PolicyState) -> None:
        known = {route.endpoint for route in self.routes}
        self.state = PolicyState({name: kept for name, kept in state.endpoints.items() if name in known})

    def decide(self, event: Event, now_ms: int, silences: Sequence[Silence] = ()) -> Verdicts:
        """Answer one event for every endpoint it belongs to."""
        turn = _Turn(self.settings, now_ms, silences)
        for route in routes_for(event, self.routes):
            turn.decide(event, route, self._endpoint(route))
        return turn.verdicts()

    def note(self, event: Event, now_ms: int) -> Verdicts:
        """Answer an event of the history: nobody is told of it."""
        turn = _Turn(self.settings, now_ms, ())
        for route in routes_for(event, self.routes):
            turn.leave_untold(event, route)
        return turn.verdicts()

    def tick(self, now_ms: int, silences: Sequence[Silence] = ()) -> Verdicts:
        """Send what has become due: bursts, repeats, the digest. Forget what no longer matters."""
        turn = _Turn(self.settings, now_ms, silences)
        for route in self.routes:
            memory = self._endpoint(route)
            turn.flush_bursts(route, memory)
            turn.repeat(route, memory)
            turn.send_digest(route, memory)
            turn.forget(memory)
        return turn.verdicts()

    def due_ms(self, now_ms: int) -> int | None:
        """When `tick` may next have something to send if no event comes: later than `now_ms`; None: never."""
        due: list[int] = []
        for memory in self.state.endpoints.values():
            due += [burst.due_ms for burst in memory.bursts.values()]
            due += [
                at for sent in memory.sent.values() if (at := _repeat_ms(sent, self.settings)) is not None
            ]
            if self.settings.digest and memory.digest:
                due.append((now_ms // HOUR_MS + 1) * HOUR_MS)
        return min((at for at in due if at > now_ms), default=None)

    def _endpoint(self, route: Route) -> EndpointState:
        return self.state.endpoints.setdefault(route.endpoint, EndpointState())


class _Turn:
    """One call: collects decisions and dispatches."""

    def __init__(self, settings: AlertingSettings, now_ms: int, silences: Sequence[Silence]) -> None:
        self.settings = settings
        self.now_ms = now_ms
        self.silences = silences
        self._decisions: list[Decision] = []
        self._dispatches: list[Dispatch] = []

    def verdicts(self) -> Verdicts:
        return Verdicts(tuple(self._decisions), tuple(self._dispatches))

    def decide(self, event: Event, route: Route, memory: EndpointState) -> None:
        sent = memory.sent.get(event.id)
        if sent is not None:
            self._follow_up(event, sent, route, memory)
        elif event.phase is Phase.CLOSED:
            self._close_unsent(event, route, memory)
        elif not self._held_back(event, route, memory) and not self._joins_burst(event, route, memory):
            reason = Reason.OPENED if event.phase is Phase.OPENED else Reason.ESCALATED
            self._send(event, route, memory, reason, event.why)

    def leave_untold(self, event: Event, route: Route) -> None:
        self._note(event, route, Action.SUPPRESS, Reason.HISTORY, "began before anybody watched")

    def _follow_up(self, event: Event, sent: Sent, route: Route, memory: EndpointState) -> None:
        """An episode the endpoint knows: an escalation rings again, everything else is an edit."""
        if event.phase is Phase.CLOSED:
            del memory.sent[event.id]
            self._note(event, route, Action.EDIT, Reason.CLOSED, "closes an alert that was sent")
            self._dispatches.append(Dispatch(endpoint=route.endpoint, event=event, edit=True))
        elif event.severity > sent.severity:
            if (silence := self._silence(event)) is not None:
                self._suppress_silenced(event, route, silence)
                return
            words = f"{sent.severity.name} -> {event.severity.name}: {event.why}"
            self._send(event, route, memory, Reason.ESCALATED, words)
        else:
            sent.event, sent.reminders = event, 0
            self._note(event, route, Action.EDIT, Reason.CHANGED, event.why)
            self._dispatches.append(Dispatch(endpoint=route.endpoint, event=event, edit=True))

    def _close_unsent(self, event: Event, route: Route, memory: EndpointState) -> None:
        burst = memory.bursts.get(event.type.value)
        if burst is not None and event.id in burst.events:
            burst.events[event.id] = event
            self._note(event, route, Action.HOLD, Reason.BURST, "ended inside the burst it is told in")
        else:
            self._note(event, route, Action.SUPPRESS, Reason.NOT_SENT_BEFORE, "its opening was not sent")

    def _held_back(self, event: Event, route: Route, memory: EndpointState) -> bool:
        if (silence := self._silence(event)) is not None:
            self._suppress_silenced(event, route, silence)
            return True
        if event.severity < route.minimum:
            self._below_minimum(event, route, memory)
            return True
        return (
            self._usual(event, route)
            or self._cooling(event, route, memory)
            or self._capped(event, route, memory)
        )

    def _below_minimum(self, event: Event, route: Route, memory: EndpointState) -> None:
        words = f"{event.severity.name} < {route.minimum.name}"
        if not self.settings.digest:
            self._note(event, route, Action.SUPPRESS, Reason.BELOW_MINIMUM, words)
            return
        if len(memory.digest) < DIGEST_LIMIT:
            memory.digest.append(event)
        else:
            memory.digest_missed += 1
        self._note(event, route, Action.DIGEST, Reason.BELOW_MINIMUM, words)

    def _usual(self, event: Event, route: Route) -> bool:
        """Whether it is not unusual enough by the basis of its kind."""
        found = too_usual(event, self.settings)
        if found is not None:
            self._note(event, route, Action.SUPPRESS, *found)
        return found is not None

    def _cooling(self, event: Event, route: Route, memory: EndpointState) -> bool:
        last = memory.last.get(_subject(event))
        if last is None:
            return False
        until_ms = last[0] + self.settings.cooldown_ms(event.source)
        if self.now_ms >= until_ms or event.severity > last[1]:
            return False
        words = f"{last[1].name} was sent at {iso_utc(last[0])}; cooldown until {iso_utc(until_ms)}"
        self._note(event, route, Action.SUPPRESS, Reason.COOLDOWN, words)
        return True

    def _capped(self, event: Event, route: Route, memory: EndpointState) -> bool:
        cap = self.settings.daily_cap
        sent = sum(at > self.now_ms - DAY_MS for at in memory.messages)
        if not cap or sent < cap or event.severity >= Severity.CRITICAL:
            return False
        self._note(event, route, Action.SUPPRESS, Reason.DAILY_CAP, f"{sent} messages in 24 h >= {cap}")
        if memory.cap_noticed_ms is None or self.now_ms - memory.cap_noticed_ms >= DAY_MS:
            memory.cap_noticed_ms = self.now_ms
            notice = bulletins.cap_reached(route.endpoint, sent, cap, self.now_ms)
            self._note(notice, route, Action.SEND, Reason.CAP_NOTICE, notice.why)
            self._dispatches.append(Dispatch(endpoint=route.endpoint, event=notice, edit=False))
        return True

    def _joins_burst(self, event: Event, route: Route, memory: EndpointState) -> bool:
        if event.type not in BURST_TYPES:
            return False
        kind, window_ms = event.type.value, int(self.settings.burst_seconds * 1000)
        recent = [at for at in memory.recent.get(kind, []) if at > self.now_ms - window_ms]
        burst = memory.bursts.get(kind)
        if burst is None and len(recent) < self.settings.burst_count - 1:
            memory.recent[kind] = [*recent, self.now_ms]
            return False
        if burst is None:
            burst = memory.bursts[kind] = Burst(due_ms=recent[0] + window_ms)
        burst.events[event.id] = event
        words = f"{len(recent) + len(burst.events)} {kind} within {self.settings.burst_seconds:g} s"
        self._note(event, route, Action.HOLD, Reason.BURST, words)
        return True

    def flush_bursts(self, route: Route, memory: EndpointState) -> None:
        for kind in [kind for kind, burst in memory.bursts.items() if self.now_ms >= burst.due_ms]:
            burst = memory.bursts.pop(kind)
            began_ms = burst.due_ms - int(self.settings.burst_seconds * 1000)
            summary = bulletins.burst(list(burst.events.values()), began_ms, self.now_ms)
            self._note(summary, route, Action.SEND, Reason.BURST, summary.why)
            self._dispatches.append(Dispatch(endpoint=route.endpoint, event=summary, edit=False))
            memory.messages.append(self.now_ms)
            for event in burst.events.values():
                memory.last[_subject(event)] = (self.now_ms, event.severity)
            memory.recent.pop(kind, None)

    def repeat(self, route: Route, memory: EndpointState) -> None:
        for sent in list(memory.sent.values()):
            due_ms = _repeat_ms(sent, self.settings)
            if due_ms is not None and self.now_ms >= due_ms and self._silence(sent.event) is None:
                words = f"still open since {iso_utc(sent.event.started_ms)}"
                self._send(sent.event, route, memory, Reason.REPEAT, words, reminders=sent.reminders + 1)

    def send_digest(self, route: Route, memory: EndpointState) -> None:
        day_start = self.now_ms // DAY_MS * DAY_MS + self.settings.digest_hour_utc * HOUR_MS
        due = self.now_ms >= day_start and (memory.digest_sent_ms or 0) < day_start
        if not (self.settings.digest and due and memory.digest):
            return
        digest = bulletins.digest(memory.digest, memory.digest_missed, day_start)
        self._note(digest, route, Action.SEND, Reason.DAILY_DIGEST, digest.why)
        self._dispatches.append(Dispatch(endpoint=route.endpoint, event=digest, edit=False))
        memory.digest, memory.digest_missed, memory.digest_sent_ms = [], 0, self.now_ms

    def forget(self, memory: EndpointState) -> None:
        memory.last = {
            subject: last
            for subject, last in memory.last.items()
            if self.now_ms < last[0] + self._cooldown_of(subject)
        }
        memory.messages = [at for at in memory.messages if at > self.now_ms - DAY_MS]
        kept_from = self.now_ms - SENT_KEPT_MS
        memory.sent = {key: sent for key, sent in memory.sent.items() if sent.at_ms > kept_from}
        window = self.now_ms - int(self.settings.burst_seconds * 1000)
        memory.recent = {
            kind: kept for kind, at in memory.recent.items() if (kept := [t for t in at if t > window])
        }

    def _send(
        self,
        event: Event,
        route: Route,
        memory: EndpointState,
        reason: Reason,
        words: str,
        *,
        reminders: int = 0,
    ) -> None:
        memory.sent[event.id] = Sent(event, event.severity, self.now_ms, reminders)
        memory.last[_subject(event)] = (self.now_ms, event.severity)
        memory.messages.append(self.now_ms)
        self._note(event, route, Action.SEND, reason, words)
        order = Dispatch(endpoint=route.endpoint, event=event, edit=False, reminder=reminders)
        self._dispatches.append(order)

    def _cooldown_of(self, subject: str) -> int:
        return self.settings.cooldown_ms(EventType(subject.partition(" ")[0]).source)

    def _silence(self, event: Event) -> Silence | None:
        return next((s for s in self.silences if s.matches(event, self.now_ms)), None)

    def _suppress_silenced(self, event: Event, route: Route, silence: Silence) -> None:
        words = f"silence {silence.id} until {iso_utc(silence.until_ms)}"
        self._note(event, route, Action.SUPPRESS, Reason.SILENCED, words)

    def _note(self, event: Event, route: Route, action: Action, reason: Reason, words: str) -> None:
        self._decisions.append(
            Decision(
                event_id=event.id,
                revision=event.revision,
                endpoint=route.endpoint,
                action=action,
                reason=reason,
                words=words,
                ts_ms=self.now_ms,
            )
        )


def _repeat_ms(sent: Sent, settings: AlertingSettings) -> int | None:
    """When an episode is told again if it stays as it is; None: never."""
    first_ms = int(settings.repeat_hours * HOUR_MS)
    if not first_ms or sent.severity < Severity.CRITICAL:
        return None
    return sent.at_ms + (first_ms << sent.reminders)


def _subject(event: Event) -> str:
    return f"{event.type.value} {event.symbol}"


def describe(state: PolicyState) -> dict[str, Any]:
    """How much the policy remembers, for metrics: counts by endpoint."""
    return {
        name: {"open": len(memory.sent), "held": sum(len(b.events) for b in memory.bursts.values())}
        for name, memory in state.endpoints.items()
    }

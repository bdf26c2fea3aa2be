"""Events about the service itself: one episode for each thing that can be wrong."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.latch import Episode
from regimes.wording import duration


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong now, in words. since_ms: when it began, if that is known to be earlier than now."""

    severity: Severity
    title: str
    description: str
    why: str
    since_ms: int | None = None
    data: Mapping[str, Any] = {}


class _Kept(msgspec.Struct):
    """An open episode and what was last said of it."""

    episode: Episode
    trouble: Trouble


class SystemWatch:
    """Turns "this is wrong" and "this is well again" into events: opened once, escalated, closed once."""

    def __init__(self) -> None:
        self._open: dict[tuple[EventType, str], _Kept] = {}

    def report(self, kind: EventType, subject: str, trouble: Trouble | None, now_ms: int) -> list[Event]:
        """Say how one thing stands: what is wrong with it, or None when it is well.

        subject: which one, such as a stream or an endpoint; it becomes the event's symbol.
        """
        key = (kind, subject)
        kept = self._open.get(key)
        if kept is None:
            if trouble is None:
                return []
            kept = self._open[key] = _Kept(Episode(alert_from=Severity.INFO), trouble)
        elif trouble is not None:
            kept.trouble = trouble
        level = trouble.severity if trouble else 0
        event = kept.episode.step(
            level, now_ms, _maker(kind, subject, kept, now_ms), onset_ms=kept.trouble.since_ms
        )
        if not kept.episode.is_open:
            del self._open[key]
        return [event] if event is not None else []

    def tell(self, kind: EventType, subject: str, trouble: Trouble, now_ms: int) -> Event:
        """Make an event of something that has happened and is over, such as a gap that has ended."""
        started_ms = now_ms if trouble.since_ms is None else trouble.since_ms
        return _event(kind, subject, trouble, Phase.OPENED, now_ms, started_ms, 0)

    def is_open(self, kind: EventType, subject: str) -> bool:
        """Whether an episode is open."""
        return (kind, subject) in self._open

    def subjects(self, kind: EventType) -> list[str]:
        """What is wrong now, of one kind."""
        return [subject for opened, subject in self._open if opened is kind]

    def snapshot(self) -> bytes:
        """Everything that is open, for `restore` after a restart."""
        return msgspec.msgpack.encode([(kind, subject, kept) for (kind, subject), kept in self._open.items()])

    def restore(self, snapshot: bytes) -> None:
        """Take back a snapshot."""
        rows = msgspec.msgpack.decode(snapshot, type=list[tuple[EventType, str, _Kept]])
        self._open = {(kind, subject): kept for kind, subject, kept in rows}


def _maker(kind: EventType, subject: str, kept: _Kept, now_ms: int) -> Callable[[Phase, int, int], Event]:
    def make(phase: Phase, started_ms: int, revision: int) -> Event:
        return _event(kind, subject, kept.trouble, phase, now_ms, started_ms, revision)

    return make


def _event(
    kind: EventType, subject: str, trouble: Trouble, phase: Phase, now_ms: int, started_ms: int, revision: int
) -> Event:
    lasted = duration(now_ms - started_ms)
    over = phase is Phase.CLOSED
    return Event(
        type=kind,
        symbol=subject,
        severity=trouble.severity,
        phase=phase,
        ts_ms=now_ms,
        started_ms=started_ms,
        revision=revision,
        title=f"{trouble.title}: over after {lasted}" if over else trouble.title,
        description="It works again." if over else trouble.description,
        why=f"well again after {lasted}" if over else trouble.why,
        data={**trouble.data, "duration_hours": round((now_ms - started_ms) / 3_600_000, 4)},
    )

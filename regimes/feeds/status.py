"""How alive each stream is: for the log line every minute, /readyz and metrics."""

from collections.abc import Sequence

import msgspec

from regimes.clock import Clock
from regimes.observations import DataKind


class StreamStatus(msgspec.Struct, frozen=True):
    """One stream of one venue at one moment.

    age_s: real seconds since its last message. lag_ms: that message's time of arrival minus the exchange's own time.
    poison: messages that could not be used. ignored: messages nobody asked for. gaps: spans that may lack data.
    """

    venue: str
    stream: DataKind
    connected: bool
    age_s: float | None
    lag_ms: int | None
    messages: int
    poison: int
    ignored: int
    gaps: int
    reconnects: int


class Meter:
    """Counts one stream of one venue. Cheap enough to be touched by every message."""

    __slots__ = ("event_ms", "heard_at", "ignored", "messages", "poison")

    def __init__(self) -> None:
        self.messages = 0
        self.poison = 0
        self.ignored = 0
        self.heard_at = 0.0
        self.event_ms: int | None = None

    def hear(self, now: float, event_ms: int | None, messages: int = 1) -> None:
        """Count what came at once. now: monotonic seconds. event_ms: the exchange's time of sending, if it said."""
        self.messages += messages
        self.heard_at = now
        self.event_ms = event_ms


def summarise(
    venue: str,
    stream: DataKind,
    meters: Sequence[Meter],
    clock: Clock,
    *,
    connected: bool,
    gaps: int,
    reconnects: int,
) -> StreamStatus:
    """One stream's state from the meters of all its connections; age and lag are those of the quietest."""
    quietest = min(meters, key=lambda meter: meter.heard_at)
    age_s = clock.monotonic() - quietest.heard_at if quietest.heard_at else None
    lag_ms = None
    if age_s is not None and quietest.event_ms is not None:
        lag_ms = clock.now_ms() - int(age_s * 1000 * clock.speed) - quietest.event_ms
    return StreamStatus(
        venue=venue,
        stream=stream,
        connected=connected,
        age_s=age_s,
        lag_ms=lag_ms,
        messages=sum(meter.messages for meter in meters),
        poison=sum(meter.poison for meter in meters),
        ignored=sum(meter.ignored for meter in meters),
        gaps=gaps,
        reconnects=reconnects,
    )

"""Spans in which liquidations may have been missed: they cannot be asked for again, so they are told."""

from collections.abc import Callable
from typing import Final

from regimes.clock import Clock
from regimes.observations import DataKind, FeedGap, Observation

# Exchanges send an event up to a second after its own time.
_LATE_MS: Final = 2_000


class GapTeller:
    """Tells the gaps of one kind of data of one venue: opened when noticed, again with its end."""

    def __init__(self, venue: str, kind: DataKind, clock: Clock, put: Callable[[Observation], None]) -> None:
        self.count = 0
        self._venue = venue
        self._kind: DataKind = kind
        self._clock = clock
        self._put = put
        self._open: tuple[int, str] | None = None
        self._unreadable = 0
        self._unreadable_from_ms = 0

    @property
    def open(self) -> bool:
        """Whether data is being missed now."""
        return self._open is not None

    def begin(self, from_ms: int, reason: str) -> None:
        """Data may be missing since `from_ms`; a gap that is open already goes on."""
        if self._open is None:
            self.count += 1
            self._open = (from_ms, reason)
            self._tell(from_ms, None, reason)

    def lost_contact(self, last_heard: float, reason: str) -> None:
        """The last message came at `last_heard` (monotonic seconds); what was on its way then is missed too."""
        age_ms = (self._clock.monotonic() - last_heard) * 1000 * self._clock.speed
        self.begin(self._clock.now_ms() - int(age_ms) - self._late_ms, reason)

    def end(self) -> None:
        """Data flows again."""
        if self._open is not None:
            from_ms, reason = self._open
            self._open = None
            self._tell(from_ms, max(from_ms, self._clock.now_ms()), reason)

    def unreadable(self) -> None:
        """A message that may have held this data could not be read; `flush` tells."""
        if not self._unreadable:
            self._unreadable_from_ms = self._clock.now_ms() - self._late_ms
        self._unreadable += 1

    def flush(self) -> None:
        """Tell of unreadable messages since the last call, as one gap."""
        if self._unreadable:
            self.count += 1
            reason = f"unreadable messages: {self._unreadable}"
            self._unreadable = 0
            self._tell(self._unreadable_from_ms, self._clock.now_ms(), reason)

    @property
    def _late_ms(self) -> int:
        return int(_LATE_MS * max(1.0, self._clock.speed))

    def _tell(self, from_ms: int, to_ms: int | None, reason: str) -> None:
        self._put(FeedGap(self._clock.now_ms(), self._venue, self._kind, None, from_ms, to_ms, reason))

"""Hysteresis in one place: a level goes up at once, comes down late, and each episode has one event."""

from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from regimes.events import Event, Phase


class Move(StrEnum):
    """What a step of the latch did to the level."""

    RISE = "rise"
    FALL = "fall"


class Latch(msgspec.Struct):
    """An ordered level with separate thresholds for entering and leaving, and a shortest stay.

    level: 0 is quiet. since_ms: when the present level was entered. Feed `advance` with two readings of the
    same value: `enter`, the level by the thresholds for entering, and `hold`, the level by the (lower)
    thresholds for leaving; hold >= enter.
    """

    dwell_ms: int = 0
    level: int = 0
    since_ms: int | None = None

    def advance(self, enter: int, hold: int, now_ms: int) -> Move | None:
        """Go up at once; come down to `hold` only once `dwell_ms` have passed since the level was entered."""
        if enter > self.level:
            self.level, self.since_ms = enter, now_ms
            return Move.RISE
        if hold < self.level and (self.since_ms is None or now_ms - self.since_ms >= self.dwell_ms):
            self.level, self.since_ms = hold, now_ms
            return Move.FALL
        return None


def level_of(value: float, thresholds: tuple[float, ...], *, factor: float = 1.0) -> int:
    """How many of the ascending `thresholds`, each times `factor`, `value` has reached (lower bounds inclusive)."""
    return sum(value >= bound * factor for bound in thresholds)


class Episode(msgspec.Struct):
    """The one event of one run of a condition: opened, updated, closed.

    alert_from: lowest level that is worth an event. `step` is given the level after each change and a maker
    of the event; it says which event leaves, if any: the opening, an escalation above the peak so far, the end.
    """

    alert_from: int
    started_ms: int | None = None
    peak: int = 0
    revision: int = 0

    @property
    def is_open(self) -> bool:
        """Whether an event is out that has not been closed."""
        return self.started_ms is not None

    def step(
        self,
        level: int,
        now_ms: int,
        make: Callable[[Phase, int, int], Event],
        *,
        onset_ms: int | None = None,
    ) -> Event | None:
        """Open, escalate or close. make(phase, started_ms, revision) builds the event.

        onset_ms: when the condition really began, if known to be earlier than now.
        """
        if self.started_ms is None:
            if level < self.alert_from:
                return None
            self.started_ms, self.peak, self.revision = onset_ms if onset_ms is not None else now_ms, level, 0
            return make(Phase.OPENED, self.started_ms, 0)
        if level < self.alert_from:
            event = make(Phase.CLOSED, self.started_ms, self.revision + 1)
            self.started_ms, self.peak, self.revision = None, 0, 0
            return event
        if level > self.peak:
            self.peak = level
            self.revision += 1
            return make(Phase.UPDATED, self.started_ms, self.revision)
        return None

    def update(self, make: Callable[[Phase, int, int], Event]) -> Event | None:
        """Say something new of an open episode that is not its level; None when none is open."""
        if self.started_ms is None:
            return None
        self.revision += 1
        return make(Phase.UPDATED, self.started_ms, self.revision)


def news(events: Sequence[Event]) -> list[Event]:
    """Leave out episodes that both began and ended among these events.

    Events of one step may span many bars after a start or a long gap; what was over before anyone could be
    told is history.
    """
    opened = {_episode(event) for event in events if event.phase is Phase.OPENED}
    over = opened & {_episode(event) for event in events if event.phase is Phase.CLOSED}
    return [event for event in events if _episode(event) not in over] if over else list(events)


def _episode(event: Event) -> tuple[str, str, int]:
    """What an event's id is made of, which costs less."""
    return event.type, event.symbol, event.started_ms

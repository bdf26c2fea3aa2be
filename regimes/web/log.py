"""The newest states of events, in the order in which they became durable; readers are positions in it."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from regimes.events import EventBody, Phase
from regimes.web.frames import frame, state_of

KEPT: Final = 1_000


class Entry(msgspec.Struct, frozen=True):
    """One state and its frame."""

    state: str
    event: EventBody
    frame: bytes


class EventLog:
    """Positions count up from 0. state: the name of the last one, empty while storage has not been asked. open_events: episodes that have not ended, by id."""

    def __init__(self, kept: int = KEPT) -> None:
        self.state = ""
        self.open_events: dict[str, EventBody] = {}
        self.head = 0
        self._entries: deque[Entry] = deque(maxlen=kept)

    @property
    def oldest(self) -> int:
        """Position of the oldest entry that is kept."""
        return self.head - len(self._entries)

    def begin(self, state: str, events: Sequence[EventBody]) -> None:
        """Where storage stands at the start: the name of its last state, and its newest episodes."""
        self.state = self.state or state
        for event in reversed(events):
            if event.id not in self.open_events:
                self._note(event)

    def add(self, event: EventBody) -> None:
        """Append a state that has just become durable."""
        name = state_of(event)
        self._entries.append(Entry(name, event, frame("event", event, name)))
        self.head += 1
        self.state = name
        self._note(event)

    def since(self, position: int, end: int | None = None) -> Iterator[Entry]:
        """Entries from a position on, which must be kept still, to before `end`."""
        last = len(self._entries) if end is None else end - self.oldest
        return islice(self._entries, position - self.oldest, max(position - self.oldest, last))

    def _note(self, event: EventBody) -> None:
        if event.phase == Phase.CLOSED:
            self.open_events.pop(event.id, None)
        else:
            self.open_events[event.id] = event

"""All readers with the same view: what they are shown is encoded once for all of them."""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from regimes.observations import Liquidation
from regimes.web.client import Client, View
from regimes.web.frames import frame
from regimes.web.live import Live
from regimes.web.log import EventLog
from regimes.web.shapes import Tape

MOST_IN_FRAME: Final = 200
WHOLE_S: Final = 0.5
MOST_AT_ONCE: Final = 32_768
"""Bytes of events that go into one write."""


class LiquidationTape:
    """Liquidations since the last frame: the newest ones, and how many there were besides."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._newest: deque[Liquidation] = deque(maxlen=MOST_IN_FRAME)
        self._seen = 0

    def add(self, liquidations: Iterable[Liquidation]) -> None:
        """Take those the view shows."""
        for one in liquidations:
            if self._view.shows(one.symbol):
                self._newest.append(one)
                self._seen += 1

    def take(self) -> Tape | None:
        """What came since the last call; None for nothing."""
        if not self._seen:
            return None
        tape = Tape([*self._newest], self._seen - len(self._newest))
        self._newest.clear()
        self._seen = 0
        return tape


class Part(NamedTuple):
    """Events in one write, and where a reader is in the log once it has them."""

    made: bytes
    frames: int
    cursor: int
    state: str


class Whole(NamedTuple):
    """Everything a reader needs to begin with, as it was at one moment. cursor, state: place in the log."""

    made_at: float
    turn: int
    cursor: int
    state: str
    frames: dict[str, bytes]


class Channel:
    """Begins as of a turn of the engine whose state its first reader has.

    in_step: readers that have been given every event up to `cursor`, so that one write serves all alike. apart: those
    that take readings too, and events each by itself. behind: those that do not take what was written; nothing more is.
    """

    def __init__(self, view: View, turn: int, cursor: int, state: str) -> None:
        self.view = view
        self.cursor = cursor
        self.state = state
        self.in_step: dict[Client, None] = {}
        self.apart: dict[Client, None] = {}
        self.behind: dict[Client, None] = {}
        self.tape = LiquidationTape(view)
        self._turn = turn
        self._due_at = 0.0
        self._whole: Whole | None = None

    def whole(self, live: Live, log: EventLog, now: float) -> Whole:
        """The present state, kept a moment: many readers come and come back together, and what is to say may be long.

        Never from before the last readings frame, so that with the next one a reader knows everything, nor from before
        the last event.
        """
        found = self._whole
        is_old = found is None or now - found.made_at > WHOLE_S
        if found is None or is_old or found.turn < self._turn or found.cursor != log.head:
            found = self._whole = Whole(now, live.turn, log.head, log.state, {})
        return found

    @property
    def is_empty(self) -> bool:
        """Whether it has no reader."""
        return not (self.in_step or self.apart or self.behind)

    def put(self, client: Client) -> None:
        """Put a reader where it belongs by what it has been given."""
        self.remove(client)
        if client.behind_since is not None:
            self.behind[client] = None
        elif client.resuming or client.skipped or client.cursor != self.cursor:
            self.apart[client] = None
        else:
            self.in_step[client] = None

    def halt(self, client: Client, cursor: int, state: str) -> None:
        """Take a reader that was in step out of it; from now on it keeps its own place in the log, this one."""
        if client in self.in_step:
            del self.in_step[client]
            self.apart[client] = None
            client.cursor, client.state = cursor, state

    def remove(self, client: Client) -> None:
        """Forget a reader."""
        for group in (self.in_step, self.apart, self.behind):
            group.pop(client, None)

    def parts(self, log: EventLog) -> list[Part]:
        """What the view shows of the log from `cursor` on, in writes that are not too large; empty ones move on as well."""
        found: list[Part] = []
        frames: list[bytes] = []
        size, cursor, state = 0, self.cursor, self.state
        for entry in log.since(self.cursor):
            if self.view.shows_event(entry.event):
                if size + len(entry.frame) > MOST_AT_ONCE and frames:
                    found.append(Part(b"".join(frames), len(frames), cursor, state))
                    frames, size = [], 0
                frames.append(entry.frame)
                size += len(entry.frame)
            cursor, state = cursor + 1, entry.state
        if cursor != self.cursor:
            found.append(Part(b"".join(frames), len(frames), cursor, state))
        return found

    async def due(self, live: Live, now: float) -> list[bytes]:
        """The frames that are to be sent now: liquidations at once, changed readings at the view's pace."""
        tape = self.tape.take()
        frames = [] if tape is None else [frame("liquidation", tape)]
        if now < self._due_at or self._turn == live.turn:
            return frames
        symbols = self._since(live.changed)
        await live.encode(symbols)
        # What changed while others had their turn belongs to this frame as well.
        changed, priced = self._since(live.changed), self._since(live.priced)
        self._turn = live.turn
        if changed or priced:
            self._due_at = now + self.view.interval_s
            frames.append(
                frame("features", live.features(changed, {**dict.fromkeys(changed), **dict.fromkeys(priced)}))
            )
        return frames

    def _since(self, turns: dict[str, int]) -> list[str]:
        return [symbol for symbol, turn in turns.items() if turn > self._turn and self.view.shows(symbol)]

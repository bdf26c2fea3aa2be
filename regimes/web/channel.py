"""All readers with the same view: what they are shown is encoded once for all of them."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from regimes.observations import Liquidation
from regimes.web.client import Client, View
from regimes.web.frames import frame
from regimes.web.live import Live
from regimes.web.shapes import Tape

MOST_IN_FRAME: Final = 200


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


class Channel:
    """clients: in the order they came. Begins as of a turn of the engine whose state its first reader has."""

    def __init__(self, view: View, turn: int) -> None:
        self.view = view
        self.clients: dict[Client, None] = {}
        self.tape = LiquidationTape(view)
        self._turn = turn
        self._due_at = 0.0

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

"""What a feed is, and the bounded queue between feeds and the engine."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Protocol

from regimes.observations import BookDepth, Candle, MarkPrice, Observation, OpenInterest


class Sink(Protocol):
    """Where a feed puts what it saw. Synchronous, so that a whole burst is taken inside one receive."""

    def put(self, observation: Observation) -> None:
        """Take one observation; never raises, never blocks."""
        ...


class Feed(Protocol):
    """A source of observations that runs until it is cancelled."""

    async def run(self, sink: Sink) -> None:
        """Deliver observations for ever. Reconnects by itself; raises VenueError when asking again is useless."""
        ...


ConflationKey = tuple[str, str, str]


def _conflation_key(observation: Observation) -> ConflationKey | None:
    """Observations with the same key replace one another: only the latest state matters."""
    match observation:
        case Candle(closed=False):
            return ("candle", observation.venue, observation.symbol + observation.timeframe)
        case MarkPrice() | OpenInterest() | BookDepth():
            return (type(observation).__name__, observation.venue, observation.symbol)
        case _:
            return None


class ObservationQueue:
    """Bounded, in arrival order. States conflate to the latest; facts (liquidations, closed bars) never do.

    When `capacity` facts wait, `pressure` is set so that feeds stop reading their sockets (TCP then holds the
    exchange back); facts already received are still taken, up to twice the capacity. Beyond that a fact is
    refused and counted in `dropped`, and the feed must report a FeedGap.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self.capacity = capacity
        self.dropped: Counter[str] = Counter()
        self.conflated = 0
        self.pressure = False
        self._items: deque[Observation | ConflationKey] = deque()
        self._states: dict[ConflationKey, Observation] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, observation: Observation) -> None:
        key = _conflation_key(observation)
        if key is not None:
            if key in self._states:
                self.conflated += 1
            else:
                self._items.append(key)
            self._states[key] = observation
        elif len(self._items) < 2 * self.capacity:
            self._items.append(observation)
        else:
            self.dropped[type(observation).__name__] += 1
        self.pressure = len(self._items) >= self.capacity
        self._wake.set()

    async def take(self, limit: int) -> Sequence[Observation]:
        """Wait for something, then hand over up to `limit` observations at once."""
        while not self._items:
            self._wake.clear()
            await self._wake.wait()
        count = min(limit, len(self._items))
        taken = [self._items.popleft() for _ in range(count)]
        self.pressure = len(self._items) >= self.capacity
        return [self._states.pop(item) if isinstance(item, tuple) else item for item in taken]

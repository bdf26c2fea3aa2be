"""What a feed is, and the bounded queue between feeds and the engine."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol, runtime_checkable

from regimes.observations import (
    BookDepth,
    Candle,
    DataKind,
    FeedGap,
    FundingRate,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Unavailable,
)


class Sink(Protocol):
    """Where a feed puts what it saw. Synchronous, so that a whole burst is taken inside one receive."""

    def put(self, observation: Observation) -> None:
        """Take one observation; never raises, never blocks."""
        ...


@runtime_checkable
class BackPressure(Protocol):
    """A sink that can ask its feeds to stop reading for a while."""

    @property
    def pressure(self) -> bool:
        """Whether so much waits that feeds should stop reading their sockets."""
        ...

    async def eased(self) -> None:
        """Wait until there is no pressure."""
        ...


@runtime_checkable
class TakesFrames(Protocol):
    """A sink that also wants the exchange's own text."""

    def put_frame(self, found: Sequence[Observation], frame: str | bytes) -> None:
        """Take all observations of one frame, and the frame; never raises, never blocks."""
        ...


class Feed(Protocol):
    """A source of observations that runs until it is cancelled."""

    async def run(self, sink: Sink) -> None:
        """Deliver observations for ever. Reconnects by itself; raises VenueError when asking again is useless."""
        ...


ConflationKey = tuple[str, str, str]


# A tuple, as this is asked of every observation and a union takes three times as long.
_STATES: Final = (MarkPrice, OpenInterest, BookDepth)


def _conflation_key(observation: Observation) -> ConflationKey | None:
    """Observations with the same key replace one another: only the latest state matters."""
    if type(observation) is Liquidation:
        return None
    if isinstance(observation, _STATES):
        return (type(observation).__name__, observation.venue, observation.symbol)
    if isinstance(observation, Candle) and not observation.closed:
        return ("Candle", observation.venue, observation.symbol + observation.timeframe)
    return None


def _lost_key(observation: Observation) -> tuple[str, DataKind, int] | None:
    """Venue, kind and own time of a fact whose loss must be told."""
    match observation:
        case Liquidation():
            return observation.venue, "liquidation", observation.ts_ms
        case Candle():
            return observation.venue, "candle", observation.open_ms
        case FundingRate():
            return observation.venue, "funding", observation.ts_ms
        case _:
            return None


class ObservationQueue:
    """Bounded, in arrival order. States conflate to the latest; facts (liquidations, closed bars) never do.

    A state that changes while it waits moves to the back, so that it never overtakes what came before it.
    When `capacity` observations wait, `pressure` is set so that feeds stop reading their sockets (TCP then holds
    the exchange back); facts already received are still taken, up to twice the capacity. Beyond that a fact is
    refused, counted in `dropped`, and told as one FeedGap for each venue and kind once there is room again.
    Word of a loss (FeedGap, Unavailable) is always taken. Pressure eases when half the capacity is free.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be >= 1 (got {capacity})")
        self.capacity = capacity
        self.dropped: Counter[str] = Counter()
        self.conflated = 0
        self.pressure = False
        self._items: dict[int | ConflationKey, Observation] = {}
        self._serial = 0
        self._lost: dict[tuple[str, DataKind], tuple[int, int, int]] = {}
        self._wake = asyncio.Event()
        self._ease = asyncio.Event()
        self._ease.set()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, observation: Observation) -> None:
        key, items = _conflation_key(observation), self._items
        if key is not None and key in items:
            self.conflated += 1
            del items[key]
            items[key] = observation
        elif len(items) < 2 * self.capacity or isinstance(observation, FeedGap | Unavailable):
            self._serial += 1
            items[self._serial if key is None else key] = observation
        else:
            self._refuse(observation)
        if not self.pressure and len(items) >= self.capacity:
            self.pressure = True
            self._ease.clear()
        self._wake.set()

    async def take(self, limit: int) -> Sequence[Observation]:
        """Wait for something, then hand over up to `limit` observations at once."""
        if limit < 1:
            raise ValueError(f"limit must be >= 1 (got {limit})")
        while not self._items:
            self._wake.clear()
            await self._wake.wait()
        if len(self._items) <= limit:
            taken = list(self._items.values())
            self._items.clear()
        else:
            taken = [self._items.pop(key) for key in list(islice(self._items, limit))]
        if self.pressure and len(self._items) <= self.capacity // 2:
            self.pressure = False
            self._ease.set()
        if self._lost and not self.pressure:
            self._tell_losses()
        return taken

    async def eased(self) -> None:
        """Wait until there is no pressure."""
        await self._ease.wait()

    def _refuse(self, observation: Observation) -> None:
        self.dropped[type(observation).__name__] += 1
        lost = _lost_key(observation)
        if lost is not None:
            venue, kind, ts_ms = lost
            first, last, count = self._lost.get((venue, kind), (ts_ms, ts_ms, 0))
            self._lost[venue, kind] = (min(first, ts_ms), max(last, ts_ms), count + 1)

    def _tell_losses(self) -> None:
        lost, self._lost = self._lost, {}
        for (venue, kind), (first, last, count) in lost.items():
            reason = f"queue full: {count} refused"
            self.put(FeedGap(last, venue, kind, None, from_ms=first, to_ms=last, reason=reason))

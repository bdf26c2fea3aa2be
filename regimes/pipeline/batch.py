"""What one turn of the engine took and brought about, for those who keep it."""

from collections.abc import Sequence

import msgspec

from regimes.events import Event
from regimes.features.base import Reading
from regimes.observations import FeedGap, Liquidation, Observation


class Batch(msgspec.Struct, frozen=True):
    """One turn: liquidations that were accepted, gaps, readings and events, each in order.

    now_ms: the engine's time after it.
    """

    now_ms: int
    liquidations: Sequence[Liquidation] = ()
    gaps: Sequence[FeedGap] = ()
    readings: Sequence[Reading] = ()
    events: Sequence[Event] = ()


class Gatherer:
    """Collects one turn."""

    def __init__(self) -> None:
        self.liquidations: list[Liquidation] = []
        self.gaps: list[FeedGap] = []
        self.readings: list[Reading] = []
        self.events: list[Event] = []

    def accepted(self, observation: Observation) -> None:
        """Keep what storage wants of an observation the engine took."""
        if type(observation) is Liquidation:
            self.liquidations.append(observation)
        elif type(observation) is FeedGap:
            self.gaps.append(observation)

    def batch(self, now_ms: int) -> Batch:
        """The turn as a whole."""
        return Batch(now_ms, self.liquidations, self.gaps, self.readings, self.events)

"""What one turn of the engine took and brought about, for those who keep it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from regimes.events import Event
from regimes.features.base import Reading
from regimes.features.deferred import Joined
from regimes.observations import Candle, FeedGap, FundingRate, Liquidation, MarkPrice, Observation


class Batch(msgspec.Struct, frozen=True):
    """One turn: what was accepted of each kind, readings and events, each in order.

    now_ms: the engine's time after it. standing: all states of the episodes that the history left open, for an
    engine that begins anew: known, but news to nobody.
    """

    now_ms: int
    liquidations: Sequence[Liquidation] = ()
    gaps: Sequence[FeedGap] = ()
    readings: Sequence[Reading] = ()
    events: Sequence[Event] = ()
    candles: Sequence[Candle] = ()
    marks: Sequence[MarkPrice] = ()
    funding: Sequence[FundingRate] = ()
    standing: Sequence[Event] = ()


class Gatherer:
    """Collects one turn."""

    def __init__(self) -> None:
        self.liquidations: list[Liquidation] = []
        self.gaps: list[FeedGap] = []
        self.readings = Joined()
        self.events: list[Event] = []
        self.candles: list[Candle] = []
        self.marks: list[MarkPrice] = []
        self.funding: list[FundingRate] = []
        self._kept: dict[type, list[Any]] = {
            Liquidation: self.liquidations,
            FeedGap: self.gaps,
            Candle: self.candles,
            MarkPrice: self.marks,
            FundingRate: self.funding,
        }

    def accepted(self, observation: Observation) -> None:
        """Keep what storage and pages want of an observation the engine took."""
        kept = self._kept.get(type(observation))
        if kept is not None:
            kept.append(observation)

    def batch(self, now_ms: int) -> Batch:
        """The turn as a whole."""
        return Batch(
            now_ms,
            self.liquidations,
            self.gaps,
            self.readings,
            self.events,
            self.candles,
            self.marks,
            self.funding,
        )

"""Drives the feature as the engine does: ticks as time passes, data in between."""

from collections.abc import Iterable
from typing import Any

import msgspec

from regimes.events import Event, Phase
from regimes.features.base import Output, Universe
from regimes.features.liquidation_cascade import CascadeReading, CascadeSettings, LiquidationCascade
from regimes.observations import FeedGap, Liquidation, Observation, Side, Tick

BTC, ETH = "BTC/USDT", "ETH/USDT"
START = 1_700_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
VENUE = "binanceusdm"


def liquidation(
    ts_ms: int, usd: float, symbol: str = BTC, *, closed: Side = "long", price: float = 100.0
) -> Liquidation:
    return Liquidation(ts_ms, VENUE, symbol, closed, price, usd / price, usd)


def gap(from_ms: int, to_ms: int | None, *, symbol: str | None = None, venue: str = VENUE) -> FeedGap:
    return FeedGap(to_ms or from_ms, venue, "liquidation", symbol, from_ms, to_ms, "test")


class Market:
    """A feature, the time, and everything it has said."""

    def __init__(self, symbols: tuple[str, ...] = (BTC, ETH), **settings: Any) -> None:
        self.feature = LiquidationCascade(CascadeSettings(**settings), Universe(symbols))
        self.now = START
        self.outputs: list[Output] = []
        self.send(Tick(START), gap(START - DAY, START))

    def send(self, *observations: Observation) -> list[Event]:
        outputs = [self.feature.update(observation) for observation in observations]
        self.outputs += outputs
        return [event for output in outputs for event in output.events]

    def wait(self, span_ms: int, *, step_ms: int = MINUTE) -> list[Event]:
        events = []
        for now in range(self.now + step_ms, self.now + span_ms + 1, step_ms):
            events += self.send(Tick(now))
        self.now += span_ms
        return events

    def stream(self, liquidations: Iterable[Liquidation], *, step_ms: int = MINUTE) -> list[Event]:
        """Send them in order, with the ticks between."""
        events = []
        for item in liquidations:
            while self.now + step_ms <= item.ts_ms:
                events += self.wait(step_ms)
            events += self.send(item)
        return events

    def evenly(self, usd: float, span_ms: int, count: int, symbol: str = BTC) -> list[Event]:
        """`usd` in `count` equal parts, the last one at the end of the span."""
        start = self.now
        events = self.stream(
            liquidation(start + span_ms * i // count, usd / count, symbol) for i in range(1, count + 1)
        )
        return events + self.wait(start + span_ms - self.now)

    def reading(self, symbol: str = BTC) -> CascadeReading:
        found = [r for r in self.feature.readings() if r.symbol == symbol]
        assert isinstance(found[0], CascadeReading)
        return found[0]

    @property
    def events(self) -> list[Event]:
        return [event for output in self.outputs for event in output.events]

    def of(self, symbol: str, phase: Phase | None = None) -> list[Event]:
        return [e for e in self.events if e.symbol == symbol and phase in {None, e.phase}]

    def said(self) -> bytes:
        return msgspec.json.encode(
            [[output.readings, output.events] for output in self.outputs], enc_hook=list
        )

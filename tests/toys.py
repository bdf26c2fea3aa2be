"""Small features for testing what carries features: they count and remember, and do nothing else."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.base import (
    NOTHING,
    FeatureSettings,
    Need,
    Output,
    Reading,
    Snapshot,
    Status,
    Universe,
)
from regimes.observations import Candle, FeedGap, Liquidation, Observation, Tick
from regimes.timeframe import HOUR_MS


class CountSettings(FeatureSettings):
    limit: int = Field(default=3, ge=1, description="Liquidations that open an event.")


class CountReading(Reading, frozen=True, kw_only=True):
    count: int
    severity: int | None = None


class LiquidationCounter:
    """Counts liquidations; an event opens at the limit and closes at the first full hour."""

    name: ClassVar[str] = "liquidation_counter"
    section: ClassVar[str] = "counter"
    package_key: ClassVar[str] = "cascades"
    settings_type: ClassVar[type[FeatureSettings]] = CountSettings
    wants: ClassVar[frozenset[type[Observation]]] = frozenset({Liquidation, Tick, FeedGap})

    def __init__(self, settings: CountSettings, universe: Universe) -> None:
        self._settings = settings
        self._counts = dict.fromkeys(universe.symbols, 0)
        self._started: dict[str, int] = {}
        self._dirty: list[str] = []
        self.gaps = 0

    def warmup(self) -> Sequence[Need]:
        return [Need("candle", 10 * HOUR_MS, "1h"), Need("funding", HOUR_MS)]

    def update(self, observation: Observation) -> Output:
        match observation:
            case Liquidation(symbol=symbol) if symbol in self._counts:
                return self._count(observation)
            case Tick():
                return self._tick(observation.ts_ms)
            case FeedGap():
                self.gaps += 1
        return NOTHING

    def _count(self, order: Liquidation) -> Output:
        self._counts[order.symbol] += 1
        self._dirty.append(order.symbol)
        if self._counts[order.symbol] < self._settings.limit or order.symbol in self._started:
            return NOTHING
        self._started[order.symbol] = order.ts_ms
        return Output([self._reading(order.symbol)], [self._event(order.symbol, Phase.OPENED, order.ts_ms)])

    def _tick(self, ts_ms: int) -> Output:
        events = []
        if ts_ms % HOUR_MS == 0:
            events = [self._event(symbol, Phase.CLOSED, ts_ms) for symbol in self._started]
            self._started.clear()
        told = [self._reading(symbol) for symbol in dict.fromkeys(self._dirty)]
        self._dirty.clear()
        return Output(told, events) if told or events else NOTHING

    def _event(self, symbol: str, phase: Phase, ts_ms: int) -> Event:
        return Event(
            type=EventType.LIQUIDATION_CASCADE,
            symbol=symbol,
            severity=Severity.CRITICAL,
            phase=phase,
            ts_ms=ts_ms,
            started_ms=self._started[symbol],
            revision=int(phase is Phase.CLOSED),
            title="many",
            description="many",
            why="count",
            data={"count": self._counts[symbol]},
        )

    def _reading(self, symbol: str) -> CountReading:
        count = self._counts[symbol]
        loud = count >= self._settings.limit
        return CountReading(
            feature=self.name,
            symbol=symbol,
            status=Status.OK if count else Status.WARMING,
            as_of_ms=None,
            n=count,
            needed=1,
            coverage=1.0,
            count=count,
            severity=5 if loud else 1,
            alert_level=Severity.CRITICAL if loud else None,
        )

    def readings(self) -> Sequence[Reading]:
        return [self._reading(symbol) for symbol in self._counts]

    def snapshot(self) -> Snapshot:
        return {"counts": self._counts, "started": self._started, "dirty": self._dirty}

    def restore(self, snapshot: Snapshot) -> None:
        self._counts, self._started = dict(snapshot["counts"]), dict(snapshot["started"])
        self._dirty = list(snapshot["dirty"])


class CloseKeeper:
    """Keeps the last close of each symbol."""

    name: ClassVar[str] = "close_keeper"
    section: ClassVar[str] = "closes"
    package_key: ClassVar[str] = "closes"
    settings_type: ClassVar[type[FeatureSettings]] = FeatureSettings
    wants: ClassVar[frozenset[type[Observation]]] = frozenset({Candle})

    def __init__(self, settings: FeatureSettings, universe: Universe) -> None:
        self._closes: dict[str, float | None] = dict.fromkeys(universe.symbols)

    def warmup(self) -> Sequence[Need]:
        return [Need("candle", 50 * HOUR_MS, "1h")]

    def update(self, observation: Observation) -> Output:
        assert isinstance(observation, Candle)
        self._closes[observation.symbol] = observation.close
        return Output([self._reading(observation.symbol)])

    def _reading(self, symbol: str) -> Reading:
        close = self._closes[symbol]
        return CloseReading(
            feature=self.name,
            symbol=symbol,
            status=Status.WARMING if close is None else Status.OK,
            as_of_ms=None,
            n=int(close is not None),
            needed=1,
            coverage=1.0,
            close=close,
        )

    def readings(self) -> Sequence[Reading]:
        return [self._reading(symbol) for symbol in self._closes]

    def snapshot(self) -> Snapshot:
        return {"closes": self._closes}

    def restore(self, snapshot: Snapshot) -> None:
        self._closes = dict(snapshot["closes"])


class CloseReading(Reading, frozen=True, kw_only=True):
    close: float | None

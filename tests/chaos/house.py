"""Engine, policy, storage and outbox in one process, without a feed: event time passes as the test says."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from regimes.alerting.policy import Policy
from regimes.alerting.settings import AlertingSettings
from regimes.config.features import installed
from regimes.config.settings import settings_type
from regimes.delivery.desk import AlertDesk
from regimes.engine import Engine
from regimes.features.base import FeatureSettings, Universe
from regimes.observations import Liquidation, Observation, Tick
from regimes.pipeline.alerts import routes
from regimes.pipeline.states import States
from tests.delivery.harness import Running, WatchedStorage, running

START_MS = 1_737_982_800_000


class House:
    """Feeds the engine and hands its events to the desk, as the pipeline does."""

    def __init__(
        self, symbols: Sequence[str], work: Running, settings: Mapping[str, FeatureSettings]
    ) -> None:
        self.engine = Engine.build(installed(), Universe(tuple(symbols)), settings)
        self.work = work
        self.now_ms = START_MS
        self.events = [*self.engine.open_events.values()]
        shipped = settings_type()()
        self.desk = AlertDesk(
            Policy(AlertingSettings(), routes(tuple(work.endpoints.values()), shipped)),
            work.storage,
            tuple(work.endpoints.values()),
            work.clock,
            states=States(lambda: {"policy": self.desk.policy.snapshot()}, lambda: self.engine),
            wake=work.outbox.wake,
        )
        self.step([Tick(START_MS)])

    def step(self, observations: Sequence[Observation]) -> None:
        """One turn of the engine."""
        events = [event for one in observations for event in self.engine.step(one).events]
        self.events += events
        if events:
            self.desk.take(events, self.now_ms)

    def liquidated(self, symbol: str, usd: float) -> Liquidation:
        """One long liquidated now, at 1 USD."""
        return Liquidation(self.now_ms, "binanceusdm", symbol, "long", 1.0, usd, usd)

    async def passes(self, seconds: float) -> None:
        """Let event time pass in steps of half a second, the policy speaking in each, and wait for the disk."""
        end_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < end_ms:
            self.now_ms = min(end_ms, self.now_ms + 500)
            self.step([Tick(self.now_ms)])
            self.desk.tick(self.now_ms)
        await self.desk.drained()


@asynccontextmanager
async def house(
    symbols: Sequence[str],
    storage: WatchedStorage,
    urls: Mapping[str, str],
    *,
    bases: Mapping[str, str] | None = None,
    settings: Mapping[str, FeatureSettings] | None = None,
) -> AsyncIterator[House]:
    """All of it at work."""
    async with running(storage, urls, bases=bases) as work:
        made = House(symbols, work, settings or {})
        writing = asyncio.create_task(made.desk.run())
        try:
            yield made
        finally:
            writing.cancel()

"""Pipeline and alerts as the service puts them together, in this process, ended in order or torn down."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from regimes.clock import ScaledClock
from regimes.config import Settings
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.pipeline import Pipeline
from regimes.pipeline.alerts import Alerts, open_alerts
from regimes.pipeline.reload import Reload
from regimes.service import run_together
from tests.loopback import connected, settings_for


class Life:
    """One run of the service."""

    def __init__(self, alerts: Alerts, pipeline: Pipeline) -> None:
        self.alerts = alerts
        self.pipeline = pipeline
        self.stop = asyncio.Event()
        self.read: Callable[[], Settings] = lambda: alerts.settings
        """The settings as a reload finds them."""
        self.reload = asyncio.Event()
        reload = Reload(alerts, self._read, lambda _: None, self.reload)
        self.task = asyncio.create_task(run_together(pipeline, alerts, self.stop, reload))

    def _read(self) -> Settings:
        return self.read()

    async def until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        """Wait for something it will do; fails when it ends before."""
        async with asyncio.timeout(within_s):
            while not condition():
                if self.task.done():
                    self.task.result()
                    raise AssertionError("it has ended")
                await asyncio.sleep(0.005)

    async def looked(self) -> None:
        """Wait until it has looked at itself once more, from beginning to end."""
        await self.alerts.look()

    async def stored(self) -> None:
        """Wait until everything that was taken is on disk."""
        await self.alerts._archive.hand_over()
        await self.alerts.desk.drained()
        await self.alerts.storage.flush()


@asynccontextmanager
async def living(
    settings: Settings, clock: ScaledClock, *, in_order: bool = False, wait_for_streams: bool = True
) -> AsyncIterator[Life]:
    """Run it until the block ends; then it is torn down with nothing more written, or ended in order."""
    async with starting(settings, clock, in_order=in_order) as life:
        await life.until(
            lambda: connected(life.pipeline) if wait_for_streams else life.pipeline.live.is_set()
        )
        yield life


@asynccontextmanager
async def starting(settings: Settings, clock: ScaledClock, *, in_order: bool = False) -> AsyncIterator[Life]:
    """The same, from the first moment on."""
    async with open_alerts(settings, clock) as alerts:
        life = Life(alerts, Pipeline(settings, clock=clock, resume=await alerts.resume()))
        try:
            yield life
        finally:
            if in_order:
                life.stop.set()
                await life.task
            else:
                life.task.cancel()
                await asyncio.wait([life.task])


def settings_with(
    exchange: LoopbackExchange, folder: Path, hook: str, *, route: str = "webhooks_all", **sections: Any
) -> Settings:
    """Settings with a database in `folder` and one receiver; sections are added to them."""
    delivery = {
        route: hook,
        "allow_cidrs": ("127.0.0.0/8",),
        "timeout_seconds": 1.0,
        **sections.pop("delivery", {}),
    }
    storage = {
        "url": f"sqlite:///{folder}/alerts.db",
        "cache_dir": folder / "cache",
        **sections.pop("storage", {}),
    }
    return settings_for(exchange, folder, delivery=delivery, storage=storage, **sections)

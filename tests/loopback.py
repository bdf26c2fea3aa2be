"""A pipeline against the loopback exchange, on one clock, for as long as a block."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from regimes.clock import ScaledClock
from regimes.config import Settings
from regimes.config.settings import Origin, settings_type
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.source import MarketSource
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.pipeline import Pipeline

START_MS = 1_737_982_800_000  # 2025-01-27 13:00 UTC
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def settings_for(exchange: LoopbackExchange, cache: Path, **sections: Any) -> Settings:
    """Settings whose venues are the exchange on loopback; one timeframe, as longer ones need a long history."""
    venues = {
        "spot_url": exchange.base_url,
        "derivatives_url": exchange.base_url,
        **sections.pop("venues", {}),
    }
    return settings_type()().replaced(
        Origin("test", ""),
        **{
            "symbols": SYMBOLS,
            "timeframes": ("1h",),
            "venues": venues,
            "storage": {"cache_dir": cache},
            **sections,
        },
    )


@asynccontextmanager
async def exchange_on_loopback(
    *, speed: float = 600.0, source: MarketSource | None = None, running: bool = False
) -> AsyncIterator[tuple[LoopbackExchange, ScaledClock]]:
    """An exchange and its clock, which stands still until it is started."""
    clock = ScaledClock(START_MS, speed, running=running)
    market = source or SyntheticMarket(SYMBOLS, START_MS, 1, "calm")
    async with LoopbackExchange(market, clock) as exchange:
        yield exchange, clock


@asynccontextmanager
async def running(pipeline: Pipeline) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a pipeline until the block ends; what it raises is raised there."""
    stop = asyncio.Event()
    task = asyncio.create_task(pipeline.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await task


async def until(
    condition: Callable[[], object], pipeline_task: "asyncio.Task[None]", timeout_s: float = 30
) -> None:
    """Wait for something the pipeline will do; ends early when the pipeline does."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            if pipeline_task.done():
                pipeline_task.result()
                raise AssertionError("the pipeline has ended")
            await asyncio.sleep(0.005)


def connected(pipeline: Pipeline) -> bool:
    """Whether the history is in and every stream flows."""
    streams = pipeline.status()
    return pipeline.live.is_set() and bool(streams) and all(stream.connected for stream in streams)

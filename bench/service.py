"""One client in a process of its own: our pipeline, the bare client, or ccxt.pro awaited; its CPU, lag and counts.

Says `ready` when everything is connected, then answers each line on standard input with the state since the last one.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import msgspec
import typer

from bench.blaster import symbols
from bench.clients import Awaited, Bare, Client
from bench.wire import AWAITED, BARE, OURS, Consumer
from regimes.clock import MarketClock, ScaledClock
from regimes.commands.running import run_to_end
from regimes.config import Settings
from regimes.config.settings import Origin, settings_type
from regimes.features.base import Universe
from regimes.logs import LogSettings, configure
from regimes.observations import DataKind, Tick
from regimes.pipeline import Pipeline
from regimes.pipeline.lag import LoopLag

# Weekly bars would need 21 weeks of history, which takes longer to read than the benchmark runs.
TIMEFRAMES: Final = ("1h", "4h", "1d")
STREAMS: Final[tuple[DataKind, ...]] = ("candle", "mark_price", "liquidation")
_TICK_S: Final = 5.0
_LOOK_S: Final = 0.1


class State(msgspec.Struct, frozen=True):
    """CPU and real seconds since the last answer, the loop's lag, and counts of liquidations since the start."""

    cpu_s: float
    real_s: float
    lag_p99_ms: float
    received: int
    counted: int
    dropped: int


class Stopwatch:
    """CPU and real time since it was last read."""

    def __init__(self) -> None:
        self._began = (time.process_time(), time.monotonic())

    def read(self) -> tuple[float, float]:
        """Seconds of CPU, and real ones."""
        began, self._began = self._began, (time.process_time(), time.monotonic())
        return self._began[0] - began[0], self._began[1] - began[1]


def settings(url: str, count: int, cache: Path) -> Settings:
    """What an operator would set for so many symbols, but for the longest bars."""
    return settings_type()().replaced(
        Origin("bench", ""),
        symbols=symbols(count),
        timeframes=TIMEFRAMES,
        venues={"spot_url": url, "derivatives_url": url},
        storage={"cache_dir": cache},
    )


async def _ours(url: str, count: int, cache: Path) -> None:
    pipeline = Pipeline(settings(url, count, cache), clock=MarketClock())
    stop = asyncio.Event()
    running = asyncio.create_task(pipeline.run(stop))
    while not (pipeline.live.is_set() and _on_air(pipeline)):
        await asyncio.wait([running], timeout=_LOOK_S)
        if running.done():
            running.result()

    def counts() -> tuple[int, int, int]:
        received = sum(s.messages for s in pipeline.status() if s.stream == "liquidation")
        return received, pipeline.engine.intake.accepted["liquidation"], pipeline.queue.dropped.total()

    await _answer(pipeline.lag, counts)
    stop.set()
    await running


def _on_air(pipeline: Pipeline) -> bool:
    """Whether every stream of messages flows. What is asked for by REST may take minutes within the exchange's limits."""
    streams = {status.stream: status.connected for status in pipeline.status()}
    return all(streams.get(kind, False) for kind in STREAMS)


async def _other(client: Client, universe: Universe, now_ms: int) -> None:
    """Another client before our engine, with the Ticks that the pipeline would give it."""
    clock = ScaledClock(now_ms, 1.0)
    consumer, lag = Consumer(client, universe), LoopLag(clock)
    consumer.feed_engine(wanted=True)

    async def tick() -> None:
        while True:
            client.queue.put(Tick(clock.now_ms()))
            await asyncio.sleep(_TICK_S)

    def counts() -> tuple[int, int, int]:
        return client.received(), consumer.counted("liquidation"), client.queue.dropped.total()

    tasks = [asyncio.create_task(part) for part in (consumer.run(), lag.run(), tick())]
    await _answer(lag, counts)
    for task in tasks:
        task.cancel()


async def _answer(lag: LoopLag, counts: Callable[[], tuple[int, int, int]]) -> None:
    watch = Stopwatch()
    _say("ready")
    while await asyncio.to_thread(sys.stdin.buffer.readline):
        _say(State(*watch.read(), lag.quantile_ms(0.99) or 0.0, *counts()))


def _say(answer: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


async def _serve(client: str, url: str, count: int, cache: Path) -> None:
    universe = Universe(symbols(count), TIMEFRAMES)
    if client == OURS:
        await _ours(url, count, cache)
        return
    async with aiohttp.ClientSession() as session, session.get(url + "/api/v3/time") as answer:
        now_ms = (await answer.json())["serverTime"]
    async with (Bare if client == BARE else Awaited)(url, universe, klines=False) as other:
        await _other(other, universe, now_ms)


def main(
    client: Annotated[str, typer.Argument(help=f"{OURS}, {BARE} or {AWAITED}.")],
    url: Annotated[str, typer.Argument(help="The exchange.")],
    count: Annotated[int, typer.Option(help="Symbols.")],
    cache: Annotated[Path, typer.Option(help="Folder with candles.")],
    core: Annotated[int, typer.Option(help="The one core to run on.")],
) -> None:
    """Serve until standard input ends."""
    os.sched_setaffinity(0, {core})
    configure(LogSettings(level="ERROR"))
    run_to_end(_serve(client, url, count, cache))


if __name__ == "__main__":
    typer.run(main)

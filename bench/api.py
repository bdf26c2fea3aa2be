"""What `regimes run` answers and what it costs when nobody asks: /api/features, /metrics, CPU at rest."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import numpy as np

from bench.api_client import Took
from bench.candles import fill
from bench.processes import exchanges
from bench.program import Service, configuration, service
from bench.report import Aim, Report, Result
from bench.sse import cpu_seconds, free_port
from regimes.commands.load_test.children import child
from regimes.commands.running import run_to_end

CLIENTS: Final = 100
SECONDS: Final = 10.0
REST_S: Final = 20.0
SCRAPES: Final = 15
SCRAPE_EVERY_S: Final = 1.1
LONGER: Final = 6
"""`--full` measures so many times as long."""
AIM_FEATURES_MS: Final = 20.0
AIM_METRICS_MS: Final = 50.0
AIM_REST: Final = 3.0
_SETTLE_S: Final = 8.0
_ASK_EVERY_S: Final = 0.005


class Program(NamedTuple):
    """A running service and its port."""

    service: Service
    port: int


@asynccontextmanager
async def running(count: int) -> AsyncIterator[Program]:
    """`regimes run` on a calm market of so many symbols, its history in."""
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as name:
        folder, port = Path(name), free_port()
        await asyncio.to_thread(fill, folder / "cache", count)
        async with exchanges(count, 1, running=True) as sender:
            config = configuration(folder, sender.urls[0], count)
            with config.open("a") as file:
                file.write(f"[web]\nport = {port}\n")
            async with service(config) as program:
                await program.logs("warmed_up")
                reading = asyncio.create_task(program.ignore_log())
                await asyncio.sleep(_SETTLE_S)
                yield Program(program, port)
                reading.cancel()


async def at_rest(program: Program, seconds: float) -> float:
    """Per cent of one core while nobody looks."""
    began_s, began = cpu_seconds(program.service.pid), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (cpu_seconds(program.service.pid) - began_s) / (time.monotonic() - began)


async def features(program: Program, seconds: float) -> Took:
    """100 clients ask for everything, each again as soon as it was answered."""
    async with child("bench.api_client", str(program.port), "/api/features", str(CLIENTS)) as process:
        await process.hear(int)
        await process.ask(1.0, Took)
        return await process.ask(seconds, Took)


class Scraped(NamedTuple):
    """Milliseconds of each scrape, and of the slowest other request beside each."""

    ms: Sequence[float]
    beside_ms: Sequence[float]
    bytes: int


async def scraped(program: Program, times: int) -> Scraped:
    """Scrape now and then while somebody asks for something small all the time."""
    ms, beside_ms, size = [], [], 0
    async with aiohttp.ClientSession(f"http://127.0.0.1:{program.port}") as client:
        for _ in range(times):
            done = asyncio.Event()
            beside = asyncio.create_task(_beside(client, done))
            await asyncio.sleep(SCRAPE_EVERY_S)
            took, size = await _timed(client, "/metrics")
            ms.append(took)
            done.set()
            beside_ms.append(await beside)
    return Scraped(ms, beside_ms, size)


async def _beside(client: aiohttp.ClientSession, done: asyncio.Event) -> float:
    slowest = 0.0
    while not done.is_set():
        slowest = max(slowest, (await _timed(client, "/healthz"))[0])
        await asyncio.sleep(_ASK_EVERY_S)
    return slowest


async def _timed(client: aiohttp.ClientSession, path: str) -> tuple[float, int]:
    began = time.perf_counter()
    async with client.get(path) as answer:
        body = await answer.read()
        answer.raise_for_status()
    return 1e3 * (time.perf_counter() - began), len(body)


async def _measure(times: int) -> Report:
    async with running(3) as program:
        rest = await at_rest(program, REST_S * times)
        few = await features(program, SECONDS * times)
        small = await scraped(program, SCRAPES)
    async with running(500) as program:
        many = await features(program, SECONDS * times)
        large = await scraped(program, SCRAPES)
    return Report(
        name="api",
        title="`regimes run` on a calm market: answers and rest",
        results=[
            Result(what="CPU at rest, 3 symbols", unit="%", ours=rest, aim=Aim(AIM_REST)),
            *_answers(few, 3, Aim(AIM_FEATURES_MS)),
            *_answers(many, 500, None),
            *_scrapes(small, 3),
            *_scrapes(large, 500),
        ],
        notes=[
            f"/api/features: {CLIENTS} keep-alive clients, each asks again as soon as it was answered, gzip accepted",
            f"{len(few.ms) / few.seconds:,.0f} answers a second with 3 symbols, {len(many.ms) / many.seconds:,.0f} with 500",
            f"{few.failed + many.failed} answers were no 200",
            f"/metrics: {small.bytes:,} bytes with 3 symbols, {large.bytes:,} with 500",
        ],
    )


def _answers(took: Took, count: int, aim: Aim | None) -> list[Result]:
    p99 = float(np.percentile(took.ms, 99))
    return [
        Result(what=f"/api/features, {count} symbols, {CLIENTS} clients: p99", unit="ms", ours=p99, aim=aim),
        Result(what="  an answer", unit="us", ours=1e6 * took.seconds / len(took.ms)),
    ]


def _scrapes(found: Scraped, count: int) -> list[Result]:
    return [
        Result(
            what=f"/metrics, {count} symbols: slowest of {len(found.ms)}",
            unit="ms",
            ours=max(found.ms),
            aim=Aim(AIM_METRICS_MS),
        ),
        Result(
            what="  slowest other answer around it, median",
            unit="ms",
            ours=float(np.median(found.beside_ms)),
        ),
    ]


def run(*, full: bool = False) -> Report:
    """Measure a small and a large universe."""
    return run_to_end(_measure(LONGER if full else 1))

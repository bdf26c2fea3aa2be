"""Deliveries a second through the outbox, each claimed, signed, sent and settled on disk, beside bare POSTs.

The receivers are another process. CPU is this process's, the threads of SQLite included.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import aiohttp
import msgspec

from bench.report import Aim, Report, Result
from regimes.alerting.render import render
from regimes.clock import SystemClock
from regimes.commands.running import run_to_end
from regimes.delivery import signing
from regimes.delivery.channel import open_channels
from regimes.delivery.endpoints import Endpoint, parse_endpoints
from regimes.delivery.enqueue import Letter, new_delivery
from regimes.delivery.outbox import Outbox
from regimes.delivery.settings import DeliverySettings
from regimes.events import EventBody, event_id
from regimes.storage.base import DeliveryStatus, NewDelivery, Step
from regimes.storage.sqlite import SqliteStorage

ENDPOINTS: Final = 4
AT_A_TIME: Final = 8
DELIVERIES: Final = 4_000
FULL_DELIVERIES: Final = 20_000
ROUNDS: Final = 3
OURS: Final = "outbox"
BARE: Final = "bare aiohttp POSTs"
_SECRET: Final = b"benchmark-key-0123456789"


class Spent(NamedTuple):
    """Microseconds a delivery."""

    cpu_us: float
    real_us: float


def _body(number: int) -> EventBody:
    return EventBody(
        event_type="LIQUIDATION_CASCADE",
        timestamp="2025-01-27T13:00:00Z",
        symbol="BTC/USDT",
        severity="CRITICAL",
        title="BTC/USDT liquidation cascade: 5.0 M USD in 10 min",
        description="Severity 4 of 5 at its peak, 6,000,000 USD/h at its fastest.",
        source="CASCADE",
        data={f"number_{n}": n * 1234.5 for n in range(30)},
        id=event_id("LIQUIDATION_CASCADE", "BTC/USDT", number),
        phase="opened",
        started="2025-01-27T12:50:00Z",
        why="velocity 500,000 USD/h >= 400,000 and 24 h total 5,000,000 USD > 500,000",
    )


async def _ours(endpoints: Sequence[Endpoint], count: int) -> Spent:
    """All of them pending at the start; until the last one is settled."""
    settings, clock = DeliverySettings(allow_cidrs=("127.0.0.0/8",)), SystemClock()
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
        storage = SqliteStorage(Path(folder) / "outbox.db")
        await storage.open()
        for first in range(0, count, 500):
            await storage.commit(Step(deliveries=_pending(endpoints, range(first, min(count, first + 500)))))
        async with open_channels(endpoints, settings, secrets=[_SECRET]) as channels:
            outbox = Outbox(channels, storage, clock)

            async def work() -> None:
                running = asyncio.create_task(outbox.run())
                ended = outbox.counters.ended
                while sum(ended[one.name, DeliveryStatus.DELIVERED] for one in endpoints) < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                outbox.close()
                await running

            spent = await _spent(work, count)
        await storage.close()
    return spent


def _pending(endpoints: Sequence[Endpoint], numbers: range) -> list[NewDelivery]:
    now_ms, made = SystemClock().now_ms(), []
    for number in numbers:
        body = _body(number)
        made.append(
            new_delivery(Letter.of(body, render(body)), endpoints[number % len(endpoints)], now_ms=now_ms)
        )
    return made


async def _bare(endpoints: Sequence[Endpoint], count: int) -> Spent:
    """The same bodies, signed, eight at a time to each endpoint, nothing kept."""
    bodies = [msgspec.json.encode(_body(number)) for number in range(100)]

    async def post(session: aiohttp.ClientSession, endpoint: Endpoint, share: int) -> None:
        for number in range(share):
            content = bodies[number % len(bodies)]
            headers = signing.headers(
                [_SECRET], message_id=f"evt_{number}", timestamp_s=int(time.time()), body=content
            )
            async with session.post(endpoint.url, data=content, headers=headers) as answer:
                await answer.read()

    async def work() -> None:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for endpoint in endpoints:
                for _ in range(AT_A_TIME):
                    group.create_task(post(session, endpoint, count // ENDPOINTS // AT_A_TIME))

    return await _spent(work, count)


async def _spent(work: Callable[[], Awaitable[None]], count: int) -> Spent:
    cpu_s, real_s = time.process_time(), time.perf_counter()
    await work()
    return Spent((time.process_time() - cpu_s) / count * 1e6, (time.perf_counter() - real_s) / count * 1e6)


@asynccontextmanager
async def _sink() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.alerts_sink"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


async def _race(count: int) -> dict[str, list[Spent]]:
    found: dict[str, list[Spent]] = {OURS: [], BARE: []}
    async with _sink() as url:
        endpoints = parse_endpoints({"ALL": ",".join(f"{url}/{n}" for n in range(ENDPOINTS))})
        for _ in range(ROUNDS):
            found[OURS].append(await _ours(endpoints, count))
            found[BARE].append(await _bare(endpoints, count))
    return found


def run(*, full: bool = False) -> Report:
    """Race the outbox and a bare loop of POSTs."""
    count = FULL_DELIVERIES if full else DELIVERIES
    found = run_to_end(_race(count))
    cpu = {name: median(spent.cpu_us for spent in rounds) for name, rounds in found.items()}
    real = {name: median(spent.real_us for spent in rounds) for name, rounds in found.items()}
    return Report(
        name="alerts_delivery",
        title=f"{count:,} deliveries to {ENDPOINTS} fast endpoints, durable on SQLite",
        results=[
            Result(what="CPU", unit="us a delivery", ours=cpu[OURS], peers={BARE: cpu[BARE]}, aim=Aim(1000)),
            Result(
                what="time", unit="us a delivery", ours=real[OURS], peers={BARE: real[BARE]}, aim=Aim(1000)
            ),
        ],
        notes=[
            f"{1e6 / cpu[OURS]:,.0f} deliveries a second of one core's CPU, {1e6 / real[OURS]:,.0f} by the clock",
            "each is claimed with a lease, signed, sent and settled; synchronous = FULL; all pending at the start",
        ],
    )

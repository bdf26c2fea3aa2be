"""From a liquidation on the exchange's wire to the alert at its receiver, through the whole service and its disk.

The service is a process of its own; exchange and receiver are here, on one clock. While 1,000 small liquidations a second
come in, single great ones open and escalate episodes; each state is a signed webhook.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Final

import msgspec
from aiohttp import web

from bench.blaster import symbols
from bench.report import Aim, Report, Result
from regimes.clock import SystemClock
from regimes.commands.running import run_to_end
from regimes.feeds.simulator import frames
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.source import ForcedOrder
from regimes.feeds.simulator.synthetic import SyntheticMarket

PER_SECOND: Final = 1_000
PER_SEGMENT: Final = 10
SECONDS: Final = 30
FULL_SECONDS: Final = 180
PROBED: Final = 50
NOISY: Final = 50
STATES: Final = 3
"""Of each probed episode: severity 3, 4 and 5."""
STEP_USD: Final = 1_000_000.0
_PROBE_EVERY_S: Final = 0.15
_PATIENCE_S: Final = 15.0


class Receiver:
    """Answers at once and notes when each state of each symbol came."""

    def __init__(self) -> None:
        self.url = ""
        self._at_s: dict[tuple[str, int], float] = {}
        self._came = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        self._at_s.setdefault((body["symbol"], body["revision"]), time.perf_counter())
        async with self._came:
            self._came.notify_all()
        return web.Response()

    async def came(self, symbol: str, revision: int) -> float:
        """Wait for a state; when it came."""
        key = (symbol, revision)
        async with asyncio.timeout(_PATIENCE_S), self._came:
            await self._came.wait_for(lambda: key in self._at_s)
        return self._at_s[key]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Serve on loopback."""
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield one
    finally:
        await runner.cleanup()


@asynccontextmanager
async def service(folder: Path, exchange_url: str, hook_url: str, watched: list[str]) -> AsyncIterator[None]:
    """`regimes run` with these symbols; live when the block begins."""
    variables = {
        "DB_URL": f"sqlite:///{folder}/bench.db",
        "WEBHOOKS_ALL": hook_url,
        "WEBHOOK_SECRET": "whsec_YmVuY2htYXJrLWtleS0wMTIzNDU2Nzg5",
        "REGIMES__VENUES__SPOT_URL": exchange_url,
        "REGIMES__VENUES__DERIVATIVES_URL": exchange_url,
        "REGIMES__SYMBOLS": ",".join(watched),
        "REGIMES__TIMEFRAMES": "1h",
        "REGIMES__STORAGE__CACHE_DIR": str(folder / "cache"),
        "REGIMES__DELIVERY__ALLOW_CIDRS": "127.0.0.0/8",
        "REGIMES__ALERTING__BURST_COUNT": "1000000",
        "REGIMES__ALERTING__DAILY_CAP": "0",
        "REGIMES__LIQUIDATION__CASCADE_THRESHOLD_USD": str(STEP_USD),
        "REGIMES__LIQUIDATION__CRITICAL_VELOCITY": str(STEP_USD),
        "REGIMES__LIQUIDATION__MARKET_MULTIPLE": "1e6",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "regimes", "run"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **variables},
        stderr=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stderr is not None
    try:
        while b'"warmed_up"' not in (line := await process.stderr.readline()):
            if not line:
                raise RuntimeError(f"the service has ended with code {await process.wait()}")
        reading = asyncio.create_task(process.stderr.read())
        yield
        reading.cancel()
    finally:
        process.kill()
        await process.wait()


async def _probe(
    exchange: LoopbackExchange, source: SyntheticMarket, hook: Receiver, symbol: str, revision: int
) -> float:
    """Liquidate as much as the next state needs; milliseconds until it has come."""
    name = symbol.replace("/", "")
    listing, now_ms = source.listings("usdm")[name], SystemClock().now_ms()
    mark = source.mark(name, now_ms)
    price = mark.mark_price if mark else 1.0
    quantity = 1.01 * STEP_USD / price
    order = ForcedOrder(now_ms - 1, name, "SELL", quantity, price, price, quantity, quantity)
    payload = frames.forced_order(listing, order, now_ms, 0).decode()
    began_s = time.perf_counter()
    exchange.faults.inject("usdm", "!forceOrder@arr", payload)
    return 1000 * (await hook.came(symbol, revision) - began_s)


async def _latencies(seconds: int) -> list[float]:
    """Milliseconds of each probe, in the second half of the noise."""
    names = symbols(PROBED + NOISY)
    probed, noisy = list(names[:PROBED]), [name.replace("/", "") for name in names[PROBED:]]
    source, clock = SyntheticMarket(names, SystemClock().now_ms() - 60_000, 1, "calm"), SystemClock()
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
        async with (
            receiver() as hook,
            LoopbackExchange(source, clock) as exchange,
            service(Path(folder), exchange.base_url, hook.url, probed),
        ):
            noise = asyncio.create_task(
                exchange.faults.burst(
                    PER_SECOND * seconds, per_segment=PER_SEGMENT, per_second=PER_SECOND, symbol_ids=noisy
                )
            )
            await asyncio.sleep(max(0.0, seconds - PROBED * STATES * _PROBE_EVERY_S - 2))
            found: list[float] = []
            for revision in range(STATES):
                for symbol in probed:
                    pause = asyncio.create_task(asyncio.sleep(_PROBE_EVERY_S))
                    found.append(await _probe(exchange, source, hook, symbol, revision))
                    await pause
            noise.cancel()
            return found


def run(*, full: bool = False) -> Report:
    """Measure with SQLite."""
    seconds = FULL_SECONDS if full else SECONDS
    found = run_to_end(_latencies(seconds))
    cuts = quantiles(found, n=100)
    return Report(
        name="alerts_latency",
        title=f"liquidation on the wire to webhook received, SQLite, beside {PER_SECOND:,} liquidations a second",
        results=[
            Result(what="median", unit="ms", ours=cuts[49], aim=Aim(25)),
            Result(what="99th percentile", unit="ms", ours=cuts[98], aim=Aim(100)),
        ],
        notes=[
            f"{len(found)} alerts, the slowest {max(found):.0f} ms; exchange and receiver share the other core",
            f"{PER_SECOND * seconds:,} liquidations by the end, {PROBED} symbols watched",
            "event, decision, delivery and state are on disk (synchronous = FULL) before anything is sent",
        ],
    )

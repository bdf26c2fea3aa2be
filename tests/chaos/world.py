"""A whole world for the service: an exchange in its own process, receivers, databases, and the service itself."""

import asyncio
import json
import os
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

from regimes.feeds.simulator.profiles import profile
from tests.chaos.nursery import Child

ROOT = Path(__file__).parent.parent.parent
Mode = Literal["up", "refusing", "failing", "hanging"]
ORDERS = 200
"""Orders of one strike: the sizes of the exchange's bursts repeat after so many."""
CRITICAL_USD = 60_000.0
"""Velocity of severity 3 that the service is set to; a strike is 200,000 to 400,000 USD."""
STDOUT, STDERR = 1, 2
READY = "binanceusdm liquidations"


def alike(count: int) -> list[str]:
    """Names of so many synthetic symbols that trade at 10 to 20 USD, so that a strike weighs the same for each."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = f"C{number}/USDT"
        if 10 <= profile(name).price <= 20:
            found.append(name)
        number += 1
    return found


class Exchange:
    """The loopback exchange in a process of its own."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self._session = session

    async def fault(self, name: str, **arguments: Any) -> Any:
        """Do one of `/control/faults`."""
        order = {"fault": name, **arguments}
        async with self._session.post(f"{self.base_url}/control/faults", json=order) as answer:
            told = await answer.json()
            assert answer.status == 200, told
            return told["result"]

    async def strike(self, symbol: str, *, seconds: float = 1.0, orders: int = ORDERS) -> int:
        """Liquidate one symbol; how many frames were taken by a reader."""
        pace = {"per_segment": max(1, orders // 20), "per_second": orders / seconds if seconds else None}
        sent: int = await self.fault("burst", count=orders, symbol_ids=[symbol.replace("/", "")], **pace)
        return sent


@asynccontextmanager
async def exchange(
    symbols: Sequence[str], *, speed: float = 1.0, scenario: str = "calm"
) -> AsyncIterator[Exchange]:
    """Open an exchange that trades these symbols."""
    options = ("--symbols", ",".join(symbols), "--scenario", scenario, "--speed", str(speed))
    process = Child(("regimes.feeds.simulator", *options), folder=ROOT, environ=os.environ, read=STDOUT)
    try:
        output = await process.output()
        base_url = (await asyncio.wait_for(output.readline(), 60)).decode().strip()
        async with aiohttp.ClientSession() as session:
            yield Exchange(base_url, session)
    finally:
        process.kill()
        await process.wait()


class Receiver:
    """An HTTP endpoint that can be away, and keeps every body by its `webhook-id`."""

    def __init__(self) -> None:
        self.mode: Mode = "up"
        self.bodies: defaultdict[str, list[bytes]] = defaultdict(list)
        """Of every request, whatever was answered."""
        self.accepted: Counter[str] = Counter()
        self.at_s: dict[str, float] = {}
        """Monotonic time of the first acceptance."""
        self._news = asyncio.Condition()
        self._port = 0
        self._site: web.TCPSite | None = None
        self._released = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hook"

    async def set_mode(self, mode: Mode) -> None:
        """Change what happens to requests from now on."""
        self.mode = mode
        self._released.set()
        self._released = asyncio.Event()
        if mode == "refusing":
            await self._close()
        else:
            await self._listen()

    async def open(self, runner: web.AppRunner) -> None:
        self._runner = runner
        await self._listen()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        name = request.headers["webhook-id"]
        self.bodies[name].append(body)
        if self.mode == "hanging":
            await self._released.wait()
        if self.mode != "up":
            return web.Response(status=503)
        self.accepted[name] += 1
        self.at_s.setdefault(name, asyncio.get_running_loop().time())
        async with self._news:
            self._news.notify_all()
        return web.Response()

    @property
    def told(self) -> list[dict[str, Any]]:
        """The events that were accepted, in the order in which they first came."""
        return [json.loads(self.bodies[name][0]) for name in self.at_s]

    async def hears(self, *, within_s: float = 20.0, **fields: Any) -> dict[str, Any]:
        """Wait until an event with these fields has been accepted."""

        def found() -> dict[str, Any] | None:
            return next((body for body in self.told if fields.items() <= body.items()), None)

        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(found)
        body = found()
        assert body is not None
        return body

    async def _listen(self) -> None:
        if self._site is None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
            await self._site.start()
            self._port = int(self._runner.addresses[0][1])

    async def _close(self) -> None:
        if self._site is not None:
            await self._site.stop()
            self._site = None


@asynccontextmanager
async def receivers(count: int) -> AsyncIterator[list[Receiver]]:
    """Open so many receivers."""
    opened: list[tuple[Receiver, web.AppRunner]] = []
    try:
        for _ in range(count):
            receiver = Receiver()
            app = web.Application()
            app.router.add_post("/hook", receiver.handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            opened.append((receiver, runner))
            await receiver.open(runner)
        yield [receiver for receiver, _ in opened]
    finally:
        for receiver, runner in opened:
            await receiver.set_mode("up")
            await runner.cleanup()


class Service:
    """`regimes run` as its own process; what it logs is read as it comes, and kept in a file."""

    def __init__(self, process: Child, log: Path) -> None:
        self.process = process
        self.log = log
        self.said: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def says(self, event: str, *, within_s: float = 60.0, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the log with this event and these fields."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.said if _matches(line, event, fields)), None)

        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: found() or self._reading.done())
        line = found()
        assert line is not None, f"ended without saying {event!r}:\n{''.join(self.noise)}\n{self.said[-20:]}"
        return line

    async def next(self, event: str, *, within_s: float = 60.0, **fields: Any) -> dict[str, Any]:
        """Wait for a line that has not been said yet."""
        seen = len(self.heard(event, **fields))

        def more() -> bool:
            return len(self.heard(event, **fields)) > seen

        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: more() or self._reading.done())
        assert more(), f"ended without saying {event!r} again:\n{''.join(self.noise)}"
        return self.heard(event, **fields)[seen]

    async def is_live(self, *, within_s: float = 100.0) -> None:
        """Wait until liquidations flow and are judged."""
        await self.says("stream_connected", within_s=within_s, line=READY)
        await self.says("warmed_up", within_s=within_s)

    def heard(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Lines of the log so far."""
        return [line for line in self.said if _matches(line, event, fields)]

    async def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        await self.process.wait()
        await self._reading

    async def all_said(self) -> None:
        """Wait until everything it said has been read; it ends meanwhile."""
        await self._reading

    async def stop(self, *, within_s: float = 15.0) -> int:
        """End it in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                await self._reading
        except TimeoutError:
            raise AssertionError(f"did not stop:\n{''.join(self.noise)}\n{self.said[-20:]}") from None
        return await self.process.wait()

    async def _read(self) -> None:
        with self.log.open("ab", buffering=0) as log:
            async for raw in await self.process.output():
                log.write(raw)
                try:
                    line = json.loads(raw)
                except ValueError:
                    self.noise.append(raw.decode(errors="replace"))
                else:
                    self.said.append(line)
                async with self._news:
                    self._news.notify_all()
        async with self._news:
            self._news.notify_all()


def _matches(line: dict[str, Any], event: str, fields: Mapping[str, Any]) -> bool:
    return line.get("event") == event and all(line.get(name) == value for name, value in fields.items())


def start(folder: Path, variables: Mapping[str, str], program: Sequence[str] = ("regimes", "run")) -> Service:
    """Start the service in `folder` with nobody's settings but these."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REGIMES", "BINANCE", "LOG_", "WEBHOOK", "DB_URL"))
    }
    environ = {**kept, "HOME": str(folder), **variables}
    child = Child(program, folder=folder, environ=environ, read=STDERR)
    return Service(child, folder / "service.log")


@asynccontextmanager
async def service(
    folder: Path, variables: Mapping[str, str], program: Sequence[str] = ("regimes", "run")
) -> AsyncIterator[Service]:
    """Run the service; killed at the end of the block if it is still there."""
    running = start(folder, variables, program)
    try:
        yield running
    finally:
        await running.kill()


def variables(
    market: Exchange, symbols: Sequence[str], hooks: Sequence[Receiver], db_url: str, **more: str
) -> dict[str, str]:
    """Settings: every state of an episode is a message, cascades are small, nothing is grouped or held back."""
    return {
        "DB_URL": db_url,
        "WEBHOOKS_ALL": ",".join(hook.url for hook in hooks),
        "REGIMES__VENUES__SPOT_URL": market.base_url,
        "REGIMES__VENUES__DERIVATIVES_URL": market.base_url,
        "REGIMES__SYMBOLS": ",".join(symbols),
        "REGIMES__TIMEFRAMES": "1h",
        # Polled rarely: a service that starts every few seconds would soon have spent the exchange's request weight.
        "REGIMES__VENUES__DEPTH_SECONDS": "3600",
        "REGIMES__VENUES__DEPTH_LEVELS": "100",
        "REGIMES__VENUES__OPEN_INTEREST_SECONDS": "3600",
        "REGIMES__WEB__PORT": "0",
        "REGIMES__DELIVERY__ALLOW_CIDRS": "127.0.0.0/8",
        "REGIMES__DELIVERY__TIMEOUT_SECONDS": "0.5",
        "REGIMES__ALERTING__COOLDOWN_MINUTES": "0",
        "REGIMES__ALERTING__BURST_COUNT": "1000000",
        "REGIMES__ALERTING__DAILY_CAP": "0",
        "REGIMES__LIQUIDATION__CASCADE_THRESHOLD_USD": str(CRITICAL_USD),
        "REGIMES__LIQUIDATION__CRITICAL_VELOCITY": str(CRITICAL_USD),
        "REGIMES__LIQUIDATION__MARKET_MULTIPLE": "1e6",
        "REGIMES__LIQUIDATION__INTENSITY_MINUTES": "1",
        "REGIMES__LIQUIDATION__CALM_MINUTES": "0",
        **more,
    }


def now_s() -> float:
    """Real seconds, to measure by."""
    return asyncio.get_running_loop().time()

"""The world around a private instance: an exchange that liquidates, and receivers of messages that note when each came."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import polars as pl
from aiohttp import web

from regimes.clock import SystemClock
from regimes.commands.load_test.tiers import BURST_EVERY_S, Load
from regimes.feeds.cache import SCHEMA, CandleCache
from regimes.feeds.simulator import frames
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.source import ForcedOrder
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.timeframe import HOUR_MS, WEEK_MS, bar_open

STEP_USD: Final = 1e9
"""A probe liquidates so much that an episode opens, or grows by a level; nothing else comes near it."""
STATES: Final = 3
MOST_PROBED: Final = 20
PROBE_EVERY_S: Final = 1.0
BYSTANDERS: Final = 20
"""Symbols that are traded and not watched: what is liquidated in them opens nothing."""
SLICE_S: Final = 0.05
CALM_S: Final = 2.0
PATIENCE_S: Final = 15.0


def names(count: int) -> tuple[str, ...]:
    """So many symbols, the well-known ones first."""
    known = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    return (*known, *(f"COIN{number}/USDT" for number in range(count - len(known))))[:count]


def fill(folder: Path, source: SyntheticMarket, symbols: Sequence[str], now_ms: int, *, weeks: int) -> None:
    """Write candles as the service keeps them, so that nobody has to wait for the exchange's limits."""
    cache = CandleCache(folder)
    last_ms = bar_open(now_ms, HOUR_MS) - HOUR_MS
    for symbol in symbols:
        market_id = symbol.replace("/", "")
        bars = source.bars("spot", market_id, HOUR_MS, last_ms - weeks * WEEK_MS, last_ms, now_ms)
        cache.store("binanceus", symbol, "1h", pl.DataFrame(dict(zip(SCHEMA, bars.columns(), strict=True))))


_real = SystemClock()


class Probe(msgspec.Struct, frozen=True):
    """One state of one episode that was brought about, and when."""

    symbol: str
    revision: int
    at_s: float


class Receivers:
    """As many endpoints as wanted at one address; each answers at once and notes when each state first came."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._came = asyncio.Event()
        self.base = ""
        self._came_s: dict[tuple[int, str, int], float] = {}

    @property
    def urls(self) -> str:
        """As `WEBHOOKS_ALL` takes them."""
        return ",".join(f"{self.base}/hook/{number}" for number in range(self.count))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Receivers"]:
        """Listen on loopback until the block ends."""
        app = web.Application()
        app.router.add_post("/hook/{number}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        key = (int(request.match_info["number"]), body["symbol"], body["revision"])
        self._came_s.setdefault(key, _real.monotonic())
        self._came.set()
        return web.Response()

    def late_ms(self, probes: Sequence[Probe]) -> list[float]:
        """Of each probe at each endpoint that got it."""
        came = (
            (self._came_s.get((number, probe.symbol, probe.revision)), probe.at_s)
            for probe in probes
            for number in range(self.count)
        )
        return [1_000 * (came_s - at_s) for came_s, at_s in came if came_s is not None]

    async def settled(self, probes: Sequence[Probe]) -> None:
        """Wait until everything has come, or patience ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while len(self.late_ms(probes)) < len(probes) * self.count:
                    self._came.clear()
                    await self._came.wait()


class World:
    """An exchange with watched symbols and bystanders. probes: the liquidations that open or escalate episodes."""

    def __init__(self, load: Load, exchange: LoopbackExchange, source: SyntheticMarket) -> None:
        watched = names(load.symbols)
        self.probes: list[Probe] = []
        self._load = load
        self._exchange = exchange
        self._source = source
        probed = int(load.seconds / PROBE_EVERY_S / STATES)
        self._probed = watched[: max(1, min(MOST_PROBED, probed))]
        quiet = {name.replace("/", "") for name in self._probed}
        self._others = [name for name in source.listings("usdm") if name not in quiet]

    @property
    def sent(self) -> int:
        """Liquidations so far, those of the market itself included."""
        frames = self._exchange.sent.frames
        return frames["forceOrder@arr"] + frames["injected"]

    async def run(self) -> None:
        """Liquidate as the load says, for its time."""
        until = _real.monotonic() + self._load.seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trickle(until))
            group.create_task(self._bursts(until))
            group.create_task(self._probes(until - CALM_S))

    async def _trickle(self, until: float) -> None:
        """In slices, each with the present time in it."""
        due, owed = _real.monotonic(), 0.0
        while due < until:
            owed += self._load.per_second * SLICE_S
            await self._send(int(owed))
            owed -= int(owed)
            due += SLICE_S
            await asyncio.sleep(max(0.0, due - _real.monotonic()))

    async def _bursts(self, until: float) -> None:
        while _real.monotonic() + BURST_EVERY_S / 2 < until:
            await asyncio.sleep(BURST_EVERY_S / 2)
            await self._send(self._load.burst)
            await asyncio.sleep(max(0.0, min(BURST_EVERY_S / 2, until - _real.monotonic())))

    async def _send(self, count: int) -> None:
        if count:
            await self._exchange.faults.burst(count, symbol_ids=self._others)

    async def _probes(self, until: float) -> None:
        """Every symbol opens, then every one escalates, evenly over the time."""
        wanted = [(symbol, revision) for revision in range(STATES) for symbol in self._probed]
        pause_s = max(0.0, until - _real.monotonic()) / len(wanted)
        for symbol, revision in wanted:
            await asyncio.sleep(pause_s)
            self.probes.append(self._probe(symbol, revision))

    def _probe(self, symbol: str, revision: int) -> Probe:
        name, now_ms = symbol.replace("/", ""), _real.now_ms()
        mark = self._source.mark(name, now_ms)
        price = mark.mark_price if mark else 1.0
        quantity = 1.01 * STEP_USD / price
        order = ForcedOrder(now_ms - 1, name, "SELL", quantity, price, price, quantity, quantity)
        payload = frames.forced_order(self._source.listings("usdm")[name], order, now_ms, 0).decode()
        at_s = _real.monotonic()
        self._exchange.faults.inject("usdm", "!forceOrder@arr", payload)
        return Probe(symbol, revision, at_s)


@asynccontextmanager
async def world(load: Load, cache: Path, *, weeks: int) -> AsyncIterator[tuple[World, str]]:
    """An exchange until the block ends, and its address; its candles are in the cache already."""
    clock = SystemClock()
    now_ms = clock.now_ms()
    watched = names(load.symbols)
    source = SyntheticMarket(names(load.symbols + BYSTANDERS), now_ms - HOUR_MS, 1, "calm")
    await asyncio.to_thread(fill, cache, source, watched, now_ms, weeks=weeks)
    async with LoopbackExchange(source, clock) as exchange:
        yield World(load, exchange, source), exchange.base_url

"""The web server over a real engine, real SQLite and a real outbox; the market is fed by the test."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np

from regimes.clock import Clock, SystemClock
from regimes.config import Settings
from regimes.config.features import installed
from regimes.config.settings import Origin, settings_type
from regimes.engine import Engine
from regimes.events import Event, EventType, Phase, Severity
from regimes.feeds.cache import CandleCache, to_frame
from regimes.observations import Candle, FundingRate, Liquidation, MarkPrice, Observation, Tick
from regimes.pipeline import Pipeline
from regimes.pipeline.alerts import Alerts, open_alerts
from regimes.service import web_of
from regimes.timeframe import HOUR_MS, known_at_ms
from regimes.web.app import WebServer

SYMBOLS = ("BTC/USDT", "ETH/USDT")
TOKEN = "a-token-of-24-characters"  # noqa: S105
WRITE = {"X-Requested-With": "regimes"}
HISTORY_HOURS = 800
BEGAN_MS = SystemClock().now_ms() - HOUR_MS


class Service:
    """What a test holds: the running parts, and a client."""

    def __init__(
        self, server: WebServer, pipeline: Pipeline, alerts: Alerts, client: aiohttp.ClientSession
    ) -> None:
        self.server = server
        self.pipeline = pipeline
        self.alerts = alerts
        self.client = client

    @property
    def address(self) -> str:
        return self.server.address

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def feed(self, *observations: Observation) -> None:
        """Let the engine take observations as one turn."""
        self.pipeline._step_all(observations)

    def tick(self, ts_ms: int | None = None) -> None:
        self.feed(Tick(ts_ms or self.pipeline.clock.now_ms()))

    async def emit(self, *events: Event) -> None:
        """Hand events to the alerts, and wait until they are on disk."""
        self.alerts.desk.take(events, self.pipeline.clock.now_ms())
        await self.alerts.desk.drained()

    async def get(self, path: str, **options: Any) -> tuple[int, Any, Mapping[str, str]]:
        async with self.client.get(path, **options) as answer:
            return answer.status, _read(answer, await answer.read()), answer.headers

    async def send(
        self, method: str, path: str, headers: Mapping[str, str] = WRITE, **options: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        async with self.client.request(method, path, headers=headers, **options) as answer:
            return answer.status, _read(answer, await answer.read()), answer.headers


def _read(answer: aiohttp.ClientResponse, body: bytes) -> Any:
    return msgspec.json.decode(body) if "json" in answer.content_type and body else body


def settings_in(folder: Path, *, web: Mapping[str, Any] = {}, **sections: Any) -> Settings:
    return settings_type()().replaced(
        Origin("test", ""),
        **{
            "symbols": SYMBOLS,
            "timeframes": ("1h", "4h"),
            "storage": {"url": f"sqlite:///{folder / 'test.db'}", "cache_dir": folder / "cache"},
            "web": {"port": 0, **web},
            **sections,
        },
    )


@asynccontextmanager
async def service(
    folder: Path,
    *,
    clock: Clock | None = None,
    live: bool = True,
    history: bool = True,
    web: Mapping[str, Any] = {},
    **sections: Any,
) -> AsyncIterator[Service]:
    """A server for as long as the block; live: whether there is an engine yet, history: whether it has seen a month."""
    settings = settings_in(folder, web=web, **sections)
    clock = clock or SystemClock()
    async with open_alerts(settings, clock) as alerts:
        await alerts.resume()
        pipeline = Pipeline(settings, clock=clock)
        async with web_of(settings, clock, pipeline, alerts) as server:
            assert server is not None
            alerts.attach(pipeline)
            if live:
                _build(pipeline, history=history)
            working = asyncio.create_task(alerts.run())
            try:
                async with aiohttp.ClientSession(server.address) as client:
                    yield Service(server, pipeline, alerts, client)
            finally:
                await alerts.close()
                working.cancel()
                await asyncio.wait([working])


def _build(pipeline: Pipeline, *, history: bool) -> None:
    universe = pipeline.settings.universe()
    pipeline._engine = Engine.build(installed(), universe, pipeline.settings.sections())
    if history:
        now_ms = pipeline.clock.now_ms()
        known = past(now_ms)
        cache = CandleCache(pipeline.settings.storage.cache_dir)
        for symbol in SYMBOLS:
            bars = [one for one in known if isinstance(one, Candle) and one.symbol == symbol]
            cache.store("binanceus", symbol, "1h", to_frame(bars))
        for observation in [Tick(now_ms), *sorted(known, key=known_at_ms), Tick(now_ms)]:
            pipeline._engine.step(observation)  # history brings no alerts
    pipeline.live.set()


def past(now_ms: int) -> Sequence[Observation]:
    """A month of bars and settlements of every symbol."""
    draws = np.random.default_rng(1)
    last_ms = now_ms // HOUR_MS * HOUR_MS - HOUR_MS
    found: list[Observation] = []
    for symbol in SYMBOLS:
        closes = 1000 * np.exp(np.cumsum(draws.normal(0, 0.004, HISTORY_HOURS)))
        for number, close in enumerate(map(float, closes)):
            open_ms = last_ms - (HISTORY_HOURS - 1 - number) * HOUR_MS
            found.append(bar(symbol, open_ms, close))
            if number % 8 == 0:
                rate = float(draws.normal(0.0001, 0.00005))
                found.append(
                    FundingRate(open_ms // (8 * HOUR_MS) * 8 * HOUR_MS, "binanceusdm", symbol, rate, 8.0)
                )
    return found


def bar(symbol: str, open_ms: int, close: float, *, closed: bool = True) -> Candle:
    return Candle(
        "binanceus",
        symbol,
        "1h",
        open_ms,
        close,
        close * 1.001,
        close * 0.999,
        close,
        10.0,
        100.0,
        5.0,
        closed,
    )


def mark(symbol: str, price: float, ts_ms: int) -> MarkPrice:
    return MarkPrice(ts_ms, "binanceusdm", symbol, price)


def liquidation(symbol: str, ts_ms: int, usd: float = 1_000.0, closed: Any = "long") -> Liquidation:
    return Liquidation(ts_ms, "binanceusdm", symbol, closed, 100.0, usd / 100.0, usd)


def event(
    number: int = 0,
    *,
    symbol: str = "BTC/USDT",
    revision: int = 0,
    phase: Phase = Phase.OPENED,
    severity: Severity = Severity.WARNING,
    kind: EventType = EventType.VOLATILITY_REGIME,
    started_ms: int | None = None,
    title: str = "BTC/USDT volatility: HIGH_VOL",
) -> Event:
    started_ms = BEGAN_MS + number if started_ms is None else started_ms
    return Event(
        type=kind,
        symbol=symbol,
        severity=severity,
        phase=phase,
        ts_ms=started_ms + revision * 1000,
        started_ms=started_ms,
        revision=revision,
        title=title,
        description="STABLE to HIGH_VOL",
        why="24 h volatility 2.10 % >= 2.00 %",
        data={"ratio": 1.2, "number": number},
    )

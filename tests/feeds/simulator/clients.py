"""Clients of the loopback exchange: real ccxt.pro, bare websockets, and a clock that a test moves by hand."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import ccxt.pro

from regimes.feeds.simulator.exchange import LoopbackExchange

PATIENCE_S = 10


class StepClock:
    """Event time that stands still until `advance`; everything that slept long enough then wakes."""

    speed = 1.0

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._moved = asyncio.Condition()

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, event_seconds: float) -> None:
        wake_ms = self._now_ms + event_seconds * 1000
        async with self._moved:
            await self._moved.wait_for(lambda: self._now_ms >= wake_ms)

    async def advance(self, ms: int) -> None:
        async with self._moved:
            self._now_ms += ms
            self._moved.notify_all()


def to_loopback(urls: Any, base_url: str) -> Any:
    """Every URL in a tree, sent to the loopback exchange with the path it had."""
    if isinstance(urls, dict):
        return {key: to_loopback(value, base_url) for key, value in urls.items()}
    parts = urlsplit(urls)
    if parts.scheme in {"ws", "wss"}:
        spot = parts.hostname is not None and parts.hostname.startswith("stream.")
        return base_url.replace("http", "ws", 1) + ("/stream" if spot else "/ws")
    return base_url + parts.path


def ccxt_client(venue: str, exchange: LoopbackExchange) -> Any:
    client = getattr(ccxt.pro, venue)({"enableRateLimit": False, "options": {"fetchCurrencies": False}})
    client.urls["api"] = to_loopback(client.urls["api"], exchange.base_url)
    return client


@asynccontextmanager
async def ccxt_clients(exchange: LoopbackExchange) -> AsyncIterator[tuple[Any, Any]]:
    """Binance.US and Binance USD-M, both on the loopback exchange, markets loaded."""
    spot, usdm = ccxt_client("binanceus", exchange), ccxt_client("binanceusdm", exchange)
    try:
        await asyncio.gather(spot.load_markets(), usdm.load_markets())
        yield spot, usdm
    finally:
        await asyncio.gather(spot.close(), usdm.close())


class Socket:
    """A bare websocket client that decodes JSON."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = socket

    async def ask(self, method: str, streams: Sequence[str], number: int = 1) -> None:
        await self.ws.send_str(json.dumps({"method": method, "params": list(streams), "id": number}))

    async def subscribe(self, *streams: str) -> None:
        """Subscribe and read the acknowledgement."""
        await self.ask("SUBSCRIBE", streams)
        assert await self.next() == {"result": None, "id": 1}

    async def next(self) -> Any:
        message = await asyncio.wait_for(self.ws.receive(), PATIENCE_S)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def is_silent(self) -> bool:
        """Whether nothing came before the answer to a ping sent now."""
        await self.ws.ping(b"probe")
        message = await asyncio.wait_for(self.ws.receive(), PATIENCE_S)
        return message.type is aiohttp.WSMsgType.PONG

    async def until_pong(self) -> list[Any]:
        """Everything that was sent before the answer to a ping sent now."""
        await self.ws.ping(b"probe")
        found: list[Any] = []
        while (
            message := await asyncio.wait_for(self.ws.receive(), PATIENCE_S)
        ).type is aiohttp.WSMsgType.TEXT:
            found.append(json.loads(message.data))
        assert message.type is aiohttp.WSMsgType.PONG, message
        return found


@asynccontextmanager
async def dial(exchange: LoopbackExchange, path: str) -> AsyncIterator[Socket]:
    url = exchange.base_url.replace("http", "ws", 1) + path
    async with aiohttp.ClientSession() as session, session.ws_connect(url, autoping=False) as socket:
        yield Socket(socket)

"""Who is at the other end: receivers of webhooks with their moods, viewers that read, and viewers that do not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

Mode = Literal["up", "busy", "failing", "hanging", "cutting"]
MODES: Final[Sequence[Mode]] = ("up", "up", "busy", "failing", "hanging", "cutting")
_HANG_S: Final = 20.0
_STUCK_AT_MOST: Final = 8
_STREAM: Final = "/api/stream"


class Receiver:
    """One endpoint. accepted: how often each `webhook-id` was."""

    def __init__(self) -> None:
        self.mode: Mode = "up"
        self.accepted: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer as its mood is."""
        await request.read()
        match self.mode:
            case "busy":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "failing":
                return web.Response(status=502, text="<html>bad gateway</html>")
            case "hanging":
                await asyncio.sleep(_HANG_S)
                return web.Response(status=504)
            case "cutting":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        self.accepted[request.headers["webhook-id"]] += 1
        return web.Response(status=204)


@asynccontextmanager
async def receivers(count: int) -> AsyncIterator[tuple[Sequence[Receiver], str]]:
    """So many endpoints on loopback, and their URLs, separated by commas."""
    made = [Receiver() for _ in range(count)]
    app = web.Application()
    for number, one in enumerate(made):
        app.router.add_post(f"/{number}", one.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made, ",".join(f"{base}/{number}" for number in range(count))
    finally:
        await runner.cleanup()


class Stuck:
    """Viewers that ask for the stream and read nothing of it; the oldest goes when there are too many."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._writers: list[asyncio.StreamWriter] = []

    async def come(self) -> None:
        """One more."""
        if len(self._writers) == _STUCK_AT_MOST:
            self._writers.pop(0).transport.abort()
        # A reader with a buffer of one byte stops its transport at once.
        _, writer = await asyncio.open_connection(self._host, self._port, limit=1)
        writer.write(f"GET {_STREAM} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
        self._writers.append(writer)

    def leave(self) -> None:
        """All go without a word."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def watch(address: str) -> None:
    """Read the stream, and again when it ends, until cancelled."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as client:
        while True:
            try:
                async with client.get(f"{address}{_STREAM}") as answer:
                    async for _ in answer.content.iter_any():
                        pass
            except aiohttp.ClientError:
                await asyncio.sleep(0.5)

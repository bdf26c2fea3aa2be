"""Receivers on loopback that behave like the real ones, and like broken ones."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Seen(msgspec.Struct):
    """One request as it came. at_s: monotonic real time."""

    at_s: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Receiver:
    """Records what comes. Answers with the next behaviour of `script`, then with `usual`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: list[Behaviour] = []
        self.base = ""
        self._arrived = asyncio.Condition()
        self._ending = asyncio.Event()

    async def usual(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"received": len(self.seen)})

    async def requests(self, count: int, *, within_s: float = 20.0) -> list[Seen]:
        """Wait until so many requests have come."""
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.seen) >= count)
        return self.seen

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(time.monotonic(), request.method, request.path, dict(request.query), headers, body)
        self.seen.append(seen)
        async with self._arrived:
            self._arrived.notify_all()
        return await (self.script.pop(0) if self.script else self.usual)(request)

    async def hang(self, _request: web.Request) -> web.StreamResponse:
        """Never answer."""
        await self._ending.wait()
        return web.Response(status=500)

    def let_go(self) -> None:
        """Answer what hangs and what drips, now and from now on."""
        self._ending.set()

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """Say 200 at once and then a byte now and then, for ever."""
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while not self._ending.is_set():
            await response.write(b" ")
            with_pause = asyncio.wait_for(self._ending.wait(), 0.02)
            await asyncio.gather(with_pause, return_exceptions=True)
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Receiver"]:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert isinstance(runner.addresses[0], tuple)
        self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self._ending.set()
            await runner.cleanup()


def says(status: int, body: Any = b"", **headers: str) -> Behaviour:
    """Answer once with this. Header names are given with underscores; bytes are sent as they are."""

    async def behave(_request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(status=status, body=raw, headers=named)

    return behave


class DiscordLike(Receiver):
    """Knows its messages: a PATCH of an unknown one is 404. Limits: `limit` requests in `window_s`, else 429."""

    def __init__(self, *, limit: int = 1000, window_s: float = 1.0) -> None:
        super().__init__()
        self.messages: dict[str, list[Any]] = {}
        self.refused = 0
        self._limit, self._window_s = limit, window_s
        self._times: list[float] = []

    async def usual(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        self._times = [moment for moment in self._times if now - moment < self._window_s]
        if len(self._times) >= self._limit:
            self.refused += 1
            wait_s = self._times[0] + self._window_s - now
            return web.json_response({"retry_after": wait_s, "global": False}, status=429)
        self._times.append(now)
        left = self._limit - len(self._times)
        reset_s = self._times[0] + self._window_s - now
        headers = {"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset-After": f"{reset_s:.3f}"}
        payload = await request.json()
        if request.method == "PATCH":
            return self._edit(request.path.rsplit("/", 1)[1], payload, headers)
        message_id = str(9000 + len(self.messages))
        self.messages[message_id] = [payload]
        if request.query.get("wait") != "true":
            return web.Response(status=204, headers=headers)
        return web.json_response({"id": message_id}, headers=headers)

    def _edit(self, message_id: str, payload: Any, headers: dict[str, str]) -> web.StreamResponse:
        if message_id not in self.messages:
            return web.json_response(
                {"message": "Unknown Message", "code": 10008}, status=404, headers=headers
            )
        self.messages[message_id].append(payload)
        return web.json_response({"id": message_id}, headers=headers)


class TelegramLike(Receiver):
    """Knows chats and messages. `moved`: old chat id to new. `unparsable`: refuses HTML. One message in `pause_s` a chat."""

    def __init__(self, *, pause_s: float = 1.0) -> None:
        super().__init__()
        self.pause_s = pause_s
        self.messages: dict[tuple[str, int], list[Any]] = {}
        self.moved: dict[str, int] = {}
        self.unparsable = False
        self.refused = 0
        self._last: dict[str, float] = {}

    async def usual(self, request: web.Request) -> web.StreamResponse:
        payload = await request.json()
        chat_id, now = str(payload["chat_id"]), time.monotonic()
        if chat_id in self.moved:
            parameters = {"migrate_to_chat_id": self.moved[chat_id]}
            return _telegram_error(
                400, "Bad Request: group chat was upgraded to a supergroup chat", parameters
            )
        if self.unparsable and "parse_mode" in payload:
            return _telegram_error(
                400, "Bad Request: can't parse entities: Unsupported start tag at byte offset 3"
            )
        if now - self._last.get(chat_id, -9.0) < self.pause_s:
            self.refused += 1
            return _telegram_error(429, "Too Many Requests: retry after 1", {"retry_after": 1})
        self._last[chat_id] = now
        if request.path.endswith("/editMessageText"):
            return self._edit(chat_id, payload)
        message_id = 1 + len(self.messages)
        self.messages[chat_id, message_id] = [payload]
        return _telegram_ok(chat_id, message_id)

    def _edit(self, chat_id: str, payload: Any) -> web.StreamResponse:
        states = self.messages.get((chat_id, payload["message_id"]))
        if states is None:
            return _telegram_error(400, "Bad Request: message to edit not found")
        if states[-1]["text"] == payload["text"]:
            return _telegram_error(400, "Bad Request: message is not modified")
        states.append(payload)
        return _telegram_ok(chat_id, payload["message_id"])


def _telegram_ok(chat_id: str, message_id: int) -> web.StreamResponse:
    return web.json_response({"ok": True, "result": {"message_id": message_id, "chat": {"id": int(chat_id)}}})


def _telegram_error(status: int, description: str, parameters: Any = None) -> web.StreamResponse:
    body = {"ok": False, "error_code": status, "description": description}
    return web.json_response(body | ({"parameters": parameters} if parameters else {}), status=status)


class SlackLike(Receiver):
    """Accepts what has text and blocks; one message a second, else 429 with Retry-After."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0
        self._last = -9.0

    async def usual(self, request: web.Request) -> web.StreamResponse:
        now = time.monotonic()
        if now - self._last < 1.0:
            self.refused += 1
            return web.Response(status=429, headers={"Retry-After": "1"})
        self._last = now
        payload = await request.json()
        return web.Response(text="ok" if payload.get("blocks") else "no_text")


@asynccontextmanager
async def raw_server(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **options: Any
) -> AsyncIterator[int]:
    """A TCP server that is no good web server; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request, then tear the connection down."""
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with what is not HTTP."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accept, read, and say nothing until the other side goes."""
    while await reader.read(65536):
        pass


async def drip_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never come to its body."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-A: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)

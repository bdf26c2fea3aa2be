"""From a route to an aiohttp handler: parameters in, record or payload out."""

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from regimes.web import params
from regimes.web.client import View
from regimes.web.frames import RETRY_MS
from regimes.web.guard import SECURITY_HEADERS
from regimes.web.hub import Hub
from regimes.web.payload import Payload, answer
from regimes.web.problem import ProblemError
from regimes.web.routes import Route

BODY_S: Final = 10.0
GOODBYE_S: Final = 1.0
MOST_SYMBOLS: Final = 500


def handler_of(route: Route) -> Any:
    """The handler aiohttp calls for a route."""
    in_path = route.where is not params.Nothing

    async def handle(request: web.Request) -> web.StreamResponse:
        query = params.read(route.query, request.query)
        given: list[Any] = [query]
        if in_path or route.is_write:
            given.insert(0, params.read(route.where, request.match_info))
        if route.is_write:
            given.append(None if route.body is None else await _body(request, route.body))
        told = await route.handler(*given)
        payload = told if isinstance(told, Payload) else Payload(told)
        cache_control = "no-store" if route.is_write else "no-cache"
        return await answer(request, payload, status=route.status, cache_control=cache_control)

    return handle


async def _body(request: web.Request, kind: type[msgspec.Struct]) -> msgspec.Struct:
    if request.content_type != "application/json":
        raise ProblemError(415, "the body must be JSON, with Content-Type: application/json")
    try:
        async with asyncio.timeout(BODY_S):
            raw = await request.read()
    except TimeoutError as error:
        raise ProblemError(408, f"the body did not come within {BODY_S:g} s", Connection="close") from error
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise ProblemError(400, f"body: {error}") from error


class Stream:
    """`GET /api/stream`."""

    def __init__(self, hub: Hub, max_streams: int) -> None:
        self._hub = hub
        self._max_streams = max_streams

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Give a reader everything until it goes or the server closes."""
        query = params.read(params.StreamQuery, request.query)
        transport = request.transport
        if request.version < HttpVersion11:
            raise ProblemError(400, "the stream needs HTTP/1.1 (for nginx: proxy_http_version 1.1)")
        if transport is None or self._hub.clients >= self._max_streams:
            raise ProblemError(503, "too many streams are open", Retry_After="10")
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"retry: %d\n\n" % RETRY_MS)
        response.headers.clear()  # sent; there may be thousands of streams
        if transport.is_closing():
            return response
        last_state = request.headers.get("Last-Event-ID", query.last_event_id)[:80]
        client = await self._hub.join(transport, _view(query), last_state)
        try:
            await client.ended
        finally:
            self._hub.leave(client)
        try:
            async with asyncio.timeout(GOODBYE_S):
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            transport.abort()
        return response


_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",
    hdrs.CONNECTION: "close",
    **SECURITY_HEADERS,
}


def _view(query: params.StreamQuery) -> View:
    names = frozenset(name.strip() for name in query.symbols.split(",") if name.strip())
    if len(names) > MOST_SYMBOLS:
        raise ProblemError(400, f"symbols: at most {MOST_SYMBOLS}")
    return View(names or None, query.interval)

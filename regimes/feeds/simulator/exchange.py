"""A Binance-protocol exchange on loopback: spot and USD-M, REST and websockets, on one port."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from regimes.clock import Clock
from regimes.errors import ConfigError
from regimes.feeds.simulator.connections import Hub, Sent
from regimes.feeds.simulator.control import Control
from regimes.feeds.simulator.depth import DepthBooks
from regimes.feeds.simulator.faults import Faults
from regimes.feeds.simulator.limits import RequestLimits
from regimes.feeds.simulator.rest import RefusedError, RestCalls, UnknownCallError
from regimes.feeds.simulator.schedule import Schedule
from regimes.feeds.simulator.sockets import SocketServer
from regimes.feeds.simulator.source import MarketSource, Venue
from regimes.feeds.simulator.topics import Route

_LOOPBACK: Final = {"127.0.0.1", "localhost"}
_DEPTH_RATES: Final = ("", "@100ms", "@250ms", "@500ms", "@1000ms")


class LoopbackExchange:
    """An exchange that exists for as long as its `async with` block.

    source: its market. clock: event time, shared with whoever should agree on it. host: a loopback address. port: 0 picks
    a free one. largest_per_second: Binance's rule of one forced order a symbol and second.

    Spot is at `/api/v3/...` and `/stream`, USD-M at `/fapi/v1/...`, `/market/ws/{n}` and `/public/ws/{n}` (`stream` for
    `ws` there puts events in an envelope); `/ws/...` accepts
    and stays silent. `/control/...` sets faults and tells what was sent.
    """

    def __init__(
        self,
        source: MarketSource,
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        largest_per_second: bool = True,
    ) -> None:
        if host not in _LOOPBACK:
            raise ConfigError(f"the built-in exchange listens on loopback only (got host {host!r})")
        self._clock = clock
        self._host = host
        self._port = port
        self._hub = Hub()
        depth = DepthBooks(source, self._is_depth_read)
        self.faults = Faults(
            source, clock, self._hub, listen=self._listen, stop_listening=self._stop_listening
        )
        self._schedule = Schedule(
            source,
            clock,
            self._hub,
            depth,
            rearrange=self.faults.rearrange,
            shift_ms=self._shift_ms,
            largest_only=largest_per_second,
        )
        self._calls = RestCalls(source, depth, clock.now_ms, self._shift_ms)
        self._limits = RequestLimits(clock.monotonic)
        self._sockets = SocketServer(self._hub, self.faults, clock.monotonic)
        self._control = Control(self.faults, self._hub)
        self._site: web.TCPSite | None = None
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.5)
        self._sending: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """`http://host:port`, known once the exchange is open."""
        return f"http://{self._host}:{self._port}"

    @property
    def ended(self) -> asyncio.Event:
        """Set once the market is over and all of it was sent."""
        return self._schedule.ended

    @property
    def sent(self) -> Sent:
        """Counts of everything that left."""
        return self._hub.sent

    @property
    def connections(self) -> int:
        """Websocket connections now open."""
        return len(self._hub)

    async def finished(self) -> None:
        """Wait for the market's end. Raises what stopped the sending, if anything did."""
        if self._sending is not None:
            await asyncio.shield(self._sending)

    def advance(self) -> None:
        """Send what is due at this moment of the clock, without waiting for the next wake-up."""
        self._schedule.advance(self._clock.now_ms())

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await self._listen()
        self._sending = asyncio.create_task(self._schedule.run(), name="loopback-exchange")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        for connection in self._hub:
            connection.abort()
        await self._runner.cleanup()
        if self._sending is not None and not self._sending.cancelled():
            self._sending.result()

    async def _listen(self) -> None:
        if self._site is not None:
            return
        self._site = web.TCPSite(self._runner, self._host, self._port)
        await self._site.start()
        self._port = int(self._runner.addresses[0][1])

    async def _stop_listening(self) -> None:
        if self._site is not None:
            await self._site.stop()
            self._site = None

    def _shift_ms(self) -> int:
        return self.faults.clock_skew_ms

    def _is_depth_read(self, venue: Venue, symbol_id: str) -> bool:
        name = symbol_id.lower()
        return any(self._hub.is_read(venue, f"{name}@depth{rate}") for rate in _DEPTH_RATES)

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._refuse])
        app.router.add_get("/api/v3/{call:.+}", self._rest("spot"))
        app.router.add_get("/fapi/v1/{call:.+}", self._rest("usdm"))
        for path in ("/stream", "/stream/{tail:.*}"):
            app.router.add_get(path, self._socket("spot", combined=True))
        futures: tuple[Route, ...] = ("market", "public")
        for route in futures:
            app.router.add_get(f"/{route}/ws{{tail:.*}}", self._socket(route, combined=False))
            app.router.add_get(f"/{route}/stream{{tail:.*}}", self._socket(route, combined=True))
        app.router.add_get("/ws{tail:.*}", self._socket("legacy", combined=False))
        app.router.add_routes(self._control.routes())
        return app

    def _socket(
        self, route: Route, *, combined: bool
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._sockets.serve(request, route, combined=combined)

        return handle

    @web.middleware
    async def _refuse(self, request: web.Request, handler: Any) -> web.StreamResponse:
        answer = None if request.path.startswith("/control/") else self.faults.http.answer(request.path)
        response: web.StreamResponse = answer or await handler(request)
        self._hub.sent.requests[f"{request.path} {response.status}"] += 1
        return response

    def _rest(self, venue: Venue) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.Response:
            call = request.match_info["call"]
            wait_s = self._limits.spend(venue, call, request.query)
            if wait_s is not None:
                return self.faults.http.refusal(429, wait_s)
            status, body = 200, None
            try:
                body = self._calls.answer(venue, call, request.query)
            except RefusedError as refused:
                status, body = 400, {"code": refused.code, "msg": refused.message}
            except UnknownCallError:
                status, body = 404, {"code": -5000, "msg": f"Path {request.path}, Method GET is invalid"}
            used = {"X-MBX-USED-WEIGHT-1M": str(self._limits.used(venue))}
            return web.Response(
                status=status, body=msgspec.json.encode(body), content_type="application/json", headers=used
            )

        return handle

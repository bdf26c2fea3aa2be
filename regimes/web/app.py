"""The web server put together: one application, one hub, one guard."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, Self

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from regimes.alerting.records import Decision
from regimes.errors import ConfigError, StorageError
from regimes.events import EventBody
from regimes.web.access import STATE_KEY, Access
from regimes.web.api import Stream, handler_of
from regimes.web.board import Board
from regimes.web.guard import SCRAPE_PATH, SESSION_PATH, STREAM_PATH, Guard
from regimes.web.hub import Hub
from regimes.web.live import Live
from regimes.web.metrics import Metrics
from regimes.web.openapi import describe
from regimes.web.pages import Pages
from regimes.web.payload import Payload, answer
from regimes.web.reads import Reads
from regimes.web.routes import api_routes
from regimes.web.settings import WebSettings
from regimes.web.source import Turn, WebSource
from regimes.web.static import Assets, folder
from regimes.web.writes import Writes

MOST_BODY_BYTES: Final = 65_536
IDLE_S: Final = 20.0
"""A connection that has not brought a whole request for so long is closed, whether it is idle or dawdles."""
SHUTDOWN_S: Final = 2.0
SPARE_CONNECTIONS: Final = 500
BACKLOG: Final = 1_024
"""After a restart all browsers come back within seconds."""
_log = structlog.get_logger(__name__)
_server_log = logging.getLogger("regimes.web.server")


def _is_news(record: logging.LogRecord) -> bool:
    """Nothing that is no HTTP: a line and a traceback for each would let any stranger fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_server_log.addFilter(_is_news)


class Beside(msgspec.Struct, frozen=True):
    """What one program serves beside the pages that all have. links: path by name, as the bar of each page shows them.

    The guard lets every reader fetch a route, and those below `/api/` only readers with the right to.
    """

    routes: Sequence[web.RouteDef] = ()
    links: Mapping[str, str] = {}


class WebServer:
    """Everything behind one address. The running program tells it of turns and of what became durable.

    address: such as `http://127.0.0.1:8000`, once it is served.
    """

    def __init__(
        self,
        settings: WebSettings,
        source: WebSource,
        *,
        assets: Assets | None = None,
        beside: Beside | None = None,
    ) -> None:
        self.address = ""
        self.access = Access(settings)
        self._beside = beside or Beside()
        self.live = Live(source, Board(), writes=self.access.writes, links=self._beside.links)
        self.hub = Hub(source, self.live)
        self.metrics = Metrics(source, self.hub)
        self._settings = settings
        self._source = source
        self._guard = Guard(settings, self.access)
        self._pages = Pages(source, self.live, self.access, self._guard, assets or Assets(folder()))
        self._protocols: web.Server | None = None
        self.routes = api_routes(Reads(source, self.live), Writes(source))

    @property
    def connections(self) -> int:
        """Connections that are open, of streams and others."""
        return len(self._protocols.connections) if self._protocols else 0

    def took(self, turn: Turn) -> None:
        """Take a turn of the engine."""
        self.live.took(turn)
        self.hub.took(turn)

    def wrote(self, events: Sequence[EventBody], decisions: Sequence[Decision]) -> None:
        """Take what has just become durable."""
        self.hub.wrote(events)
        self.metrics.wrote(events, decisions)

    def application(self) -> web.Application:
        """All routes behind the guard."""
        app = web.Application(middlewares=[self._guard.middleware], client_max_size=MOST_BODY_BYTES)
        for route in self.routes:
            if route.method == "GET":
                app.router.add_get(route.path, handler_of(route))
            else:
                app.router.add_route(route.method, route.path, handler_of(route))
        description = Payload(describe(self.routes))
        app.router.add_get("/api/openapi.json", partial(answer, payload=description))
        app.router.add_get(STREAM_PATH, Stream(self.hub, self._settings.max_streams).handle, allow_head=False)
        pages = self._pages
        app.router.add_get(SESSION_PATH, pages.session)
        app.router.add_get("/healthz", pages.healthz)
        app.router.add_get("/readyz", pages.readyz)
        app.router.add_get(SCRAPE_PATH, self.metrics.handle)
        app.router.add_get("/login", pages.sign_in_page)
        app.router.add_post("/login", pages.sign_in)
        app.router.add_post("/logout", pages.sign_out)
        app.router.add_routes(self._beside.routes)
        app.router.add_get("/{path:.*}", pages.file)
        return app

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Listen until the block ends. Raises ConfigError when the port is taken."""
        with suppress(StorageError):
            stored = await self._source.storage.load_state()
            if STATE_KEY in stored:
                self.access.restore(stored[STATE_KEY])
        runner = web.AppRunner(
            self.application(),
            access_log=None,
            logger=_server_log,
            keepalive_timeout=IDLE_S,
            lingering_time=SHUTDOWN_S,
            shutdown_timeout=SHUTDOWN_S,
        )
        await runner.setup()
        beside = [asyncio.create_task(self.hub.run()), asyncio.create_task(self.metrics.run())]
        try:
            server = await self._listen(runner)
            try:
                host, port = server.sockets[0].getsockname()[:2]
                self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
                _log.info("web_listens", address=self.address)
                yield self
            finally:
                server.close()
                await self.hub.close()
        finally:
            for task in beside:
                task.cancel()
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> asyncio.Server:
        """Accept no more connections than streams are allowed and some besides."""
        protocols = self._protocols = runner.server
        if protocols is None:
            raise RuntimeError("the runner has no server before its setup")
        most = self._settings.max_streams + SPARE_CONNECTIONS

        def accept() -> asyncio.Protocol:
            return _Refusal() if self.connections >= most else protocols()

        settings = self._settings
        try:
            return await asyncio.get_running_loop().create_server(
                accept, settings.host, settings.port, backlog=BACKLOG
            )
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is in use" if taken else f"cannot be listened on ({error.strerror})"
            raise ConfigError(
                f"web.port = {settings.port}: {settings.host}:{settings.port} {why}; set web.port (or web.host)"
            ) from error


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError:
            return False
    return True


class _Refusal(asyncio.Protocol):
    """Closes a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()

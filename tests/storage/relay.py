"""The way to a PostgreSQL server, which tests may cut: connections pass through it to the server's socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Relay:
    """A server on loopback that passes bytes on, until it is cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self.lead_to(url)
        self._rest = f"{parts.path.removeprefix('/')}?search_path={query['search_path'][0]}"
        self._user = parts.username or "postgres"
        self._port = 0
        self._server: asyncio.Server | None = None
        self._near: list[asyncio.StreamWriter] = []
        self._far: list[asyncio.StreamWriter] = []
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"postgresql://{self._user}@{self.host}/{self._rest}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    def lead_to(self, url: str) -> None:
        """Take new connections to the socket of this server."""
        parts = urlsplit(url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.{parts.port or 5432}"

    async def mend(self) -> None:
        """Let connections through (again)."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self, *, server_notices: bool) -> None:
        """End all connections and take no new ones; the server is told, or goes on believing in them."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in [*self._near, *(self._far if server_notices else [])]:
            writer.transport.abort()
        self._near.clear()
        if server_notices:
            self._far.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._socket)
        self._near.append(writer)
        self._far.append(back)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._copy(source, target, writer))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, near: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        if near in self._near:  # ended by itself: the other side is told
            target.close()


@asynccontextmanager
async def relay(url: str) -> AsyncIterator[Relay]:
    """A way to a server, gone at the end."""
    way = Relay(url)
    await way.mend()
    try:
        yield way
    finally:
        await way.cut(server_notices=True)

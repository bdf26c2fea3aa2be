"""A forward proxy that asks who one is."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"^GET (\w+://\S+) HTTP/1.1\r", re.MULTILINE)


class ForwardProxy:
    """Passes connections on to the host their requests name, if they say who they are."""

    def __init__(self, credentials: str) -> None:
        self._wanted = b"proxy-authorization: basic " + b64encode(credentials.encode()).lower()
        self.asked: list[str] = []
        self._passing: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self._wanted not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        parts = urlsplit(head.split(b" ", 2)[1].decode())
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        for source, target, first in ((reader, back, head), (there, writer, b"")):
            task = asyncio.create_task(self._copy(source, target, first))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, first: bytes) -> None:
        data = first
        with suppress(OSError):
            while data or (data := await source.read(65_536)):
                self.asked += [url.decode() for url in _REQUEST.findall(data)]
                target.write(data)
                await target.drain()
                data = b""
        target.close()


@asynccontextmanager
async def forward_proxy(credentials: str) -> AsyncIterator[tuple[ForwardProxy, int]]:
    proxy = ForwardProxy(credentials)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield proxy, server.sockets[0].getsockname()[1]

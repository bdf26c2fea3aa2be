"""Through a forward proxy: nothing goes past it."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from regimes.feeds.settings import VenuesSettings
from regimes.observations import MarkPrice
from tests.feeds.harness import Seen, loopback, running

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


async def test_requests_and_streams_go_through_the_proxy_and_say_who_they_are() -> None:
    async with (
        forward_proxy("desk:p@ss word") as (proxy, port),
        loopback() as (exchange, clock),
    ):
        seen = Seen()
        address = f"http://desk:p%40ss%20word@127.0.0.1:{port}"
        async with running(exchange, clock, seen, proxy=address):
            await seen.news(MarkPrice)
        assert any("/api/v3/" in url for url in proxy.asked), proxy.asked
        assert any("/fapi/v1/" in url for url in proxy.asked), proxy.asked
        assert any("/stream" in url for url in proxy.asked), proxy.asked
        assert any("/ws" in url for url in proxy.asked), proxy.asked


@pytest.mark.parametrize(
    "url", ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy", "http://u:hidden@h:x"]
)
def test_what_is_no_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        VenuesSettings(proxy=url)
    (error,) = caught.value.errors(include_input=False)
    assert "must be http://host:port" in error["msg"]
    assert "hidden" not in error["msg"]


def test_an_empty_proxy_is_none() -> None:
    assert VenuesSettings(proxy="").proxy is None

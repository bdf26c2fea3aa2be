"""The one HTTP client of the outbox: checks where it connects, follows nothing, reads little, waits briefly."""

import socket
import ssl
from contextvars import ContextVar
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from regimes import __version__
from regimes.delivery.base import Failure, Request, Response, TransportError
from regimes.delivery.guard import AddressGuard

LARGEST_BODY_BYTES: Final = 8 * 1024
_HEADERS: Final = {"User-Agent": f"regimes/{__version__}", "Accept-Encoding": "identity"}
# The addresses the guard refused while one request was connecting; sockets are opened in tasks of that request.
_refusals: ContextVar[list[str] | None] = ContextVar("refusals", default=None)


class HttpTransport:
    """Sends over HTTP(S); use as an async context manager.

    timeout_s: for everything from looking the name up to the last byte read, in real seconds.
    """

    def __init__(self, guard: AddressGuard, *, timeout_s: float = 5.0) -> None:
        self._guard = guard
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, ceil_threshold=float("inf"))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=self._socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=self._timeout,
            trust_env=False,
            auto_decompress=False,
            trace_configs=[trace],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Request) -> Response:
        if self._session is None:
            raise RuntimeError("the transport is not open")
        progress = SimpleNamespace(sent=False)
        refusals: list[str] = []
        token = _refusals.set(refusals)
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=dict(request.headers),
                allow_redirects=False,
                trace_request_ctx=progress,
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, await _read(answer))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # `from None`: the client's own words hold the URL, which is a credential.
            raise _in_our_words(error, sent=progress.sent, refusals=refusals) from None
        finally:
            _refusals.reset(token)

    def _socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        """Open a socket only towards an allowed address, whatever name or spelling led to it."""
        family, kind, protocol, _, address = address_info
        refusal = self._guard.refusal(address[0])
        if refusal is None:
            return socket.socket(family=family, type=kind, proto=protocol)
        refusals = _refusals.get()
        if refusals is not None:
            refusals.append(refusal)
        raise PermissionError(refusal)


async def _mark_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx.sent = True


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body. A body that stops half way takes nothing from the status that already came."""
    body = b""
    try:
        while len(body) < LARGEST_BODY_BYTES:
            chunk = await answer.content.read(LARGEST_BODY_BYTES - len(body))
            if not chunk:
                return body
            body += chunk
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    answer.close()
    return body


def _in_our_words(error: Exception, *, sent: bool, refusals: list[str]) -> TransportError:
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return _not_connected(error, refusals)
    moment = "after sending" if sent else "before sending"
    failure, detail = next(words for kind, words in _WORDS.items() if isinstance(error, kind))
    return TransportError(failure, sent=sent, detail=detail or moment)


def _not_connected(error: aiohttp.ClientConnectorError, refusals: list[str]) -> TransportError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TransportError(Failure.DNS, sent=False)
    if refusals:
        return TransportError(Failure.BLOCKED, sent=False, detail=refusals[0])
    return TransportError(Failure.REFUSED, sent=False)


# The first that fits: the particular before the general.
_WORDS: Final[dict[type[Exception], tuple[Failure, str]]] = {
    TimeoutError: (Failure.TIMEOUT, ""),
    ssl.CertificateError: (Failure.TLS, "certificate not valid"),
    aiohttp.ClientSSLError: (Failure.TLS, "handshake failed"),
    ssl.SSLError: (Failure.TLS, "handshake failed"),
    aiohttp.ClientResponseError: (Failure.UNREADABLE, ""),
    aiohttp.InvalidURL: (Failure.UNUSABLE, "not a valid address"),
    aiohttp.NonHttpUrlClientError: (Failure.UNUSABLE, "not a valid address"),
    aiohttp.ClientError: (Failure.CLOSED, ""),
    OSError: (Failure.CLOSED, ""),
    ValueError: (Failure.UNUSABLE, "not a valid address"),
}

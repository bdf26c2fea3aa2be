"""What every request passes: host, origin, rights; and what every answer carries."""

import asyncio
import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from regimes.clock import SystemClock
from regimes.errors import DataError, StorageError
from regimes.web.access import Access, Rights
from regimes.web.problem import ProblemError, problem
from regimes.web.settings import WebSettings

COOKIE: Final = "regimes_session"
ASKED_BY: Final = "regimes"
REQUEST_S: Final = 30.0
TAKEN_S: Final = 60.0
"""For so long a large answer is kept for a client that takes it slowly."""
SMALL_BYTES: Final = 65_536
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
SIGN_IN_PATHS: Final = frozenset({"/login", "/logout"})
SCRAPE_PATH: Final = "/metrics"
SESSION_PATH: Final = "/api/session"
STREAM_PATH: Final = "/api/stream"
PAGES: Final = frozenset(
    {"/", "/realtime", "/deliveries", "/index.html", "/realtime.html", "/deliveries.html"}
)
RIGHTS: Final = web.RequestKey("rights", Rights)
ADDRESS: Final = web.RequestKey("address", str)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "regimes",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST: Final = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<name>[^\[\]:]*))(?::\d*)?")
_log = structlog.get_logger(__name__)


class Guard:
    """The one middleware of the server."""

    def __init__(self, settings: WebSettings, access: Access) -> None:
        self._access = access
        self._hosts = {name.lower() for name in settings.allowed_hosts} | {"localhost", settings.host.lower()}
        self._proxies = [ipaddress.ip_network(text) for text in settings.trusted_proxies]
        self._real = SystemClock()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What aiohttp calls for every request."""
        response = await self._answered(request, handler)
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
            if isinstance(response, web.Response) and (response.content_length or 0) > SMALL_BYTES:
                await _sent(request, response)
        return response

    def is_secure(self, request: web.Request) -> bool:
        """Whether the browser's connection is encrypted, by what a trusted proxy says."""
        if request.secure:
            return True
        return self._is_proxy(request.remote or "") and request.headers.get("X-Forwarded-Proto") == "https"

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._admit(request)
            if request.path == STREAM_PATH:
                return await handler(request)
            async with asyncio.timeout(REQUEST_S):
                return await handler(request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
            told = _refusal(error)
            if told.status == 500:
                _log.exception("request_failed", method=request.method, path=request.path)
            return problem(told.status, told.detail, told.headers)

    def _admit(self, request: web.Request) -> None:
        path = request.path
        if path in OPEN_PATHS:
            return
        self._check_host(request)
        address = request[ADDRESS] = self._address(request)
        bearer = _bearer(request)
        if bearer:
            self._check_brake(address)
        if path == SCRAPE_PATH:
            self._check_scrape(bearer, address)
            return
        rights = request[RIGHTS] = self._access.rights(
            bearer, request.cookies.get(COOKIE, ""), self._real.now_ms()
        )
        if bearer and self._access.token_needed and rights.by != "token":
            self._access.failed(address, self._real.monotonic())
            raise ProblemError(401, "the token is wrong", WWW_Authenticate="Bearer")
        if request.method not in _SAFE:
            self._check_from_us(request, rights)
        if path.startswith("/api/") and path != SESSION_PATH:
            self._check_rights(request, rights)

    def _check_rights(self, request: web.Request, rights: Rights) -> None:
        if request.method not in _SAFE and not rights.write:
            if self._access.writes:
                raise ProblemError(401, "this needs the token (DASHBOARD_TOKEN)", WWW_Authenticate="Bearer")
            raise ProblemError(403, "writes are off: this server has no token, set DASHBOARD_TOKEN")
        if not rights.read:
            raise ProblemError(
                401,
                "sign in at /login, or send Authorization: Bearer with DASHBOARD_TOKEN",
                WWW_Authenticate="Bearer",
            )

    def _check_scrape(self, bearer: str, address: str) -> None:
        if not self._access.may_scrape(bearer):
            if bearer:
                self._access.failed(address, self._real.monotonic())
            raise ProblemError(
                401, "send Authorization: Bearer with web.metrics_token", WWW_Authenticate="Bearer"
            )

    def _check_brake(self, address: str) -> None:
        wait_s = self._access.blocked_s(address, self._real.monotonic())
        if wait_s:
            raise ProblemError(
                429, "too many wrong tokens from this address", Retry_After=str(int(wait_s) + 1)
            )

    def _check_host(self, request: web.Request) -> None:
        """A page of somebody else can reach us by a name it controls, but then it has to say that name."""
        name = _host_name(request.headers.get("Host", ""))
        if name in self._hosts or _is_address(name):
            return
        raise ProblemError(421, f"this server is not {name[:100]!r}; name it in web.allowed_hosts if it is")

    def _check_from_us(self, request: web.Request, rights: Rights) -> None:
        """Writes come from our own pages or from programs, never from another site's page in a browser."""
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = request.headers.get("Origin")
        foreign = (
            origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower()
        )
        if site not in {"same-origin", "none"} or foreign:
            raise ProblemError(403, "this request comes from another site's page")
        if rights.by == "token" or request.path in SIGN_IN_PATHS:
            return
        if request.headers.get("X-Requested-With") != ASKED_BY:
            raise ProblemError(403, f"writes need the header X-Requested-With: {ASKED_BY}, or a bearer token")

    def _address(self, request: web.Request) -> str:
        """Who asks: the peer, or what trusted proxies say about it."""
        address = request.remote or ""
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        while hops and self._is_proxy(address):
            address = hops.pop()
        return address

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self._proxies)


async def _sent(request: web.Request, response: web.Response) -> None:
    """Send a large answer; who does not take it in time is cut off, as it would be kept for him for ever."""
    try:
        async with asyncio.timeout(TAKEN_S):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()


def _refusal(error: Exception) -> ProblemError:
    """What a client is told of an error."""
    match error:
        case ProblemError():
            return error
        case web.HTTPException():
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return ProblemError(error.status, _words(error), **allowed)
        case StorageError():
            return ProblemError(503, f"the database does not answer: {error}", Retry_After="5")
        case DataError():
            return ProblemError(400, str(error))
        case TimeoutError():
            return ProblemError(503, f"no answer within {REQUEST_S:g} s", Retry_After="5")
        case _:
            return ProblemError(500, "a bug; the log of the service says more")


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _host_name(host: str) -> str:
    """A host without its port, and without brackets; what is no host at all stays as it is."""
    found = _HOST.fullmatch(host)
    return (found["six"] or found["name"] if found else host).lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _words(error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "the body is larger than this server takes"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{error.method} is not possible here; {', '.join(sorted(error.allowed_methods))} is"
    return (
        "there is nothing here; /api/openapi.json lists what there is"
        if error.status == 404
        else error.reason
    )

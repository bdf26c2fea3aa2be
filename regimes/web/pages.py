"""Pages and their files, signing in and out, and what supervisors ask."""

import html
import re
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from regimes.clock import SystemClock
from regimes.errors import StorageError
from regimes.storage.base import Step
from regimes.web.access import STATE_KEY, Access
from regimes.web.first import why, with_market
from regimes.web.guard import ADDRESS, COOKIE, PAGES, RIGHTS, Guard
from regimes.web.live import Live
from regimes.web.problem import ProblemError, problem
from regimes.web.shapes import Market, Ready, Session
from regimes.web.source import WebSource
from regimes.web.static import PAGE_FILES, Asset, Assets, asset_of

_NEXT: Final = re.compile(r"/(realtime|deliveries)?(\?[A-Za-z0-9_=&%.,:~-]{0,200})?")
_LONGEST_TOKEN: Final = 512
_SIGN_IN: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · regimes</title>
<link rel="stylesheet" href="/style.css">
</head>
<body class="sign-in">
<main>
<h1>regimes</h1>
<form method="post" action="/login">
<input type="hidden" name="next" value="{next}">
<p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p role="alert">{words}</p>
<p><button type="submit">Sign in</button></p>
</form>
<p>The token is DASHBOARD_TOKEN of the service.</p>
</main>
</body>
</html>
"""


class Pages:
    """Handlers of everything outside the API."""

    def __init__(self, source: WebSource, live: Live, access: Access, guard: Guard, assets: Assets) -> None:
        self._source = source
        self._live = live
        self._access = access
        self._guard = guard
        self._assets = assets
        self._real = SystemClock()
        self._first: dict[tuple[str, ...], Asset] = {}

    async def file(self, request: web.Request) -> web.Response:
        """A page or one of its files."""
        if request.path in PAGES and not request[RIGHTS].read:
            return web.Response(status=303, headers={"Location": f"/login?next={_quoted(request)}"})
        asset = self._assets.get(request.path)
        if asset is None:
            return problem(404, "there is nothing here; /api/openapi.json lists what there is")
        market = self._live.judged() if request.path in PAGES else None
        return send(request, asset if market is None else self._told(asset, market))

    def _told(self, page: Asset, market: Market) -> Asset:
        """A page that begins with the state of the market; made once for each."""
        key = (page.etag, market.state, why(market))
        if key not in self._first:
            if len(self._first) >= len(PAGES):
                self._first.clear()
            body = with_market(page.body.decode("utf-8"), market).encode("utf-8")
            self._first[key] = asset_of(PAGE_FILES["/"], body)
        return self._first[key]

    async def sign_in_page(self, request: web.Request) -> web.Response:
        """The form."""
        return _form(request.query.get("next", "/"))

    async def sign_in(self, request: web.Request) -> web.Response:
        """Take the token, give a cookie."""
        address, now = request[ADDRESS], self._real.monotonic()
        wait_s = self._access.blocked_s(address, now)
        if wait_s:
            return _form("/", f"Too many wrong tokens. Wait {int(wait_s) + 1} s.", 429)
        form = await request.post()
        token, to = form.get("token", ""), form.get("next", "/")
        if not isinstance(token, str) or not isinstance(to, str) or len(token) > _LONGEST_TOKEN:
            raise ProblemError(400, "the form has the fields token and next")
        if not self._access.token_needed or not self._access.is_token(token.strip()):
            self._access.failed(address, now)
            return _form(to, "That is not the token.", 401)
        self._access.succeeded(address)
        cookie = self._access.sign_in(self._real.now_ms())
        await self._keep_sessions()
        response = web.Response(status=303, headers={"Location": _safe_next(to), "Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE, cookie, httponly=True, samesite="Strict", path="/", secure=self._guard.is_secure(request)
        )
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session."""
        self._access.sign_out(request.cookies.get(COOKIE, ""))
        await self._keep_sessions()
        response = web.Response(status=303, headers={"Location": "/login", "Cache-Control": "no-store"})
        response.del_cookie(COOKIE, path="/")
        return response

    async def session(self, request: web.Request) -> web.Response:
        """Who is asking; open to everybody, so that a page knows whether to show a form."""
        rights = request[RIGHTS]
        told = Session(signed_in=bool(rights.by), token_needed=self._access.token_needed, writes=rights.write)
        return _json(told)

    async def healthz(self, _request: web.Request) -> web.Response:
        """Whether the process answers at all."""
        return web.Response(text="ok\n", headers={"Cache-Control": "no-store"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether what pages show can be relied on; what is degraded is named in both cases."""
        status = self._live.status()
        ready = status.state in {"live", "degraded"} and any(stream.connected for stream in status.streams)
        return _json(Ready(ready, status.problems), 200 if ready else 503)

    async def _keep_sessions(self) -> None:
        """Sessions outlive a restart; where the database is away they live as long as the process."""
        try:
            await self._source.storage.commit(Step(state={STATE_KEY: self._access.snapshot()}))
        except StorageError:
            return


def _json(told: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(told),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _form(to: str, words: str = "", status: int = 200) -> web.Response:
    text = _SIGN_IN.format(next=html.escape(_safe_next(to), quote=True), words=html.escape(words))
    return web.Response(
        text=text, content_type="text/html", status=status, headers={"Cache-Control": "no-store"}
    )


def _safe_next(to: str) -> str:
    return to if _NEXT.fullmatch(to) else "/"


def _quoted(request: web.Request) -> str:
    return quote(request.path_qs, safe="") if _NEXT.fullmatch(request.path_qs) else "%2F"


def send(request: web.Request, asset: Asset) -> web.Response:
    """A file, or that it has not changed."""
    headers = {"ETag": asset.etag, "Cache-Control": asset.cache_control, "Vary": "Accept-Encoding"}
    if asset.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    body = asset.body
    if asset.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = asset.gzipped
        headers["Content-Encoding"] = "gzip"
    charset = "utf-8" if asset.content_type.startswith("text/") else None
    return web.Response(body=body, headers=headers, content_type=asset.content_type, charset=charset)

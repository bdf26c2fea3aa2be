"""The page of the demo that shows each message as its reader would see it."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from regimes.clock import SystemClock
from regimes.commands.receiver import Received
from regimes.web.app import Beside
from regimes.web.pages import send
from regimes.web.problem import ProblemError
from regimes.web.static import Asset, Assets

PATH: Final = "/demo/inbox"
NEWS_PATH: Final = "/api/demo/inbox"
EXAMPLE: Final = "https://regimes.example"
"""Where the demo's messages lead to: an address that stands for a public dashboard; the page opens this one instead."""
KEPT: Final = 50
"""Messages of each receiver."""
PATIENCE_S: Final = 20.0
_FILES: Final = {
    PATH: "/inbox.html",
    "/demo/inbox.js": "/inbox.js",
    "/demo/markup.js": "/markup.js",
    "/demo/inbox.css": "/inbox.css",
}


class Message(msgspec.Struct):
    """One message as it stands. revision: counts over all of them; edits: how often it was changed; times are real."""

    target: str
    number: int
    revision: int
    edits: int
    at_ms: int
    edited_ms: int | None
    body: dict[str, Any]


class News(msgspec.Struct, frozen=True):
    """Messages that are new or changed, oldest first. run: another one means that all from before are gone."""

    run: int
    revision: int
    messages: Sequence[Message]


class Inbox:
    """Keeps the newest messages of each receiver, and tells readers of changes as they come."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._run = self._real.now_ms()
        self._revisions = itertools.count(1)
        self._revision = 0
        self._messages: dict[tuple[str, int], Message] = {}
        self._changed = asyncio.Event()
        self._assets = Assets(Path(__file__).with_name("page"))

    def take(self, received: Received) -> None:
        """Keep a message, or change the one it edits."""
        now_ms, self._revision = self._real.now_ms(), next(self._revisions)
        key = (received.target, received.number)
        known = self._messages.pop(key, None)
        edits = known.edits + 1 if known else int(received.changes)
        began_ms = known.at_ms if known else now_ms
        edited_ms = now_ms if received.changes else None
        self._messages[key] = Message(*key, self._revision, edits, began_ms, edited_ms, received.body)
        of_target = [key for key in self._messages if key[0] == received.target]
        for old in of_target[:-KEPT]:
            del self._messages[old]
        self._changed.set()
        self._changed = asyncio.Event()

    def since(self, revision: int) -> News:
        """What has changed after a revision."""
        changed = [message for message in self._messages.values() if message.revision > revision]
        return News(self._run, self._revision, changed)

    def beside(self) -> Beside:
        """The page, its files and its news, for the web server."""
        routes = [web.get(path, self._file) for path in _FILES]
        return Beside([*routes, web.get(NEWS_PATH, self._news)], {"Inbox": PATH})

    async def _file(self, request: web.Request) -> web.Response:
        asset: Asset | None = self._assets.get(_FILES[request.path])
        if asset is None:
            raise ProblemError(404, "this installation lacks the files of the inbox")
        return send(request, asset)

    async def _news(self, request: web.Request) -> web.Response:
        """Answer at once where there is news after `?after=REVISION`, else when there is, or after a while."""
        try:
            after = int(request.query.get("after", "0"))
        except ValueError:
            raise ProblemError(400, "after must be a whole number") from None
        changed = self._changed
        if self._revision <= after:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await changed.wait()
        return web.Response(
            body=msgspec.json.encode(self.since(after)),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

"""Bodies of answers: JSON with an ETag, compressed where that pays."""

import asyncio
import hashlib
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from regimes.clock import SystemClock

SMALLEST_GZIP: Final = 1_400
LARGEST_ON_LOOP: Final = 65_536
_encoder = msgspec.json.Encoder()
_real = SystemClock()


class Payload:
    """One body, encoded once, hashed once, compressed at most once. spent_s: what that has taken."""

    __slots__ = ("_gzipped", "body", "etag", "spent_s")

    def __init__(self, value: Any) -> None:
        began_s = _real.monotonic()
        self.body = _encoder.encode(value)
        self.etag = f'W/"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'
        self._gzipped: asyncio.Future[bytes] | None = None
        self.spent_s = _real.monotonic() - began_s

    async def gzipped(self) -> bytes:
        """The body, compressed once however many ask; a large one in a thread."""
        if self._gzipped is None:
            self._gzipped = asyncio.ensure_future(self._compressed())
        return await asyncio.shield(self._gzipped)

    async def _compressed(self) -> bytes:
        began_s = _real.monotonic()
        large = len(self.body) > LARGEST_ON_LOOP
        made = await asyncio.to_thread(_gzip, self.body) if large else _gzip(self.body)
        self.spent_s += _real.monotonic() - began_s
        return made


async def answer(
    request: web.Request, payload: Payload, *, status: int = 200, cache_control: str = "no-cache"
) -> web.Response:
    """The payload as the client wants it: not at all when it has it, compressed when it can read that."""
    headers = {"ETag": payload.etag, "Cache-Control": cache_control, "Vary": "Accept-Encoding, Cookie"}
    if status == 200 and _has(request.headers, payload.etag):
        return web.Response(status=304, headers=headers)
    body = payload.body
    if len(body) >= SMALLEST_GZIP and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = await payload.gzipped()
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _has(headers: Mapping[str, str], etag: str) -> bool:
    known = headers.get("If-None-Match", "")
    return etag in known or known.strip() == "*"


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(5, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()

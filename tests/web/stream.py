"""A reader of the event stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec


class Frame(msgspec.Struct):
    """One event of a stream."""

    name: str
    data: Any
    id: str = ""
    retry: int | None = None
    comment: bool = False


class Reader:
    """Reads frames one by one; `id` is what a browser would send as Last-Event-ID."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.id = ""
        self.frames: list[Frame] = []

    async def frame(self, timeout_s: float = 10.0) -> Frame:
        """The next frame. Raises EOFError at the end of the stream."""
        async with asyncio.timeout(timeout_s):
            lines: list[str] = []
            while (line := await self._line()) != "":
                lines.append(line)
        fields = dict(line.partition(": ")[::2] for line in lines)
        made = Frame(
            fields.get("event", ""),
            msgspec.json.decode(fields["data"]) if "data" in fields else None,
            fields.get("id", ""),
            int(fields["retry"]) if "retry" in fields else None,
            comment=all(line.startswith(":") for line in lines),
        )
        self.id = made.id or self.id
        self.frames.append(made)
        return made

    async def next(self, name: str, timeout_s: float = 10.0) -> Frame:
        """The next frame of this name; others are passed over."""
        async with asyncio.timeout(timeout_s):
            while True:
                made = await self.frame(timeout_s)
                if made.name == name:
                    return made

    async def events(self, count: int, timeout_s: float = 15.0) -> list[tuple[str, int]]:
        """Id and revision of the next so many events."""
        found = [(await self.next("event", timeout_s)).data for _ in range(count)]
        return [(each["id"], each["revision"]) for each in found]

    async def _line(self) -> str:
        line = await self.answer.content.readline()
        if not line:
            raise EOFError
        return line.decode().rstrip("\n")


@asynccontextmanager
async def reading(address: str, query: str = "interval=1", last_id: str = "") -> AsyncIterator[Reader]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(address, timeout=timeout, read_bufsize=2**22) as client,
        client.get(f"/api/stream?{query}", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Reader(answer)

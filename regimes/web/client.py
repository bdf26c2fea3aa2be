"""One reader of the stream: writes straight to its transport, and never waits for it."""

import asyncio
import socket
from contextlib import suppress
from typing import Final

import msgspec

from regimes.events import EventBody
from regimes.observations import MARKET

SOCKET_BUFFER: Final = 65_536
"""Bytes the kernel keeps for a client; by itself it would take some 4 MB of one that has stopped reading."""
FULL_BYTES: Final = 65_536
EASED_BYTES: Final = 16_384


class View(msgspec.Struct, frozen=True):
    """What a client wants to see: everything where symbols is None; readings at most every so many seconds."""

    symbols: frozenset[str] | None
    interval_s: int

    def shows(self, symbol: str) -> bool:
        """Whether it wants this symbol."""
        return self.symbols is None or symbol in self.symbols

    def shows_event(self, event: EventBody) -> bool:
        """Whether it wants this event: of its symbols, of the market, or of the service itself."""
        if self.symbols is None or event.symbol in self.symbols:
            return True
        return event.symbol == MARKET or event.source == "SYSTEM" or self._touches(event)

    def _touches(self, event: EventBody) -> bool:
        named = {name for name in event.data.get("symbols") or () if isinstance(name, str)}
        return bool(named & (self.symbols or frozenset()))


class Client:
    """cursor: number of the next event it has not been given. state: name of the last one it was.

    ended: set when the stream is over. behind_since: since when it has not taken what was written, None while it
    does. conflated: readings it did not get since then. skipped: states it got from storage, that the log holds too.
    """

    __slots__ = (
        "_buffered",
        "_closing",
        "_transport",
        "_write",
        "behind_since",
        "conflated",
        "cursor",
        "ended",
        "resuming",
        "skipped",
        "state",
        "view",
    )

    def __init__(self, transport: asyncio.Transport, view: View, cursor: int, state: str) -> None:
        self._transport = transport
        # Looked up once: these are called for every frame of every client.
        self._buffered = transport.get_write_buffer_size
        self._closing = transport.is_closing
        self._write = transport.write
        self.view = view
        self.cursor = cursor
        self.state = state
        self.ended: asyncio.Event = asyncio.Event()
        self.behind_since: float | None = None
        self.conflated = 0
        self.resuming = False
        self.skipped: frozenset[str] = frozenset()
        limit_socket(transport)

    @property
    def is_gone(self) -> bool:
        """Whether the connection is closed or closing."""
        return self._closing()

    @property
    def is_full(self) -> bool:
        """Whether it has not taken what was written long before."""
        return self._buffered() > FULL_BYTES

    @property
    def is_eased(self) -> bool:
        """Whether it has taken nearly everything."""
        return self._buffered() <= EASED_BYTES

    def write(self, frame: bytes) -> None:
        """Hand a frame to the transport, whatever waits there already."""
        if not self._closing():
            self._write(frame)

    def offer(self, frame: bytes) -> bool:
        """Hand a frame to the transport if the client takes what it is given; whether it was handed over."""
        if self.behind_since is not None or self._buffered() > FULL_BYTES:
            return False
        if not self._closing():
            self._write(frame)
        return True

    def abort(self) -> None:
        """Cut the connection off; what it has not taken is forgotten."""
        self._transport.abort()
        self.ended.set()


def limit_socket(transport: asyncio.Transport) -> None:
    """Let the kernel keep only so much for a client that does not read."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)

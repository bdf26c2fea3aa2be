"""One reader of the stream: writes straight to its transport, and never waits for it."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

from regimes.events import EventBody
from regimes.observations import MARKET

SOCKET_BUFFER: Final = 65_536
"""Bytes the kernel keeps for a client; by itself it would take some 4 MB of one that has stopped reading."""
_DIRECT: Final = sys.platform != "win32"
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

    ended: done when the stream is over. behind_since: since when it has not taken what was written, None while it
    does. conflated: readings it did not get since then. skipped: states it got from storage, that the log may tell again;
    since `resumed_at`. is_clear: nothing waits in its transport. number: the connection's descriptor.
    """

    __slots__ = (
        "_transport",
        "behind_since",
        "conflated",
        "cursor",
        "ended",
        "is_clear",
        "is_closing",
        "number",
        "resumed_at",
        "resuming",
        "skipped",
        "state",
        "view",
    )

    def __init__(self, transport: asyncio.Transport, view: View, cursor: int, state: str) -> None:
        self._transport = transport
        # At once, or else uvloop remembers each transport and comes back to all of them later.
        transport.set_write_buffer_limits(0)
        self.is_closing = transport.is_closing  # looked up once: it is asked for every frame
        self.number = limited_socket(transport)
        self.is_clear = _DIRECT and not transport.get_write_buffer_size()
        self.view = view
        self.cursor = cursor
        self.state = state
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.behind_since: float | None = None
        self.conflated = 0
        self.resuming = False
        self.resumed_at = 0.0
        self.skipped: frozenset[str] = frozenset()

    @property
    def is_full(self) -> bool:
        """Whether it has not taken what was written long before."""
        return self._transport.get_write_buffer_size() > FULL_BYTES

    @property
    def is_eased(self) -> bool:
        """Whether it has taken nearly everything."""
        return self._transport.get_write_buffer_size() <= EASED_BYTES

    def write(self, frame: bytes | memoryview) -> None:
        """Hand a frame to the transport, whatever waits there already."""
        if not self.is_closing():
            self._transport.write(frame)
            self.is_clear = _DIRECT and not self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Cut the connection off; what it has not taken is forgotten."""
        self._transport.abort()
        self.end()

    def end(self) -> None:
        """Let the request that brought it come to its end."""
        if not self.ended.done():
            self.ended.set_result(None)


def offer(frame: bytes, clients: Iterable[Client]) -> list[Client]:
    """Send a frame to each, unless much waits in its transport already; those that therefore did not get it.

    The usual case, that nothing waits, goes past the transport, which saves a fifth of what a delivery costs. A
    descriptor belongs to its client as long as that is not closing. One loop, as a call for each would cost as well.
    """
    refused: list[Client] = []
    size, write = len(frame), os.write
    for client in clients:
        if not client.is_clear:
            if client.is_full:
                refused.append(client)
            else:
                client.write(frame)
        elif not client.is_closing():
            try:
                sent = write(client.number, frame)
            except BlockingIOError:
                sent = 0
            except OSError:
                continue  # it is gone, which the transport will notice too
            if sent != size:
                client.write(memoryview(frame)[sent:])
    return refused


def limited_socket(transport: asyncio.Transport) -> int:
    """The connection's descriptor; the kernel keeps only so much in it for a client that does not read."""
    raw = transport.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    return int(raw.fileno())

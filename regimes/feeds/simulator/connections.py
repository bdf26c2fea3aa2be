"""Websocket connections as the exchange holds them: what each asked for, and how bytes reach it."""

from asyncio import Transport
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

from aiohttp import WSCloseCode, web

from regimes.feeds.simulator.source import Venue
from regimes.feeds.simulator.topics import Route, Topic, parse_topic

Mute: TypeAlias = Literal["stall", "half-open"]
MAX_STREAMS: Final = 200
MAX_UNREAD_BYTES: Final = 64 * 2**20
"""A client that leaves so much unread is dropped, as it is by Binance."""
_TEXT, _BINARY = 0x81, 0x82


def websocket_frame(payload: bytes, *, binary: bool = False) -> bytes:
    """A whole message from a server, unmasked (RFC 6455, 5.2)."""
    first, size = _BINARY if binary else _TEXT, len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2) + payload
    return bytes((first, 127)) + size.to_bytes(8) + payload


class Message:
    """One event on one stream, put into each envelope once, however many read it."""

    __slots__ = ("_combined", "_raw", "kind", "payload", "stream", "venue")

    def __init__(self, venue: Venue, stream: str, kind: str, payload: bytes) -> None:
        self.venue: Venue = venue
        self.stream = stream
        self.kind = kind
        self.payload = payload
        self._raw: bytes | None = None
        self._combined: bytes | None = None

    def wire(self, *, combined: bool) -> bytes:
        """The websocket frame, with `{"stream":..,"data":..}` around it where the path has that."""
        if not combined:
            self._raw = self._raw or websocket_frame(self.payload)
            return self._raw
        if self._combined is None:
            head = b'{"stream":"' + self.stream.encode() + b'","data":'
            self._combined = websocket_frame(head + self.payload + b"}")
        return self._combined


class Connection:
    """One client. Bytes are queued with `queue` and leave in one write with `flush`."""

    def __init__(
        self, socket: web.WebSocketResponse, transport: Transport, route: Route, *, combined: bool
    ) -> None:
        self.socket = socket
        self.route: Route = route
        self.venue: Venue = "spot" if route == "spot" else "usdm"
        self.combined = combined
        self.topics: dict[str, Topic | None] = {}
        self.mute: Mute | None = None
        """Set by `silence` and `recover`."""
        self._transport = transport
        self._queued: list[bytes] = []

    def silence(self, how: Mute) -> None:
        """Send nothing more; `half-open` reads nothing either, as a peer that is gone."""
        self.mute = how
        if how == "half-open" and self._transport.is_reading():
            self._transport.pause_reading()

    def recover(self) -> None:
        """Undo `silence`."""
        self.mute = None
        if not self._transport.is_reading():
            self._transport.resume_reading()

    def queue(self, frame: bytes) -> bool:
        """Take a frame for the next flush; False if this client gets nothing any more."""
        if self.mute or self._transport.is_closing():
            return False
        self._queued.append(frame)
        return True

    def flush(self) -> None:
        """Write everything queued at once, so that it may share TCP segments."""
        if self._queued and not self._transport.is_closing():
            self._transport.write(b"".join(self._queued))
            if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
                self.abort()
        self._queued.clear()

    async def close(self, code: int) -> None:
        """Close with a code; 1006 is no code on the wire but a connection cut."""
        if code == WSCloseCode.ABNORMAL_CLOSURE:
            self.abort()
        else:
            await self.socket.close(code=code, drain=True)

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()


class Sent:
    """Counts of all that left the exchange, by kind of message, so that each can be accounted for.

    frames: one for each client that a message was written to. messages: one for each message that reached any client.
    requests: REST answers by path and status.
    """

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()

    def as_dict(self) -> dict[str, dict[str, int]]:
        """The counts as JSON types."""
        return {"frames": dict(self.frames), "messages": dict(self.messages), "requests": dict(self.requests)}


class Hub:
    """Who reads which stream, and the way to all of them."""

    def __init__(self) -> None:
        self.sent = Sent()
        self._connections: dict[Connection, None] = {}
        self._readers: dict[tuple[Venue, str], dict[Connection, None]] = {}

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._connections))

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> None:
        self._connections[connection] = None

    def remove(self, connection: Connection) -> None:
        self.unsubscribe(connection, tuple(connection.topics))
        self._connections.pop(connection, None)

    def subscribe(self, connection: Connection, streams: Iterable[str]) -> bool:
        """Add streams; False, and nothing added, if that is more than a connection may have."""
        wanted = {stream: parse_topic(stream, connection.route) for stream in streams}
        if len(connection.topics | wanted) > MAX_STREAMS:
            return False
        connection.topics |= wanted
        for stream, topic in wanted.items():
            if topic is not None:
                self._readers.setdefault((connection.venue, stream), {})[connection] = None
        return True

    def unsubscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        for stream in streams:
            connection.topics.pop(stream, None)
            key = (connection.venue, stream)
            readers = self._readers.get(key, {})
            readers.pop(connection, None)
            if not readers:
                self._readers.pop(key, None)

    def topics(self) -> dict[tuple[Venue, str], Topic]:
        """Every stream that somebody reads, by venue and name."""
        found: dict[tuple[Venue, str], Topic] = {}
        for connection in self._connections:
            venue = connection.venue
            found |= {(venue, name): topic for name, topic in connection.topics.items() if topic is not None}
        return found

    def is_read(self, venue: Venue, stream: str) -> bool:
        """Whether anybody asked for a stream."""
        return (venue, stream) in self._readers

    def broadcast(self, messages: Iterable[Message]) -> int:
        """Queue messages for their readers, in order; how many frames that made."""
        total = 0
        for message in messages:
            readers = self._readers.get((message.venue, message.stream), ())
            reached = sum(reader.queue(message.wire(combined=reader.combined)) for reader in readers)
            if reached:
                self.sent.frames[message.kind] += reached
                self.sent.messages[message.kind] += 1
                total += reached
        return total

    def flush(self) -> None:
        """Let everything queued leave."""
        for connection in self:
            connection.flush()

"""Server-sent events as bytes: each frame is encoded once and written as it is to every client."""

from typing import Any, Final

import msgspec

from regimes.events import EventBody

_encode = msgspec.json.Encoder().encode
RETRY_MS: Final = 2_000
ID_MARK: Final = ":"
NO_STATE: Final = "start"
"""The id of a stream in which nothing has been stored yet."""


def frame(name: str, data: Any, state: str = "") -> bytes:
    """One event of a stream, as one chunk of an HTTP/1.1 body. state: its id, where a client can go on from it."""
    head = f"id: {state}\nevent: {name}\ndata: " if state else f"event: {name}\ndata: "
    return chunk(head.encode() + _encode(data) + b"\n\n")


def chunk(body: bytes) -> bytes:
    """Bytes as one chunk of an HTTP/1.1 body."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def retry(after_ms: int) -> bytes:
    """Tells a browser when to come back once the stream has ended."""
    return chunk(b"retry: %d\n\n" % after_ms)


HEARTBEAT: Final = chunk(b":\n\n")


def state_id(event_id: str, revision: int) -> str:
    """Names one state of one event, as `Last-Event-ID` brings it back."""
    return f"{event_id}{ID_MARK}{revision}"


def state_of(event: EventBody) -> str:
    """The name of this state."""
    return state_id(event.id, event.revision)


def parse_state(text: str) -> tuple[str, int] | None:
    """Event and revision of a state's name; None for what is no such name. `start` is before the first."""
    if text == NO_STATE:
        return "", 0
    event_id, mark, revision = text.rpartition(ID_MARK)
    if not (mark and event_id and revision.isascii() and revision.isdigit() and len(revision) < 10):
        return None
    return event_id, int(revision)

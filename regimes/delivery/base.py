"""What a target is: pure functions from a message to a request and from an answer to a verdict."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Protocol

import msgspec

from regimes.alerting.message import Message
from regimes.errors import RegimesError


class Verdict(StrEnum):
    """What an answer means for the delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    AGAIN = "again"
    """Ask the target for another request at once (plain text, new chat id): at most once a delivery."""
    PERMANENT = "permanent"
    """This message can never be delivered; the endpoint is fine."""
    PARK = "park"
    """The endpoint itself is gone or refuses us."""


class Request(msgspec.Struct, frozen=True):
    """One HTTP request. Its repr shows no URL and no header: both can hold credentials."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Request({self.method}, {len(self.body)} bytes)"


class Response(msgspec.Struct, frozen=True):
    """Status, headers with lower-case names, and at most the first 8 KiB of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A target's reading of a response.

    hold_s: do not send to the endpoint (to every endpoint of the kind when hold_kind) before so many seconds;
    may come with DELIVERED when a rate-limit bucket is empty. provider_message_id: to edit the message later.
    memory: what the target must remember of this endpoint from now on (a migrated chat id).
    once: with AGAIN, what the next request alone must know (`plain`, `fresh`), as if it stood in memory.
    """

    verdict: Verdict
    note: str = ""
    hold_s: float | None = None
    hold_kind: bool = False
    provider_message_id: str | None = None
    memory: Mapping[str, str] = {}
    once: Mapping[str, str] = {}


class Failure(StrEnum):
    """Why no answer came, in our own words."""

    BLOCKED = "address not allowed"
    DNS = "name not found"
    REFUSED = "cannot connect"
    TLS = "no secure connection"
    TIMEOUT = "timeout"
    CLOSED = "connection closed"
    UNREADABLE = "answer is not HTTP"
    UNUSABLE = "URL cannot be used"


class TransportError(RegimesError):
    """No answer came. sent: the bytes left, so that the receiver may have the message all the same.

    The text is ours throughout: an HTTP client's own can hold the URL, which is a credential.
    """

    def __init__(self, failure: Failure, *, sent: bool, detail: str = "") -> None:
        super().__init__(f"{failure.value}: {detail}" if detail else failure.value)
        self.failure = failure
        self.sent = sent


class Transport(Protocol):
    """What carries a request to its receiver."""

    async def send(self, request: Request) -> Response:
        """Send once, follow nothing. Raises TransportError when no answer came."""
        ...


class Target(Protocol):
    """One kind of receiver. No input, no output: the transport does that."""

    kind: ClassVar[str]

    def request(
        self, message: Message, body: bytes, *, edit: str | None, memory: Mapping[str, str], now_s: int
    ) -> Request:
        """Build the request. body: the event's JSON. edit: provider_message_id of an earlier state, to be edited.

        memory: what earlier replies asked to remember. now_s: Unix time, for signatures.
        """
        ...

    def reply(self, response: Response, *, now_s: float) -> Reply:
        """Judge the answer."""
        ...

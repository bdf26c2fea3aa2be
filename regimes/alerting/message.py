"""What a person is told about an event: plain facts, before any target puts them into its own markup."""

from typing import Final

import msgspec

from regimes.events import EventBody, Phase, Severity


class Fact(msgspec.Struct, frozen=True):
    """One number with its unit, already in words: `Velocity`, `500,000 USD/h`."""

    label: str
    value: str


class Link(msgspec.Struct, frozen=True):
    """Where to look further."""

    label: str
    url: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Target-neutral text. Every string is plain text that may hold any character: targets escape and cut it.

    revision: which state of the event it tells. reminder: how often that state was told before, on purpose.
    may_edit: an earlier message of the episode may be changed in place, which rings nobody's phone.
    late_ms: how long after the event this is sent, None when it is on time. is_test: marked as a test on every
    target. suppressed: how many further events this one stands for (a burst put into one message).
    """

    event_id: str
    revision: int = 0
    reminder: int = 0
    may_edit: bool = True
    severity: Severity
    phase: Phase
    symbol: str
    title: str
    summary: str
    why: str
    ts_ms: int
    started_ms: int
    facts: tuple[Fact, ...] = ()
    links: tuple[Link, ...] = ()
    is_test: bool = False
    late_ms: int | None = None
    suppressed: int = 0


class Parcel(msgspec.Struct, frozen=True):
    """All a restart needs to send a delivery. event: the body's JSON, byte for byte as it is signed and sent."""

    event: msgspec.Raw
    message: Message


def pack(body: EventBody, message: Message) -> bytes:
    """Put event and message into the bytes a delivery carries."""
    return _ENCODER.encode(Parcel(msgspec.Raw(_ENCODER.encode(body)), message))


def unpack(data: bytes) -> Parcel:
    """Read what `pack` wrote; raises msgspec.DecodeError for anything else."""
    return _DECODER.decode(data)


def delivery_id(event_id: str, revision: int, endpoint: str, *, reminder: int = 0) -> str:
    """Name one state of one event at one endpoint: also its `webhook-id`, the same on every try, never with a dot."""
    again = f"_again{reminder}" if reminder else ""
    return f"{event_id}_{revision}{again}_{endpoint}"


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Parcel)

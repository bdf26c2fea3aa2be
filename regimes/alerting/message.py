"""What a person is told about an event: plain facts, before any target puts them into its own markup."""

import msgspec

from regimes.events import Phase, Severity


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

    late_ms: how long after the event this is sent, None when it is on time. is_test: marked as a test on every
    target. suppressed: how many further events this one stands for (a burst put into one message).
    """

    event_id: str
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

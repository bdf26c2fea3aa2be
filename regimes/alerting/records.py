"""What policy leaves behind and is told: decisions, dispatches, silences, routes."""

from enum import StrEnum

import msgspec

from regimes.events import Event, EventType, Severity


class Action(StrEnum):
    """What was done with one event for one endpoint."""

    SEND = "send"
    EDIT = "edit"
    """Bring the message that is already there up to date, without a new notification."""
    HOLD = "hold"
    """Wait for the burst it belongs to, which becomes one message."""
    DIGEST = "digest"
    SUPPRESS = "suppress"


class Reason(StrEnum):
    """Why: a bounded set, so that it can label a metric. The words with the numbers stand in the decision."""

    OPENED = "opened"
    ESCALATED = "escalated"
    CHANGED = "changed"
    CLOSED = "closed"
    REPEAT = "repeat"
    BURST = "burst"
    DAILY_DIGEST = "daily_digest"
    CAP_NOTICE = "cap_notice"
    BELOW_MINIMUM = "below_minimum"
    USUAL = "usual"
    SMALL = "small"
    SILENCED = "silenced"
    COOLDOWN = "cooldown"
    DAILY_CAP = "daily_cap"
    NOT_SENT_BEFORE = "not_sent_before"
    HISTORY = "history"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event did, or did not, go to an endpoint. words: the reason with its numbers."""

    event_id: str
    revision: int
    endpoint: str
    action: Action
    reason: Reason
    words: str
    ts_ms: int


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """An order to deliver an event to an endpoint.

    edit: an earlier message of it may be changed in place. reminder: how often this same state was sent before,
    on purpose.
    """

    endpoint: str
    event: Event
    edit: bool
    reminder: int = 0


class Verdicts(msgspec.Struct, frozen=True):
    """All that one input to the policy brought about."""

    decisions: tuple[Decision, ...] = ()
    dispatches: tuple[Dispatch, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint and what it wants: event sources (`ALL` stands for every one) from a severity upwards."""

    endpoint: str
    sources: frozenset[str]
    minimum: Severity


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Matching events are stored and shown but not sent until `until_ms`.

    An empty field matches everything. up_to: events above this severity pass all the same.
    """

    id: str
    created_ms: int
    until_ms: int
    comment: str = ""
    event_type: str = ""
    symbol: str = ""
    up_to: Severity = Severity.CRITICAL

    def matches(self, event: Event, now_ms: int) -> bool:
        """Whether it holds this event back now."""
        return (
            now_ms < self.until_ms
            and self.event_type in {"", event.type.value}
            and self.symbol in {"", event.symbol}
            and event.severity <= self.up_to
        )


BURST_TYPES = frozenset(
    {
        EventType.LIQUIDATION_CASCADE,
        EventType.FUNDING_ANOMALY,
        EventType.VOLATILITY_REGIME,
        EventType.REGIME_SHIFT,
        EventType.CORRELATION_BREAK,
    }
)
"""Types that strike many symbols at once; the others are never put together."""

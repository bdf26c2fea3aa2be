"""What the engine says: one event for each episode, opened once, updated in place, closed once."""

import hashlib
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec

SCHEMA_VERSION: Final = 1


class Severity(IntEnum):
    """How much an event matters; they compare by rank."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Phase(StrEnum):
    """Where an episode stands."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


class EventType(StrEnum):
    """Every kind of event a user can receive."""

    LIQUIDATION_CASCADE = "LIQUIDATION_CASCADE"
    FUNDING_ANOMALY = "FUNDING_ANOMALY"
    FUNDING_REVERSAL = "FUNDING_REVERSAL"
    VOLATILITY_REGIME = "VOLATILITY_REGIME"
    REGIME_SHIFT = "REGIME_SHIFT"
    CORRELATION_BREAK = "CORRELATION_BREAK"
    LEADERSHIP_CHANGE = "LEADERSHIP_CHANGE"
    SYSTEM_FEED_STALE = "SYSTEM_FEED_STALE"
    SYSTEM_FEED_GAP = "SYSTEM_FEED_GAP"
    SYSTEM_CLOCK_SKEW = "SYSTEM_CLOCK_SKEW"
    SYSTEM_DB_DOWN = "SYSTEM_DB_DOWN"
    SYSTEM_DISK_LOW = "SYSTEM_DISK_LOW"
    SYSTEM_ENDPOINT_DISABLED = "SYSTEM_ENDPOINT_DISABLED"
    SYSTEM_ALERT_CAP = "SYSTEM_ALERT_CAP"
    SYSTEM_DIGEST = "SYSTEM_DIGEST"

    @property
    def source(self) -> str:
        """The route an event of this type takes: CASCADE, FUNDING, VOLATILITY, REGIME, CORRELATION, SYSTEM."""
        return _SOURCES.get(self, "SYSTEM")


_SOURCES: Final = {
    EventType.LIQUIDATION_CASCADE: "CASCADE",
    EventType.FUNDING_ANOMALY: "FUNDING",
    EventType.FUNDING_REVERSAL: "FUNDING",
    EventType.VOLATILITY_REGIME: "VOLATILITY",
    EventType.REGIME_SHIFT: "REGIME",
    EventType.CORRELATION_BREAK: "CORRELATION",
    EventType.LEADERSHIP_CHANGE: "CORRELATION",
}


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one episode.

    symbol: as configured, a pair such as `BTC/ETH`, or `ALL`. started_ms: onset of the episode.
    revision: 0 when opened, one more at each later state. data: the numbers behind it, JSON types only.
    why: the rule that fired, with its numbers.
    """

    type: EventType
    symbol: str
    severity: Severity
    phase: Phase
    ts_ms: int
    started_ms: int
    revision: int
    title: str
    description: str
    why: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """The same after a restart, in a replay, and on a second instance."""
        return event_id(self.type, self.symbol, self.started_ms)

    @property
    def source(self) -> str:
        """Which route it takes."""
        return self.type.source


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON a user's program receives, in the order it is promised."""

    event_type: str
    timestamp: str
    symbol: str
    severity: str
    title: str
    description: str
    source: str
    data: dict[str, Any]
    id: str
    phase: str
    started: str
    why: str
    track_record: dict[str, Any] | None = None
    links: dict[str, str] = {}
    version: int = SCHEMA_VERSION
    revision: int = 0


def event_id(kind: str, key: str, started_ms: int) -> str:
    """Name an episode by what it is about and when it began: `evt_` and 26 hexadecimal digits.

    It holds no dot, so that it can stand in a signed webhook header.
    """
    digest = hashlib.sha256(f"{kind}\x1f{key}\x1f{started_ms}".encode()).hexdigest()
    return f"evt_{digest[:26]}"


def body(event: Event, *, links: dict[str, str] | None = None) -> EventBody:
    """Put an event into the form that is sent, stored and streamed."""
    return EventBody(
        event_type=event.type.value,
        timestamp=iso_utc(event.ts_ms),
        symbol=event.symbol,
        severity=event.severity.name,
        title=event.title,
        description=event.description,
        source=event.source,
        data=event.data,
        id=event.id,
        phase=event.phase.value,
        started=iso_utc(event.started_ms),
        why=event.why,
        links=links or {},
        revision=event.revision,
    )


def iso_utc(ts_ms: int) -> str:
    """Milliseconds UTC as ISO 8601 with `Z`; milliseconds are shown only where there are any."""
    moment = datetime.fromtimestamp(ts_ms / 1000, tz=UTC)
    precision = "milliseconds" if ts_ms % 1000 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")

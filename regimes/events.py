"""What the engine says: one event for each episode, opened once, updated in place, closed once."""

import hashlib
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final

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


_ID: Final = "^evt_[0-9a-f]{26}$"


def _said(description: str, **rules: Any) -> msgspec.Meta:
    """What the published schema says of a key."""
    return msgspec.Meta(description=description, extra_json_schema=rules or None)


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


class TrackEffect(msgspec.Struct, frozen=True, kw_only=True):
    """How one outcome of earlier events like this differed from what was usual."""

    scale: Annotated[
        str, _said("ratio: 1 is as usual; difference: 0 is as usual.", enum=["ratio", "difference"])
    ]
    n: Annotated[int, _said("Events it was measured on.", minimum=0)]
    effect: Annotated[float, _said("How the outcome differed from matched times without such an event.")]
    ci: Annotated[tuple[float, float] | None, _said("95 % confidence interval of it alone.")]
    evident: Annotated[bool, _said("Whether chance is unlikely, all effects of the table considered.")]


class TrackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What followed earlier events like this one."""

    words: Annotated[str, _said("All of it in one line.")]
    like_this: Annotated[str, _said("Which events count as like this one.")]
    n: Annotated[int, _said("How many there were whose next 24 h are known.", minimum=0)]
    few: Annotated[bool, _said("Whether they are too few to rely on.")]
    since: Annotated[str, _said("Begin of the span they were counted in, UTC.", format="date-time")]
    until: Annotated[str, _said("End of that span, UTC.", format="date-time")]
    shipped: Annotated[bool, _said("Whether it came with the program, measured on public data.")]
    effects: Annotated[
        dict[str, TrackEffect],
        _said("By outcome and hours, such as volatility_24h; fractions, not per cent."),
    ] = {}


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON a user's program receives, in the order it is promised."""

    event_type: Annotated[str, _said("Kind of event.", enum=[kind.value for kind in EventType])]
    timestamp: Annotated[str, _said("When this state was reached, UTC.", format="date-time")]
    symbol: Annotated[
        str,
        _said("A symbol, a pair, ALL for the market, MANY for several events, or a part of the service."),
    ]
    severity: Annotated[str, _said("How much it matters.", enum=[level.name for level in Severity])]
    title: Annotated[str, _said("One line for people.")]
    description: Annotated[str, _said("The numbers in sentences.")]
    source: Annotated[str, _said("Which route it takes.", enum=[*dict.fromkeys(_SOURCES.values()), "SYSTEM"])]
    data: Annotated[dict[str, Any], _said("The numbers; `is_test` is true in a test message.")]
    id: Annotated[str, _said("Names the episode; the same in each of its states.", pattern=_ID)]
    phase: Annotated[str, _said("Where the episode stands.", enum=[phase.value for phase in Phase])]
    started: Annotated[str, _said("When the episode began, UTC.", format="date-time")]
    why: Annotated[str, _said("The rule that fired, with its numbers.")]
    track_record: Annotated[
        TrackRecord | None, _said("How such events turned out so far, where that is known.")
    ] = None
    links: Annotated[dict[str, str], _said("Where to look further, by name.")] = {}
    version: Annotated[int, _said("Of this form; it changes only when a key changes its meaning.")] = (
        SCHEMA_VERSION
    )
    revision: Annotated[int, _said("0 when opened, one more at each later state.", minimum=0)] = 0
    narrative: Annotated[str, _said("The event as a paragraph for people.")] = ""


def event_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) that every body fulfils. Further keys may be added, so it allows them."""
    schema = msgspec.json.schema(EventBody)
    parts = schema["$defs"]
    whole = parts.pop("EventBody")
    described = {"title": "Event", "description": "One state of one episode, as regimes sends it."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, **described, "$defs": parts}


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


def utc_ms(iso: str) -> int:
    """Milliseconds UTC of what `iso_utc` wrote."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000)

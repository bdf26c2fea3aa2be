"""Parameters of requests: each route names a record whose fields are its parameters, their types and limits."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, field

from regimes.events import EventType
from regimes.storage.base import DeliveryStatus
from regimes.timeframe import DAY_MS
from regimes.web.problem import ProblemError

ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)
Symbol = Annotated[
    str, Meta(min_length=1, max_length=40, description="A watched symbol such as BTC/USDT, or ALL.")
]
Moment = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        description="A time: ISO 8601 such as 2025-01-27T13:00:00Z, or milliseconds since 1970.",
    ),
]
Identifier = Annotated[str, Meta(min_length=1, max_length=200)]
SignalKey = Annotated[str, Meta(min_length=1, max_length=40, pattern="^[a-z_]+$")]
Severity = Literal["INFO", "WARNING", "CRITICAL"]
_LATEST_MS = 4_102_444_800_000


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class BySymbol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One symbol, or all."""

    symbol: Symbol | None = None


class CascadesQuery(BySymbol, frozen=True):
    """Of `/api/cascades`."""

    hours: Annotated[int, Meta(ge=1, le=720, description="How far back episodes are listed.")] = 24


class EventsQuery(BySymbol, frozen=True):
    """Of `/api/events`."""

    type: EventType | None = None
    severity: Severity | None = None
    from_: Moment | None = field(name="from", default=None)
    to: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Identifier | None = None


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `/api/history`."""

    feature: SignalKey
    symbol: Symbol
    from_: Moment | None = field(name="from", default=None)
    to: Moment | None = None
    step: Annotated[int, Meta(ge=0, le=86_400, description="Least seconds between two points; 0 = all.")] = 0
    limit: Annotated[int, Meta(ge=1, le=2_000)] = 1_000


class CandlesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `/api/candles`."""

    symbol: Symbol
    timeframe: Annotated[str, Meta(max_length=6, pattern="^[1-9][0-9]{0,3}[hdw]$")] = "1h"
    from_: Moment | None = field(name="from", default=None)
    to: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=2_000, description="The newest so many of the span.")] = 500


class LiquidationsQuery(BySymbol, frozen=True):
    """Of `/api/liquidations`."""

    from_: Moment | None = field(name="from", default=None)
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 200
    cursor: Annotated[str, Meta(min_length=1, max_length=600)] | None = None


class DeliveriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `/api/deliveries`."""

    event: Identifier | None = None
    status: DeliveryStatus | None = None
    endpoint: Identifier | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Identifier | None = None


class ScoreQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `/api/score`."""

    days: Annotated[int, Meta(ge=1, le=365)] = 30


class StreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `/api/stream`."""

    symbols: Annotated[
        str,
        Meta(
            max_length=4_000, description="Comma-separated symbols, ALL for the market; empty for everything."
        ),
    ] = ""
    interval: Annotated[
        Literal[1, 2, 5, 10, 30, 60], Meta(description="Least seconds between two `features` frames.")
    ] = 5
    last_event_id: Annotated[
        str, Meta(max_length=80, description="As the header Last-Event-ID, for clients that cannot set it.")
    ] = ""


class ById(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a path names by its id."""

    id: Identifier


class ByName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a path names by its name."""

    name: Identifier


def read(kind: type[ParamsT], given: Mapping[str, str]) -> ParamsT:
    """The parameters of a request. Raises ProblemError that names parameter and rule."""
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, f"parameters: {error}") from error


def moment_ms(text: str | None, default_ms: int) -> int:
    """A time as milliseconds. Raises ProblemError."""
    if text is None:
        return default_ms
    try:
        if text.isascii() and text.isdigit():
            ts_ms = int(text)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            ts_ms = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        ts_ms = -1
    if not 0 <= ts_ms <= _LATEST_MS:
        raise ProblemError(
            400, "from and to must be times between 1970 and 2100: 2025-01-27T13:00:00Z, or milliseconds"
        )
    return ts_ms


def span_ms(from_: str | None, to: str | None, now_ms: int, *, default_ms: int = DAY_MS) -> tuple[int, int]:
    """A span, by default the last `default_ms`. Raises ProblemError when it ends before it begins."""
    to_ms = moment_ms(to, now_ms + 1)
    from_ms = moment_ms(from_, max(to_ms - default_ms, 0))
    if from_ms > to_ms:
        raise ProblemError(400, "from must not be later than to")
    return from_ms, to_ms

"""What the API answers: the types that encode each answer are the ones its description is made from."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from regimes.alerting.records import Decision
from regimes.alerting.track_record import ScoreTable
from regimes.events import EventBody
from regimes.feeds.status import StreamStatus
from regimes.observations import FundingRate, Liquidation
from regimes.storage.base import Attempt
from regimes.web.board import Price
from regimes.web.source import Setting, Trial

Signal = dict[str, Any]
"""One signal of one symbol: status, ready, stale, as_of, n, needed, coverage, detail, alert_level, then its own fields."""
Signals = Mapping[str, Signal]


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457). detail: what is wrong and what to do."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


class Market(msgspec.Struct, frozen=True):
    """NORMAL, ACTIVE or CRISIS, and why; critical and warning list what alerts, such as `cascades BTC/USDT`."""

    state: str
    why: str
    critical: list[str]
    warning: list[str]


class Package(msgspec.Struct, frozen=True):
    """Everything known of one symbol; signals of installed extensions stand beside these under their own keys."""

    timestamp: str
    symbol: str
    cascades: Signal
    funding: Signal
    volatility: Signal
    regimes: Signal
    correlations: Signal
    narrative: str
    market: Market


class Features(msgspec.Struct, frozen=True):
    """All packages by symbol; `ALL` is the market. timestamp: event time. prices: where one is known."""

    timestamp: str
    market: Market
    packages: Mapping[str, Package]
    prices: Mapping[str, Price]


class SignalsNow(msgspec.Struct, frozen=True):
    """One signal of every symbol, and of the market as `ALL` where it has one."""

    timestamp: str
    symbols: Signals


class Cascades(SignalsNow, frozen=True):
    """The same, with the cascades that began in the last `hours`, newest first; null when the database is away."""

    hours: int
    episodes: list[EventBody] | None


class Funding(SignalsNow, frozen=True):
    """The same, with the settlements of each symbol, oldest first."""

    history: Mapping[str, Sequence[FundingRate]]


class Events(msgspec.Struct, frozen=True):
    """A page of episodes, each in its newest state, newest first. cursor: of the next page, null on the last."""

    events: Sequence[EventBody]
    cursor: str | None


class DeliveryView(msgspec.Struct, frozen=True):
    """One message to one endpoint. status: pending, delivered, expired, superseded or dead. attempt: tries so far."""

    id: str
    event_id: str
    revision: int
    endpoint: str
    title: str
    severity: str
    status: str
    attempt: int
    created_ms: int
    next_at_ms: int
    expires_at_ms: int
    reminder: int
    is_replay: bool


class DeliveryWhole(msgspec.Struct, frozen=True):
    """A delivery and its tries, oldest first."""

    delivery: DeliveryView
    attempts: Sequence[Attempt]


class Deliveries(msgspec.Struct, frozen=True):
    """A page of deliveries, newest first. cursor: of the next page, null on the last."""

    deliveries: Sequence[DeliveryView]
    cursor: str | None


class EventWhole(msgspec.Struct, frozen=True):
    """An episode in its newest state, what was decided about it for each endpoint, and its deliveries."""

    event: EventBody
    decisions: Sequence[Decision]
    deliveries: Sequence[DeliveryView]


class Point(msgspec.Struct, frozen=True):
    """A stored reading."""

    ts_ms: int
    reading: Signal


class History(msgspec.Struct, frozen=True):
    """Stored readings of one signal and symbol, oldest first. next_from_ms: ask from here for more, null at the end."""

    feature: str
    symbol: str
    step_seconds: int
    points: Sequence[Point]
    next_from_ms: int | None


class Bar(msgspec.Struct, frozen=True):
    """One bar. closed: false for the unfinished one. long_usd, short_usd: liquidations seen in it, null if unknown.

    coverage: share of the bar's hours that are there. vol_regime: volatility state at its close, on hourly bars.
    """

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    base_volume: float
    closed: bool
    coverage: float
    long_usd: float | None = None
    short_usd: float | None = None
    vol_regime: str | None = None


class Candles(msgspec.Struct, frozen=True):
    """Bars of one symbol, oldest first."""

    symbol: str
    timeframe: str
    bars: Sequence[Bar]


class Liquidations(msgspec.Struct, frozen=True):
    """A page of what was liquidated, newest first; `closed` is the side whose positions were closed.

    cursor: of the next page, null on the last.
    """

    liquidations: Sequence[Liquidation]
    cursor: str | None


class EndpointView(msgspec.Struct, frozen=True):
    """One receiver. phase: closed (works), open, half_open or parked. tries and ended: counts by outcome and status."""

    name: str
    kind: str
    routes: list[str]
    phase: str
    reason: str | None
    hold_until_ms: int | None
    under_way: int
    tries: Mapping[str, int]
    ended: Mapping[str, int]


class Endpoints(msgspec.Struct, frozen=True):
    """Every configured receiver."""

    endpoints: Sequence[EndpointView]


class SilenceView(msgspec.Struct, frozen=True):
    """What is stored and shown but not sent until `until_ms` (event time); empty matchers match everything."""

    id: str
    created_ms: int
    until_ms: int
    comment: str
    event_type: str
    symbol: str
    up_to: str
    active: bool


class Silences(msgspec.Struct, frozen=True):
    """Every silence, those that are over too."""

    silences: Sequence[SilenceView]


class Track(msgspec.Struct, frozen=True):
    """How episodes of one type went. median_hours: of those that have ended, null when none has."""

    event_type: str
    episodes: int
    open: int
    by_severity: Mapping[str, int]
    median_hours: float | None


class Score(msgspec.Struct, frozen=True):
    """What was announced in the last `days`. complete: false when there were more episodes than were counted.

    measured: what followed events of each kind, beside matched times without one; null where nothing was measured.
    """

    days: int
    complete: bool
    tracks: Sequence[Track]
    measured: ScoreTable | None = None


class Config(msgspec.Struct, frozen=True):
    """Every setting in effect; secrets are masked."""

    settings: Sequence[Setting]


class ProgressView(msgspec.Struct, frozen=True):
    """How far the history is in."""

    done: int
    total: int
    label: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How live the program is: what `/api/status` answers and the stream's `status` says.

    state: starting, warming, live, degraded or closing. now_ms: event time; speed: seconds of it in a real second.
    behind_s: real seconds since the newest message of any stream. symbols, timeframes: what is watched.
    writes: whether this server takes silences, replays and tests at all. links: further pages it has, path by name.
    """

    state: str
    now_ms: int
    speed: float
    market: Market | None
    problems: Sequence[str]
    progress: ProgressView | None
    behind_s: float | None
    streams: Sequence[StreamStatus]
    symbols: Sequence[str]
    timeframes: Sequence[str]
    writes: bool
    links: Mapping[str, str]
    conflated: int = 0
    """Readings this client did not get because it was slow; its present state follows."""
    delayed_events: int = 0
    """Events that wait in storage because this client is slow; they follow in order."""


class Ready(msgspec.Struct, frozen=True):
    """Whether everything works, and what does not."""

    ready: bool
    problems: Sequence[str]


class Session(msgspec.Struct, frozen=True):
    """Who is asking. token_needed: whether this server has a token. writes: whether this client may write."""

    signed_in: bool
    token_needed: bool
    writes: bool


class Replayed(msgspec.Struct, frozen=True):
    """How many deliveries were made pending again."""

    replayed: int


class TrialView(Trial, frozen=True):
    """What an endpoint answered to a test message."""


class Done(msgspec.Struct, frozen=True):
    """It was done."""

    done: bool = True


# -- bodies of writes -------------------------------------------------------------------------------------------

Words = Annotated[str, msgspec.Meta(max_length=200)]


class NewSilence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """hours: how long from now, market time. event_type and symbol: what it holds back, empty for all. up_to: severity."""

    hours: Annotated[float, msgspec.Meta(gt=0, le=24 * 30)]
    event_type: Annotated[str, msgspec.Meta(max_length=40, pattern="^[A-Z_]*$")] = ""
    symbol: Annotated[str, msgspec.Meta(max_length=40)] = ""
    up_to: Annotated[str, msgspec.Meta(pattern="^(INFO|WARNING|CRITICAL)$")] = "CRITICAL"
    comment: Words = ""


# -- snapshot and frames of the stream ---------------------------------------------------------------------------


class Snapshot(msgspec.Struct, frozen=True):
    """The stream's first frame. resume: `fresh`; `resumed` when what was missed follows; `lost` when it cannot.

    open_events: episodes that have not ended.
    """

    resume: str
    status: Status
    features: Features
    open_events: Sequence[EventBody]


class Tape(msgspec.Struct, frozen=True):
    """The stream's `liquidation` frame: what came since the last one, oldest first; omitted: how many it leaves out."""

    liquidations: Sequence[Liquidation]
    omitted: int

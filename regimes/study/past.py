"""The past that a score or a report is about: from a replay of a source, or as the service stored it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from regimes.alerting.records import Action, Decision
from regimes.config import Settings
from regimes.events import Event, EventBody, body, iso_utc
from regimes.features.base import Status
from regimes.feeds.cache import CandleCache, to_candles
from regimes.history import Source
from regimes.observations import MARKET, FeedGap, FundingRate, Observation
from regimes.storage.base import Delivery, Outcome, Storage
from regimes.study.replay import replay
from regimes.study.score.series import Series, SeriesBuilder
from regimes.timeframe import DAY_MS, HOUR_MS

BEFORE_MS: Final = 32 * DAY_MS
"""Bars before the span, for the volatility of the month before."""
_PAGE: Final = 500
_MOST_EVENTS: Final = 200_000
_MOST_LOOKED_UP: Final = 5_000


class Sending(msgspec.Struct, frozen=True):
    """One message to one endpoint: when, about which state, how severe."""

    ts_ms: int
    event_id: str
    event_type: str
    severity: str
    endpoint: str


class Delivered(msgspec.Struct, frozen=True):
    """What became of one message to one endpoint. tries: how many; seconds: from the making to the answer, if it arrived."""

    endpoint: str
    status: str
    tries: int
    created_ms: int
    seconds: float | None


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A span of the past.

    states: of every event in it, in the order they were reached. series: from `BEFORE_MS` before the span on, by symbol.
    decisions: what the policy answered; sendings: messages that rang, or in a replay would have. gaps: spans in which
    data of a kind is missing. deliveries: none in a replay. settings: names the settings of the signals.
    """

    source: str
    symbols: Sequence[str]
    from_ms: int
    to_ms: int
    settings: str
    states: Sequence[EventBody]
    series: Mapping[str, Series]
    decisions: Sequence[Decision] = ()
    sendings: Sequence[Sending] = ()
    gaps: Sequence[FeedGap] = ()
    deliveries: Sequence[Delivered] = ()


def settings_name(settings: Settings) -> str:
    """A short name for the settings of the signals: the same settings have the same name."""
    told = {name: section.model_dump(mode="json") for name, section in settings.sections().items()}
    return sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()[:12]


def replayed(
    source: Source,
    settings: Settings,
    from_ms: int | None,
    to_ms: int | None,
    progress: Callable[[int], None] | None = None,
) -> Past:
    """What a run over a source would have seen and said. Raises ConfigError and DataError as `replay`."""
    done = replay(source, settings, from_ms, to_ms, progress=progress)
    begin_ms = done.from_ms - BEFORE_MS
    builder = SeriesBuilder(done.symbols, begin_ms, done.to_ms)
    gaps: dict[tuple[str, str | None, int], FeedGap] = {}
    # A bar that closes with the span is known at its end.
    for observation in source.observations(begin_ms, done.to_ms + 1, done.symbols):
        builder.take(observation)
        if isinstance(observation, FeedGap):
            gaps[observation.kind, observation.symbol, observation.from_ms] = observation
    states = [body(item.event) for item in done.events]
    return Past(
        source=source.name,
        symbols=done.symbols,
        from_ms=done.from_ms,
        to_ms=done.to_ms,
        settings=settings_name(settings),
        states=states,
        series=builder.built(),
        decisions=done.decisions,
        sendings=[
            _sending(message.ts_ms, message.event, message.decision.endpoint) for message in done.messages
        ],
        gaps=list(gaps.values()),
    )


def _sending(ts_ms: int, event: Event, endpoint: str) -> Sending:
    return Sending(ts_ms, event.id, event.type.value, event.severity.name, endpoint)


async def stored(storage: Storage, settings: Settings, from_ms: int, to_ms: int) -> Past:
    """What the service saw and said, as far as it is stored. Raises StorageError."""
    states = await _states(storage, from_ms, to_ms)
    symbols = _symbols(settings, states)
    begin_ms = from_ms - BEFORE_MS
    builder = SeriesBuilder(symbols, begin_ms, to_ms)
    for symbol in symbols:
        builder.take_all(_bars(settings, symbol))
        builder.take_all(await _settlements(storage, symbol, begin_ms, to_ms))
        for part in await storage.liquidated(symbol=symbol, from_ms=begin_ms, to_ms=to_ms, step_ms=HOUR_MS):
            builder.liquidated(symbol, part.open_ms, part.long_usd + part.short_usd)
    gaps = await _unwatched(storage, begin_ms, to_ms)
    decisions = await _decisions(storage, states)
    builder.take_all(gaps)
    return Past(
        source="database",
        symbols=symbols,
        from_ms=from_ms,
        to_ms=to_ms,
        settings=settings_name(settings),
        states=states,
        series=builder.built(),
        decisions=decisions,
        sendings=_sent(decisions, states),
        deliveries=await _deliveries(storage, from_ms, to_ms),
        gaps=[gap for gap in gaps if (gap.to_ms or to_ms) > from_ms],
    )


async def _decisions(storage: Storage, states: Iterable[EventBody]) -> list[Decision]:
    found: list[Decision] = []
    for event_id in list(dict.fromkeys(state.id for state in states))[-_MOST_LOOKED_UP:]:
        found += await storage.decisions(event_id)
    return sorted(found, key=lambda decision: decision.ts_ms)


def _sent(decisions: Iterable[Decision], states: Iterable[EventBody]) -> list[Sending]:
    known = {(state.id, state.revision): state for state in states}
    sent = [decision for decision in decisions if decision.action is Action.SEND]
    return [
        Sending(one.ts_ms, one.event_id, state.event_type, state.severity, one.endpoint)
        for one in sent
        if (state := known.get((one.event_id, one.revision))) is not None
    ]


async def _deliveries(storage: Storage, from_ms: int, to_ms: int) -> list[Delivered]:
    """The newest ones of the span, newest first."""
    found: list[Delivered] = []
    before: tuple[int, str] | None = (to_ms, "")
    while before is not None and len(found) < _MOST_LOOKED_UP:
        page = await storage.deliveries(event_id=None, status=None, limit=_PAGE, before=before)
        inside = [delivery for delivery in page if delivery.created_ms >= from_ms]
        found += [await _delivered(storage, delivery) for delivery in inside]
        more = len(page) == _PAGE and len(inside) == len(page)
        before = (page[-1].created_ms, page[-1].id) if more else None
    return found


async def _delivered(storage: Storage, delivery: Delivery) -> Delivered:
    arrived = [
        attempt for attempt in await storage.attempts(delivery.id) if attempt.outcome is Outcome.DELIVERED
    ]
    seconds = (
        (arrived[0].started_ms + arrived[0].duration_ms - delivery.created_ms) / 1000 if arrived else None
    )
    return Delivered(delivery.endpoint, delivery.status.value, delivery.attempt, delivery.created_ms, seconds)


async def _states(storage: Storage, from_ms: int, to_ms: int) -> list[EventBody]:
    """Every state of the episodes that were open in the span."""
    begin, end = iso_utc(from_ms), iso_utc(to_ms)
    found: list[EventBody] = []
    after, revision = "", 0
    while len(found) < _MOST_EVENTS:
        page = await storage.states_after(after, revision, limit=_PAGE)
        if not page:
            break
        found += [state for state in page if begin <= state.timestamp < end]
        after, revision = page[-1].id, page[-1].revision
    return sorted(found, key=lambda state: state.timestamp)


def _symbols(settings: Settings, states: Iterable[EventBody]) -> Sequence[str]:
    """Those configured and, where the most traded are, those there were events of."""
    configured = [symbol for symbol in settings.symbols if not symbol.startswith("top:")]
    seen = sorted({state.symbol for state in states if "/" in state.symbol})
    wanted = configured if len(configured) == len(settings.symbols) else [*configured, *seen]
    return [symbol for symbol in dict.fromkeys(wanted) if _cache_of(settings, symbol) is not None]


def _cache_of(settings: Settings, symbol: str) -> tuple[CandleCache, str] | None:
    cache = CandleCache(settings.storage.cache_dir.expanduser())
    venues = [venue for venue in (settings.venues.spot, settings.venues.derivatives) if venue]
    found = (venue for venue in venues if cache.path(venue, symbol, "1h").exists())
    venue = next(found, None)
    return None if venue is None else (cache, venue)


def _bars(settings: Settings, symbol: str) -> Iterable[Observation]:
    found = _cache_of(settings, symbol)
    if found is None:
        return ()
    cache, venue = found
    return to_candles(cache.load(venue, symbol, "1h"), venue=venue, symbol=symbol, timeframe="1h")


async def _settlements(storage: Storage, symbol: str, from_ms: int, to_ms: int) -> list[FundingRate]:
    """The rate in force in each hour of which there is a reading, for eight hours."""
    found = []
    for ts_ms, told in await _hourly(storage, "funding_anomaly", symbol, from_ms, to_ms):
        if told.rate_8h is not None:
            found.append(FundingRate(ts_ms, "", symbol, told.rate_8h, 8.0))
    return found


class _Told(msgspec.Struct, frozen=True):
    """What is wanted of a stored reading."""

    status: Status = Status.OK
    rate_8h: float | None = None


async def _hourly(
    storage: Storage, feature: str, symbol: str, from_ms: int, to_ms: int
) -> list[tuple[int, _Told]]:
    """The first reading of each hour, at the begin of that hour."""
    found: list[tuple[int, _Told]] = []
    next_ms = from_ms
    while True:
        rows = await storage.readings(feature=feature, symbol=symbol, from_ms=next_ms, to_ms=to_ms, limit=1)
        if not rows:
            return found
        hour_ms = rows[0].ts_ms // HOUR_MS * HOUR_MS
        found.append((hour_ms, msgspec.json.decode(rows[0].body, type=_Told)))
        next_ms = hour_ms + HOUR_MS


async def _unwatched(storage: Storage, from_ms: int, to_ms: int) -> list[FeedGap]:
    """Hours without a reading of liquidations: the service did not run, or nobody kept them."""
    seen = {hour for hour, _ in await _hourly(storage, "liquidation_cascade", MARKET, from_ms, to_ms)}
    gaps: list[FeedGap] = []
    since_ms: int | None = None
    first = -(-from_ms // HOUR_MS) * HOUR_MS
    for hour_ms in (*range(first, to_ms // HOUR_MS * HOUR_MS, HOUR_MS), None):
        if hour_ms is not None and hour_ms not in seen:
            since_ms = hour_ms if since_ms is None else since_ms
        elif since_ms is not None:
            end_ms = to_ms if hour_ms is None else hour_ms
            gaps.append(FeedGap(end_ms, "", "liquidation", None, since_ms, end_ms, "no reading stored"))
            since_ms = None
    return gaps

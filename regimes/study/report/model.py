"""What a report says, as values: made from the past once, drawn and written from there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from statistics import median
from typing import Final

import msgspec
import numpy as np

from regimes.alerting.records import Action
from regimes.alerting.track_record import ScoreTable
from regimes.events import EventBody, EventType, Phase, Severity, utc_ms
from regimes.features.volatility_regime.settings import REGIMES, VolatilitySettings
from regimes.maths.stats import FloatArray
from regimes.maths.volatility import HOURS_A_DAY
from regimes.package.market import MarketState
from regimes.study.past import Past
from regimes.study.score.series import Series, trailing, volatility_ratio
from regimes.timeframe import DAY_MS, HOUR_MS

_WEEK_MS: Final = 7 * DAY_MS


class Stretch(msgspec.Struct, frozen=True):
    """Something that held from one time to another."""

    from_ms: int
    to_ms: int
    state: str


class Episode(msgspec.Struct, frozen=True):
    """One event from its opening to its end, or to the end of the span. severity: the greatest it had."""

    id: str
    event_type: str
    symbol: str
    severity: str
    from_ms: int
    to_ms: int
    is_open: bool
    title: str
    why: str


class SymbolView(msgspec.Struct, frozen=True):
    """One symbol over the span: hour begins, closes, dollars liquidated as far as seen, and volatility states.

    bars_share, watched_share: of the hours, those with a bar, and those in which liquidations were watched throughout.
    """

    symbol: str
    hours_ms: Sequence[int]
    close: Sequence[float | None]
    liquidated_usd: Sequence[float | None]
    states: Sequence[Stretch]
    bars_share: float
    watched_share: float
    settlements_known: bool


class Load(msgspec.Struct, frozen=True):
    """Messages: how many in each step of time by severity, how many a week, and why others were not sent."""

    step_ms: int
    by_severity: Mapping[str, Sequence[int]]
    total: int
    per_week: float
    by_type: Mapping[str, int]
    held_back: Mapping[str, int]


class EndpointView(msgspec.Struct, frozen=True):
    """How reliably one endpoint was reached. seconds: median and worst from the making of a message to the answer."""

    endpoint: str
    by_status: Mapping[str, int]
    tries: int
    median_seconds: float | None
    worst_seconds: float | None


class Gap(msgspec.Struct, frozen=True):
    """A span in which data of a kind is missing."""

    kind: str
    symbol: str | None
    from_ms: int
    to_ms: int
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. score: what followed events, measured on the span itself and before."""

    title: str
    source: str
    from_ms: int
    to_ms: int
    settings: str
    market: Sequence[Stretch]
    symbols: Sequence[SymbolView]
    episodes: Sequence[Episode]
    system: Sequence[Episode]
    load: Load
    endpoints: Sequence[EndpointView]
    gaps: Sequence[Gap]
    score: ScoreTable | None


def make(past: Past, rules: VolatilitySettings, score: ScoreTable | None) -> Report:
    """Put together what there is to say. score: None where there is none."""
    every = episodes(past.states, past.from_ms, past.to_ms)
    system = [episode for episode in every if EventType(episode.event_type).source == "SYSTEM"]
    told = [episode for episode in every if episode not in system]
    return Report(
        title="regimes report",
        source=past.source,
        from_ms=past.from_ms,
        to_ms=past.to_ms,
        settings=past.settings,
        market=market(told, past.from_ms, past.to_ms),
        symbols=[_view(series, past, rules) for series in past.series.values()],
        episodes=told,
        system=system,
        load=load(past),
        endpoints=endpoints(past),
        gaps=[
            Gap(gap.kind, gap.symbol, max(gap.from_ms, past.from_ms), min(end_ms, past.to_ms), gap.reason)
            for gap in past.gaps
            if (end_ms := gap.to_ms or past.to_ms) > past.from_ms and gap.from_ms < past.to_ms
        ],
        score=score,
    )


def episodes(states: Iterable[EventBody], from_ms: int, to_ms: int) -> list[Episode]:
    """Episodes that were open in a span, in order of their opening."""
    by_id: dict[str, list[EventBody]] = {}
    for state in states:
        by_id.setdefault(state.id, []).append(state)
    found = [_episode(own, to_ms) for own in by_id.values()]
    inside = [one for one in found if one.to_ms >= from_ms and one.from_ms < to_ms]
    return sorted(inside, key=lambda one: (one.from_ms, one.id))


def _episode(states: Sequence[EventBody], to_ms: int) -> Episode:
    first, last = states[0], max(states, key=lambda state: state.revision)
    closed = last.phase == Phase.CLOSED
    # What it was while it lasted; of one that was open before the span only its end is known.
    alive = [state for state in states if state.phase != Phase.CLOSED] or [last]
    worst = max(alive, key=lambda state: (Severity[state.severity], state.revision))
    return Episode(
        id=first.id,
        event_type=first.event_type,
        symbol=first.symbol,
        severity=worst.severity,
        from_ms=utc_ms(first.timestamp if first.phase == Phase.OPENED else first.started),
        to_ms=utc_ms(last.timestamp) if closed else to_ms,
        is_open=not closed,
        title=worst.title,
        why=worst.why,
    )


def market(told: Sequence[Episode], from_ms: int, to_ms: int) -> list[Stretch]:
    """The state of the market over time, by the episodes open at each moment.

    CRISIS: two or more are CRITICAL; ACTIVE: any is WARNING or above. The live state also looks at readings that are no
    episode, so it can be a little ahead of this.
    """
    times = {from_ms, to_ms}
    for one in told:
        times |= {min(max(one.from_ms, from_ms), to_ms), min(max(one.to_ms, from_ms), to_ms)}
    ordered = sorted(times)
    held = [
        Stretch(begin, end, _market_state([one for one in told if one.from_ms <= begin < one.to_ms]))
        for begin, end in pairwise(ordered)
    ]
    return joined(held)


def _market_state(now: Sequence[Episode]) -> str:
    critical = sum(one.severity == Severity.CRITICAL.name for one in now)
    if critical >= 2:
        return MarketState.CRISIS.value
    active = any(one.severity != Severity.INFO.name for one in now)
    return MarketState.ACTIVE.value if active else MarketState.NORMAL.value


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches of the same state that follow each other, as one."""
    found = []
    for state, group in groupby(stretches, key=lambda stretch: stretch.state):
        own = list(group)
        found.append(Stretch(own[0].from_ms, own[-1].to_ms, state))
    return found


def _view(series: Series, past: Past, rules: VolatilitySettings) -> SymbolView:
    first = max(0, series.place(past.from_ms))
    hours = [series.start_ms + place * HOUR_MS for place in range(first, series.hours)]
    seen = np.isfinite(series.close[first:])
    watched = np.isfinite(series.liquidated_usd[first:])
    return SymbolView(
        symbol=series.symbol,
        hours_ms=hours,
        close=_known(series.close[first:]),
        liquidated_usd=_known(series.seen_usd[first:]),
        states=volatility_states(series, rules, first),
        bars_share=round(float(seen.mean()), 4) if len(seen) else 0.0,
        watched_share=round(float(watched.mean()), 4) if len(watched) else 0.0,
        settlements_known=bool(np.isfinite(series.funding[first:]).any()),
    )


def volatility_states(series: Series, rules: VolatilitySettings, first: int) -> list[Stretch]:
    """Volatility regimes from an hour on, bar by bar; the live signal also holds on to a state for a while."""
    squares = np.full(series.hours, np.nan)
    squares[1:] = np.diff(np.log(series.close)) ** 2
    total, _ = trailing(squares, HOURS_A_DAY)
    ratio = volatility_ratio(series)
    levels = rules.levels(np.sqrt(total), ratio)
    return [
        stretch
        for stretch in joined(
            Stretch(
                series.start_ms + place * HOUR_MS,
                series.start_ms + (place + 1) * HOUR_MS,
                REGIMES[int(levels[place])] if np.isfinite(ratio[place]) else "",
            )
            for place in range(first, series.hours)
        )
        if stretch.state
    ]


def load(past: Past) -> Load:
    """How many messages there were."""
    span_ms = max(past.to_ms - past.from_ms, 1)
    step_ms = HOUR_MS if span_ms <= 3 * DAY_MS else DAY_MS if span_ms <= 120 * DAY_MS else _WEEK_MS
    steps = -(-span_ms // step_ms)
    counts = {level.name: [0] * steps for level in Severity}
    for one in past.sendings:
        counts[one.severity][min(max((one.ts_ms - past.from_ms) // step_ms, 0), steps - 1)] += 1
    return Load(
        step_ms=step_ms,
        by_severity=counts,
        total=len(past.sendings),
        per_week=round(len(past.sendings) * _WEEK_MS / span_ms, 2),
        by_type=dict(Counter(one.event_type for one in past.sendings).most_common()),
        held_back=dict(
            Counter(
                one.reason.value for one in past.decisions if one.action not in {Action.SEND, Action.EDIT}
            ).most_common()
        ),
    )


def endpoints(past: Past) -> list[EndpointView]:
    """How reliably each endpoint was reached."""
    found = []
    for name in sorted({one.endpoint for one in past.deliveries}):
        own = [one for one in past.deliveries if one.endpoint == name]
        times = [one.seconds for one in own if one.seconds is not None]
        found.append(
            EndpointView(
                endpoint=name,
                by_status=dict(Counter(one.status for one in own).most_common()),
                tries=sum(one.tries for one in own),
                median_seconds=round(median(times), 3) if times else None,
                worst_seconds=round(max(times), 3) if times else None,
            )
        )
    return found


def _known(values: FloatArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]

"""From events and series to the table of what followed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np

from regimes.alerting.track_record import HORIZONS_H, POOLED, Effect, Group, ScoreTable, variant_of
from regimes.events import Event, EventBody, EventType, Phase, utc_ms
from regimes.maths.discovery import false_discovery_rates
from regimes.maths.stats import FloatArray, IntArray
from regimes.observations import MARKET
from regimes.study.score.bootstrap import Draws, Estimate, Matches, effective_weeks, estimate, match
from regimes.study.score.matching import LEAST_MATCHES, Calendar, is_aftermath, start_place
from regimes.study.score.outcomes import OUTCOMES, Outcome
from regimes.study.score.series import Series

RESAMPLES: Final = 500
SEED: Final = 20_240_805
Progress: TypeAlias = Callable[[int, int], None]


class Onset(msgspec.Struct, frozen=True):
    """The opening of an episode, as far as scoring needs it. symbols: those whose prices it is measured on."""

    event_type: str
    variant: str
    symbol: str
    symbols: tuple[str, ...]
    ts_ms: int


def onsets(events: Iterable[Event | EventBody], symbols: Sequence[str]) -> list[Onset]:
    """The openings among events, in order of time; what the service tells of itself is left out.

    symbols: those with prices. An event of the market is measured on all of them, one of a pair on both of it.
    """
    found = []
    for event in events:
        kind = event.type.value if isinstance(event, Event) else event.event_type
        if event.phase != Phase.OPENED or EventType(kind).source == "SYSTEM":
            continue
        ts_ms = event.ts_ms if isinstance(event, Event) else utc_ms(event.timestamp)
        on = _measured_on(event, symbols)
        found.append(Onset(kind, variant_of(kind, event.data), event.symbol, on, ts_ms))
    return sorted(found, key=lambda onset: onset.ts_ms)


def _measured_on(event: Event | EventBody, symbols: Sequence[str]) -> tuple[str, ...]:
    if event.symbol == MARKET:
        return tuple(symbols)
    of_pair = event.data.get("symbols", ())
    named = (event.symbol, *(of_pair if isinstance(of_pair, list | tuple) else ()))
    return tuple(symbol for symbol in symbols if symbol in named)


def score(
    events: Sequence[Onset],
    series: Mapping[str, Series],
    *,
    source: str,
    settings: str,
    from_ms: int,
    to_ms: int,
    progress: Progress = lambda _done, _of: None,
) -> ScoreTable:
    """Measure what followed each kind of event against matched times without one.

    settings: what the events came from, in words. Series may begin before `from_ms`, for the volatility state; times
    before it are compared with nothing. Nothing after `to_ms` is looked at.
    """
    measured = _Measured(series, from_ms, to_ms)
    kept = [event for event in events if from_ms <= event.ts_ms < to_ms and event.symbols]
    cells: list[tuple[tuple[str, str, str], Effect]] = []
    kinds = sorted({event.event_type for event in kept})
    for done, kind in enumerate(kinds):
        progress(done, len(kinds))
        cells += measured.effects([event for event in kept if event.event_type == kind])
    progress(len(kinds), len(kinds))
    counts = _counts(kept)
    return ScoreTable(
        source=source,
        symbols=sorted(series),
        from_ms=from_ms,
        to_ms=to_ms,
        settings=settings,
        events=len(kept),
        groups=_groups(_corrected(cells), counts),
        method={"resamples": RESAMPLES, "seed": SEED, "horizons_hours": list(HORIZONS_H)},
    )


def _counts(events: Sequence[Onset]) -> Mapping[tuple[str, str, str], int]:
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for event in events:
        for symbol in {POOLED, event.symbol}:
            counts[event.event_type, event.variant, symbol] += 1
    return counts


def _corrected(
    cells: Sequence[tuple[tuple[str, str, str], Effect]],
) -> list[tuple[tuple[str, str, str], Effect]]:
    """With the q-value of each p-value, over the whole table."""
    tested = [place for place, (_, effect) in enumerate(cells) if effect.p is not None]
    q_values = false_discovery_rates([cells[place][1].p or 0.0 for place in tested])
    known = dict(zip(tested, q_values.tolist(), strict=True))
    return [
        (key, msgspec.structs.replace(effect, q=_digits(known[place])) if place in known else effect)
        for place, (key, effect) in enumerate(cells)
    ]


def _groups(
    cells: Iterable[tuple[tuple[str, str, str], Effect]], counts: Mapping[tuple[str, str, str], int]
) -> list[Group]:
    effects: dict[tuple[str, str, str], list[Effect]] = {key: [] for key in counts}
    for key, effect in cells:
        effects[key].append(effect)
    return [
        Group(event_type=key[0], variant=key[1], symbol=key[2], events=counts[key], effects=found)
        for key, found in sorted(effects.items())
    ]


class _Observed(msgspec.Struct, frozen=True):
    """An event as seen at one symbol: which event, where its outcome begins, and in which week and stratum."""

    event: int
    symbol: str
    place: int
    week: int


class _Measured:
    """Outcomes of every hour of the series, computed once."""

    def __init__(self, series: Mapping[str, Series], from_ms: int, to_ms: int) -> None:
        self._series = {symbol: _until(known, to_ms) for symbol, known in series.items()}
        self._calendars = {symbol: Calendar(known) for symbol, known in self._series.items()}
        self._from_ms = from_ms
        weeks = [
            self._calendars[symbol].week[max(0, known.place(from_ms)) :]
            for symbol, known in self._series.items()
        ]
        joined = np.concatenate(weeks) if weeks else np.empty(0, dtype=np.int64)
        self._draws = Draws(joined, resamples=RESAMPLES, seed=SEED)

    def effects(self, events: Sequence[Onset]) -> list[tuple[tuple[str, str, str], Effect]]:
        """All cells of one type of event."""
        observed = self._observed(events)
        groups: dict[tuple[str, str, str], list[_Observed]] = defaultdict(list)
        for item in observed:
            event = events[item.event]
            for symbol in {POOLED, event.symbol}:
                groups[event.event_type, event.variant, symbol].append(item)
        cells = []
        for outcome in OUTCOMES:
            for hours in HORIZONS_H:
                cell = _Cell(self, outcome, hours, observed)
                cells += [(key, cell.effect(items)) for key, items in groups.items()]
        return cells

    def _observed(self, events: Sequence[Onset]) -> list[_Observed]:
        found = []
        for number, event in enumerate(events):
            for symbol in event.symbols:
                series = self._series.get(symbol)
                if series is not None:
                    place = start_place(series, event.ts_ms)
                    inside = min(max(place, 0), series.hours - 1)
                    week = int(self._calendars[symbol].week[inside]) if series.hours else 0
                    found.append(_Observed(number, symbol, place, week))
        return found

    def first(self, symbol: str) -> int:
        """The first hour that others are compared with."""
        return max(0, self._series[symbol].place(self._from_ms))

    def of(self, symbol: str) -> tuple[Series, Calendar]:
        """A symbol's series and calendar."""
        return self._series[symbol], self._calendars[symbol]

    @property
    def draws(self) -> Draws:
        """How often each week is drawn."""
        return self._draws


class _Cell:
    """One outcome at one horizon, for all groups of one type of event."""

    def __init__(
        self, measured: _Measured, outcome: Outcome, hours: int, observed: Sequence[_Observed]
    ) -> None:
        self._outcome = outcome
        self._hours = hours
        self._draws = measured.draws
        self._measured = measured
        self._values: dict[str, FloatArray] = {}
        self._strata: dict[str, IntArray] = {}
        self._matches: dict[str, Matches] = {}
        self._shares: list[float] = []
        for symbol in sorted({item.symbol for item in observed}):
            self._match(symbol, [item.place for item in observed if item.symbol == symbol])

    @property
    def _free(self) -> float:
        """Share of the hours of all these symbols in which no outcome is being measured."""
        return round(sum(self._shares) / len(self._shares), 4) if self._shares else 1.0

    def _match(self, symbol: str, places: Sequence[int]) -> None:
        """Sum up the hours without an event, by the strata that events of this symbol are in."""
        series, calendar = self._measured.of(symbol)
        values = self._outcome.measure(series, self._hours)
        free = ~is_aftermath(series.hours, places, self._hours)
        free[: self._measured.first(symbol)] = False
        self._shares.append(float(free.sum()) / max(series.hours - self._measured.first(symbol), 1))
        inside = np.array([place for place in places if 0 <= place < series.hours], dtype=np.int64)
        exact, wide = calendar.exact[inside], calendar.wide[inside]
        usable = np.flatnonzero(free & np.isfinite(values) & (calendar.exact >= 0))
        found = match(
            self._draws,
            np.concatenate([calendar.exact[usable], calendar.wide[usable]]),
            np.concatenate([calendar.week[usable]] * 2),
            np.concatenate([values[usable]] * 2),
            np.concatenate([exact, wide]),
        )
        strata = np.full(series.hours, -1, dtype=np.int64)
        strata[inside] = _chosen(found, exact, wide)
        self._values[symbol], self._strata[symbol], self._matches[symbol] = values, strata, found

    def effect(self, items: Sequence[_Observed]) -> Effect:
        """What followed the events of one group."""
        used, lost = self._sort(items)
        values = np.array([self._values[item.symbol][item.place] for item in used])
        weeks = np.array([item.week for item in used], dtype=np.int64)
        usual = [self._usual(item) for item in used]
        found = None
        if used:
            is_ratio = self._outcome.scale == "ratio" and not self._outcome.is_log
            found = estimate(self._draws, values, weeks, np.stack(usual, axis=1), is_ratio=is_ratio)
        measured = Effect(
            outcome=self._outcome.name,
            horizon_hours=self._hours,
            scale=self._outcome.scale,
            n=len({item.event for item in used}),
            weeks=int(effective_weeks(weeks)),
            truncated=lost["truncated"],
            unmatched=lost["unmatched"],
            missing=lost["missing"],
            free=self._free,
        )
        return self._with_numbers(measured, values, [float(column[0]) for column in usual], found)

    def _sort(self, items: Sequence[_Observed]) -> tuple[list[_Observed], dict[str, int]]:
        """Those that can be measured, and how many events cannot, by why."""
        used: list[_Observed] = []
        lost: dict[str, set[int]] = {"truncated": set(), "unmatched": set(), "missing": set()}
        for item in items:
            series, _ = self._measured.of(item.symbol)
            if item.place + self._hours > series.hours:
                lost["truncated"].add(item.event)
            elif item.place < 0 or not np.isfinite(self._values[item.symbol][item.place]):
                lost["missing"].add(item.event)
            elif self._strata[item.symbol][item.place] < 0:
                lost["unmatched"].add(item.event)
            else:
                used.append(item)
        measured = {item.event for item in used}
        return used, {why: len(events - measured) for why, events in lost.items()}

    def _usual(self, item: _Observed) -> FloatArray:
        """Mean at the times like this event, in what was and in each resample."""
        matches = self._matches[item.symbol]
        stratum = self._strata[item.symbol][item.place : item.place + 1]
        return matches.means[:, matches.columns(stratum)[0]]

    def _with_numbers(
        self, effect: Effect, values: FloatArray, usual: Sequence[float], found: Estimate | None
    ) -> Effect:
        """Numbers as they are shown: ratios, not their logarithms."""
        if not len(values):
            return effect
        plain = np.exp if self._outcome.is_log else np.asarray
        shown = msgspec.structs.replace(
            effect,
            median=_digits(float(plain(np.median(values)))),
            usual=_digits(float(plain(np.mean(usual)))),
        )
        if found is None:
            return shown
        scale = np.exp if self._outcome.scale == "ratio" else np.asarray
        middle, low, high = (_digits(float(scale(v))) for v in (found.effect, found.low, found.high))
        return msgspec.structs.replace(shown, effect=middle, ci=(low, high), p=_digits(found.p))


def _chosen(found: Matches, exact: IntArray, wide: IntArray) -> IntArray:
    """The exact stratum where it has times enough, else the wide one, else -1."""
    chosen = np.full(len(exact), -1, dtype=np.int64)
    for strata in (wide, exact):
        columns = found.columns(strata)
        enough = (columns >= 0) & (found.counts[np.maximum(columns, 0)] >= LEAST_MATCHES) & (strata >= 0)
        chosen = np.where(enough, strata, chosen)
    return chosen


def _until(series: Series, to_ms: int) -> Series:
    """Without the hours that end after a time."""
    hours = max(0, min(series.hours, series.place(to_ms)))
    fields = ("open", "high", "low", "close", "funding", "liquidated_usd", "seen_usd")
    return msgspec.structs.replace(series, **{name: getattr(series, name)[:hours] for name in fields})


def _digits(value: float) -> float:
    """Five significant digits: what follows is noise, and the table is stored and sent."""
    return float(f"{value:.5g}")

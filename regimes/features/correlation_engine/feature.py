"""The correlation engine as the feature that the service runs."""

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np

from regimes.events import Event
from regimes.features.base import (
    NEVER_DUE,
    NOTHING,
    FeatureSettings,
    Need,
    Output,
    Reading,
    Snapshot,
    Universe,
)
from regimes.features.correlation_engine.breaks import Breaks
from regimes.features.correlation_engine.large import ANCHOR_HOURS, LargeMarket
from regimes.features.correlation_engine.leaders import TESTED_SYMBOLS, Leaders
from regimes.features.correlation_engine.market import Market, SmallMarket
from regimes.features.correlation_engine.minutes import WINDOW_MINUTES, Minutes
from regimes.features.correlation_engine.pairs import PANEL_HOURS, Pairs
from regimes.features.correlation_engine.reading import Labels
from regimes.features.correlation_engine.screen import may_break
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.features.correlation_engine.views import SHOWN_SYMBOLS, Views
from regimes.features.correlation_engine.watch import Watch
from regimes.features.foresight import Hours
from regimes.features.hourly import CATCH_UP_HOURS
from regimes.maths.correlation import FloatArray
from regimes.observations import Candle, Observation, Tick, Unavailable
from regimes.timeframe import HOUR_MS, MINUTE_MS
from regimes.windows.panel import NEVER, ReturnPanel

ALIVE_HOURS: Final = 24
"""A symbol without a bar for so long is not waited for."""
WATCHED_SYMBOLS: Final = 16
"""Where there are too many pairs to list, those of the first so many symbols are tested one by one."""
FEW_LATE_BARS: Final = 48
"""So many late bars are left out of the sequential test; more are a history, with which it begins anew."""


class CorrelationEngine:
    """How symbols move together, which pairs have broken from their normal, and who moves first.

    Bars of one hour come symbol by symbol. They wait until every symbol that had a bar in the last 24 hours
    has delivered, or `grace_seconds` have passed, or a newer hour comes; then the hour is computed once. Bars
    that come later still are put in with the next Tick, and the newest hour is computed again.
    """

    name: ClassVar[str] = "correlation_engine"
    section: ClassVar[str] = "correlation"
    package_key: ClassVar[str] = "correlations"
    settings_type: ClassVar[type[FeatureSettings]] = CorrelationSettings
    wants: ClassVar[frozenset[type[Observation]]] = frozenset({Candle, Tick, Unavailable})
    tells_at_tick: ClassVar[bool] = False

    def __init__(self, settings: CorrelationSettings, universe: Universe) -> None:
        self._settings = settings
        self._rows = {symbol: row for row, symbol in enumerate(universe.symbols)}
        labels = Labels.of(universe.symbols)
        rows = len(universe.symbols)
        self._panel = ReturnPanel(rows, PANEL_HOURS, spare=ANCHOR_HOURS)
        self._watch = Watch(self._panel, rows if rows <= SHOWN_SYMBOLS else WATCHED_SYMBOLS)
        self._market: Market = SmallMarket(rows) if rows <= SHOWN_SYMBOLS else LargeMarket(rows)
        self._breaks = Breaks(settings, labels)
        self._leaders = Leaders(settings, labels)
        self._minutes = Minutes(TESTED_SYMBOLS) if settings.leadership_bars == "1m" else None
        self._views = Views(labels)
        self._waiting: list[tuple[int, int, float]] = []
        self._forming = NEVER
        """The newest hour that has bars waiting and has not been computed."""
        self._awaited: set[int] = set()
        self.quiet = False
        self._unavailable: dict[str, str] = {}
        self._now_ms = 0
        self._behind = False
        """Whether hours of history were put in and not computed."""
        self._changed = True
        self._unseen: Pairs | None = self._pairs()
        """Numbers of the newest hour that no reading has been made from yet."""

    def warmup(self) -> Sequence[Need]:
        """The 7 days and the 30 days before them, in hourly closes; and the minutes in which a leader is looked for."""
        hours = Need("candle", (PANEL_HOURS + 1) * HOUR_MS, "1h")
        if self._minutes is None:
            return [hours]
        return [hours, Need("candle", WINDOW_MINUTES * MINUTE_MS, "1m", TESTED_SYMBOLS)]

    def update(self, observation: Observation) -> Output:
        """Take a bar, a Tick, or word that a symbol has no candles."""
        if isinstance(observation, Candle):
            if observation.closed and observation.timeframe == "1h":
                return self._on_candle(observation)
            self._on_minute(observation)
            return NOTHING
        if isinstance(observation, Tick):
            return self._on_tick(observation.ts_ms)
        if isinstance(observation, Unavailable) and observation.kind == "candle":
            return self._on_unavailable(observation)
        return NOTHING

    def due_ms(self) -> int:
        """At once for what has not been computed; for an hour that lacks bars, when the grace is over."""
        if self._forming != NEVER:
            return self._patient_until_ms()
        return 0 if self._waiting or self._behind else NEVER_DUE

    def awaits(self, hour_ms: int) -> bool:
        """Whether every symbol is computed up to the hour before, and time is not past the end of this one.

        Never where minutes come in between, or there are too many pairs to compute them all.
        """
        if self._minutes is not None or not isinstance(self._market, SmallMarket):
            return False
        idle = self._forming == NEVER and not (self._waiting or self._behind)
        whole = bool((self._panel.newest == hour_ms // HOUR_MS - 1).all())
        return idle and whole and self._now_ms <= hour_ms + HOUR_MS

    def foresee(self, hours: Hours) -> list[list[Event]] | None:
        """Compute these hours as their last bars would; all numbers only of those in which a pair may move."""
        market, count = self._market, len(hours.open_ms)
        if not isinstance(market, SmallMarket):
            return None
        batch = hours.batch()
        opens = (batch.open_ms // HOUR_MS).tolist()
        self._panel.put(zip(batch.rows.tolist(), opens, batch.close.tolist(), strict=True))
        returns = self._panel.returns(PANEL_HOURS + count - 1)
        may = may_break(returns, count, *market.candidates(self._settings), self._settings).tolist()
        events = []
        for place, hour_ms in enumerate(hours.open_ms):
            self._now_ms, ago = hour_ms + HOUR_MS, count - 1 - place
            is_asked = may[place] or bool(self._breaks.open) or not ago
            if is_asked:
                market.advance(self._panel, ago=ago)
            events.append(self._search(hour_ms // HOUR_MS, breaks=is_asked))
        self._changed = True
        return events

    def readings(self) -> Sequence[Reading]:
        """One for each symbol, and one for the market, as of the last computed hour and the last Tick."""
        return self._seen().readings(self._now_ms)

    def matrix(self) -> FloatArray:
        """The 7-day correlation of each symbol with each, in the order of the universe; NaN where unknown."""
        return self._market.matrix().copy()

    def snapshot(self) -> Snapshot:
        """The closes, the bars that wait, the open breaks, the leader."""
        return {**self.passing(), "panel": self._panel.snapshot()}

    def passing(self) -> Snapshot:
        """All but the closes: even a Tick after which nothing is told may let go of bars that waited."""
        return {
            "waiting": [list(bar) for bar in self._waiting],
            "forming": self._forming,
            "awaited": sorted(self._awaited),
            "unavailable": dict(self._unavailable),
            "now_ms": self._now_ms,
            "changed": self._changed,
            "behind": self._behind,
            "stale_from_ms": self._seen().next_stale_ms,
            "breaks": self._breaks.snapshot(),
            "leaders": self._leaders.snapshot(),
            "watch": self._watch.snapshot(),
            **({} if self._minutes is None else self._minutes.snapshot()),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Take back a snapshot; the correlations are computed again from its closes."""
        self._panel.restore(snapshot["panel"])
        self._waiting = [(row, hour, close) for row, hour, close in snapshot["waiting"]]
        self._forming = snapshot["forming"]
        self._awaited = set(snapshot["awaited"])
        self._unavailable = dict(snapshot["unavailable"])
        self._now_ms, self._changed = snapshot["now_ms"], snapshot["changed"]
        self._behind = snapshot["behind"]
        self._breaks.restore(snapshot["breaks"])
        self._leaders.restore(snapshot["leaders"])
        self._watch.restore(snapshot["watch"])
        if self._minutes is not None:
            self._minutes.restore(snapshot)
        if self._panel.head != NEVER:
            self._market.advance(self._panel, rebuild=True)
        self._views.declare_unavailable(self._unavailable)
        self._unseen = self._pairs()
        self._seen().next_stale_ms = snapshot["stale_from_ms"]

    def _on_candle(self, candle: Candle) -> Output:
        row = self._rows.get(candle.symbol)
        if row is None:
            return NOTHING
        hour = candle.open_ms // HOUR_MS
        closed_ms = candle.open_ms + HOUR_MS
        self._now_ms = max(self._now_ms, closed_ms)
        events: list[Event] = []
        if self._forming != NEVER and hour > self._forming:
            events += self._put_in()
        if hour > self._panel.head and self._forming == NEVER:
            self._forming, self._awaited = hour, self._alive_at(hour)
        self._waiting.append((row, hour, candle.close))
        if hour == self._forming:
            self._awaited.discard(row)
            if not self._awaited:
                events += self._put_in()
        return self._said(events)

    def _on_minute(self, candle: Candle) -> None:
        row = self._rows.get(candle.symbol, TESTED_SYMBOLS)
        if self._minutes is not None and row < TESTED_SYMBOLS and candle.closed and candle.timeframe == "1m":
            self._minutes.put(row, candle)

    def _on_tick(self, ts_ms: int) -> Output:
        self._now_ms = max(self._now_ms, ts_ms)
        events: list[Event] = []
        waits = self._forming != NEVER and self._now_ms < self._patient_until_ms()
        if (self._waiting or self._behind) and not waits:
            events = self._put_in(all_of_it=True)
        if self.quiet:
            return Output(events=events) if events else NOTHING
        turned_stale = self._seen().turned_stale(self._now_ms)
        if not (self._changed or turned_stale):
            return NOTHING
        self._changed = False
        return Output(self.readings(), events)

    def _patient_until_ms(self) -> int:
        """How long the hour that forms may wait for its last bars."""
        return (self._forming + 1) * HOUR_MS + self._settings.grace_seconds * 1000

    def _on_unavailable(self, word: Unavailable) -> Output:
        for symbol in self._rows if word.symbol is None else [word.symbol]:
            if symbol in self._rows:
                self._unavailable[symbol] = word.reason
        self._views.declare_unavailable(self._unavailable)
        self._changed = True
        return NOTHING

    def _alive_at(self, hour: int) -> set[int]:
        """The rows whose bar of this hour is worth waiting for; before the first hour, all."""
        if self._panel.head == NEVER:
            return {row for symbol, row in self._rows.items() if symbol not in self._unavailable}
        return set(np.flatnonzero(self._panel.newest >= hour - ALIVE_HOURS).tolist())

    def _put_in(self, *, all_of_it: bool = False) -> list[Event]:
        """Put in what waits and step everything to the newest hour; all_of_it: even if that is long past."""
        before = self._panel.head
        late = sum(hour <= before for _, hour, _ in self._waiting)
        new = self._panel.put(self._waiting)
        self._waiting.clear()
        self._forming = NEVER
        if not (new or self._behind):
            return []
        is_history = self._panel.head * HOUR_MS < self._now_ms - CATCH_UP_HOURS * HOUR_MS
        if is_history and not all_of_it:
            self._behind = True
            return []
        rebuild, self._behind = late > 0 or self._behind, False
        if late > FEW_LATE_BARS:
            self._watch.forget()
        return self._compute(rebuild=rebuild)

    def _compute(self, *, rebuild: bool) -> list[Event]:
        """Correlations, breaks and leader as of the panel's newest hour."""
        self._changed = True
        self._market.advance(self._panel, rebuild=rebuild)
        if not self.quiet:
            self._watch.advance()
        return self._search(self._panel.head)

    def _search(self, hour: int, *, breaks: bool = True) -> list[Event]:
        """Breaks, if they are asked for, and a leader, as of an hour to which the market is advanced."""
        at_ms, events = (hour + 1) * HOUR_MS, list[Event]()
        if breaks:
            self._unseen = self._pairs()
            events += self._breaks.step(self._unseen, at_ms, self._now_ms)
        if self._leaders.due(hour):
            events += self._look_for_leader(hour, at_ms)
        return events

    def _look_for_leader(self, hour: int, at_ms: int) -> list[Event]:
        if self._minutes is None:
            window = self._panel.returns(self._settings.leadership_window_hours, ago=self._panel.head - hour)
            return self._leaders.search(window, hour, at_ms, self._now_ms)
        # Not the minutes of the hour that has just closed, as some of them may still be on their way.
        prices = self._minutes.window(at_ms - HOUR_MS)
        return self._leaders.search_minutes(prices, hour, at_ms, self._now_ms)

    def _pairs(self) -> Pairs:
        """Numbers of all pairs in a small universe, else of those that are broken or may be."""
        rows, columns = self._market.candidates(self._settings)
        if self._views.shows_all:
            return self._market.pairs(rows, columns)
        asked = {*zip(rows.tolist(), columns.tolist(), strict=True), *self._breaks.open}
        ordered = np.array(sorted(asked), dtype=np.int64).reshape(-1, 2)
        return self._market.pairs(ordered[:, 0], ordered[:, 1])

    def _seen(self) -> Views:
        """The views, brought to the newest hour; in a long history nobody looks at every hour."""
        if self._behind:
            self._market.advance(self._panel, rebuild=True)
            self._unseen = self._pairs()
        if self._unseen is not None:
            pairs, self._unseen = self._unseen, None
            self._views.look(
                self._panel, self._market, pairs, self._breaks, self._leaders.names(), self._watch.found()
            )
        return self._views

    def _said(self, events: Sequence[Event]) -> Output:
        """Events leave at once, with the readings of their symbols and of the market."""
        if not events or self.quiet:
            return Output(events=events) if events else NOTHING
        rows = {self._rows[symbol] for event in events for symbol in event.data.get("symbols", ())}
        views = self._seen()
        return Output(views.readings(self._now_ms, sorted(rows)), events)

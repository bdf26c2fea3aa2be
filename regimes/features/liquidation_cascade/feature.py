from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from regimes.events import Event, Phase, Severity
from regimes.features.base import NOTHING, Feature, Need, Output, Reading, Snapshot, Status, Universe
from regimes.features.deferred import Deferred
from regimes.features.liquidation_cascade import words
from regimes.features.liquidation_cascade.levels import Levels
from regimes.features.liquidation_cascade.reading import (
    CascadeReading,
    Dominance,
    MarketCascadeReading,
    SymbolCascadeReading,
)
from regimes.features.liquidation_cascade.rules import Rules
from regimes.features.liquidation_cascade.settings import CascadeSettings
from regimes.features.liquidation_cascade.tracker import Tracker
from regimes.features.pieces import Pieces
from regimes.maths import cascade
from regimes.maths.burst import Seen
from regimes.maths.hawkes import Chains
from regimes.maths.zones import Zone
from regimes.observations import (
    MARKET,
    BookDepth,
    FeedGap,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Tick,
    Unavailable,
)
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from regimes.windows.coverage import Coverage, View
from regimes.windows.events import LARGEST_CENTS, to_cents

_THROTTLED: Final = ("binance", "okx")
"""Venues that publish at most one liquidation a symbol a second."""


_WATCHED_SHARE: Final = 0.9
"""Of an hour, for it to count among those a cascade is compared with."""


class LiquidationCascade(Feature):
    """Liquidation cascades of every configured symbol, and of the market (`ALL`), which counts every symbol.

    It says what is happening and how severe it is, not where the price will go.
    """

    name: ClassVar[str] = "liquidation_cascade"
    section: ClassVar[str] = "liquidation"
    package_key: ClassVar[str] = "cascades"
    settings_type = CascadeSettings
    wants: ClassVar[frozenset[type[Observation]]] = frozenset(
        {Liquidation, Tick, FeedGap, Unavailable, MarkPrice, OpenInterest, BookDepth}
    )

    def __init__(self, settings: CascadeSettings, universe: Universe) -> None:
        self.quiet = False
        self._settings = settings
        rules = Rules.of(settings)
        self._trackers = {
            symbol: Tracker(symbol, rules, settings.symbol_capacity) for symbol in universe.symbols
        }
        self._levels = {symbol: Levels(settings) for symbol in universe.symbols}
        market = Rules.of(settings, settings.market_multiple)
        self._market = Tracker(MARKET, market, settings.market_capacity)
        self._coverage = Coverage(DAY_MS, frozenset(universe.symbols), MARKET)
        self._now_ms = 0
        self._hour = 0
        self.refused = 0
        """Liquidations larger than any could be."""

    def warmup(self) -> Sequence[Need]:
        """No venue has a history of liquidations."""
        return ()

    def update(self, observation: Observation) -> Output:
        """Take one observation; a liquidation is evaluated at once."""
        match observation:
            case Liquidation():
                return self._liquidated(observation)
            case Tick():
                return self._tick(observation)
            case MarkPrice() if levels := self._levels.get(observation.symbol):
                levels.marked(observation)
            case BookDepth() if levels := self._levels.get(observation.symbol):
                self._trackers[observation.symbol].untold |= levels.quoted(observation)
            case OpenInterest() if levels := self._levels.get(observation.symbol):
                levels.held(observation)
                self._trackers[observation.symbol].untold = True
            case FeedGap(kind="liquidation"):
                self._pass_over(observation)
                self._coverage.gap(
                    observation.venue, observation.symbol, observation.from_ms, observation.to_ms
                )
                self._all_dirty()
            case Unavailable(kind="liquidation"):
                self._coverage.lacks(observation.venue, observation.symbol)
                self._all_dirty()
        return NOTHING

    def due_ms(self) -> int:
        """At the end of the hour; earlier where a cascade, or its aftermath, may end."""
        due_ms = (self._hour + 1) * HOUR_MS
        for tracker in self._everyone():
            if not tracker.is_idle:
                blind = self._coverage.view(tracker.symbol, self._now_ms).blind
                due_ms = min(due_ms, tracker.moves_ms(blind=blind))
        return due_ms

    def readings(self) -> Sequence[Reading]:
        """One for each configured symbol, and the market's last."""
        return self._deferred([(tracker, self._facts(tracker)) for tracker in self._everyone()])

    def snapshot(self) -> Snapshot:
        """All state."""
        return {
            **self.gist(),
            "trackers": {tracker.symbol: tracker.snapshot() for tracker in self._everyone()},
            "levels": {symbol: levels.snapshot() for symbol, levels in self._levels.items()},
        }

    def gist(self) -> Snapshot:
        """All state but the windows, the prices and the books."""
        return {
            "now_ms": self._now_ms,
            "refused": self.refused,
            "hour": self._hour,
            "coverage": self._coverage.snapshot(),
            "trackers": {tracker.symbol: tracker.gist() for tracker in self._everyone()},
            "baselines": Pieces({tracker.symbol: tracker.baseline.past() for tracker in self._everyone()}),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Take back a snapshot; symbols configured since begin empty, others are let go."""
        self._now_ms, self.refused = snapshot["now_ms"], snapshot["refused"]
        self._hour = snapshot["hour"]
        self._coverage.restore(snapshot["coverage"])
        for tracker in self._everyone():
            if tracker.symbol in snapshot["trackers"]:
                tracker.restore(snapshot["trackers"][tracker.symbol], snapshot["baselines"][tracker.symbol])
        for symbol, saved in snapshot.get("levels", {}).items():
            if symbol in self._levels:
                self._levels[symbol].restore(saved)

    def _everyone(self) -> list[Tracker]:
        return [*self._trackers.values(), self._market]

    def _all_dirty(self) -> None:
        for tracker in self._everyone():
            tracker.dirty = True

    def _pass_over(self, gap: FeedGap) -> None:
        """What was not seen is no silence for those that were watched before."""
        if gap.to_ms is not None:
            for tracker in self._everyone():
                if gap.symbol in {None, tracker.symbol}:
                    tracker.burst.pass_over(gap.from_ms, gap.to_ms)

    def _liquidated(self, liquidation: Liquidation) -> Output:
        ts_ms, is_long = liquidation.ts_ms, liquidation.closed == "long"
        cents = to_cents(liquidation.quote_usd)
        if cents > LARGEST_CENTS:
            self.refused += 1
            return NOTHING
        if ts_ms > self._now_ms:  # noqa: PLR1730 (max takes twice as long, for each liquidation)
            self._now_ms = ts_ms
        if liquidation.venue not in self._coverage.venues:
            self._coverage.seen(liquidation.venue)
        tracker = self._trackers.get(liquidation.symbol)
        symbol_moves = False
        if tracker is not None:
            symbol_moves = tracker.add(ts_ms, cents, is_long=is_long)
            self._levels[liquidation.symbol].liquidated(ts_ms, liquidation.fill_price, liquidation.quote_usd)
        market_moves = self._market.add(ts_ms, cents, is_long=is_long)
        if not (symbol_moves or market_moves):
            return NOTHING
        moving = [tracker] if tracker is not None and symbol_moves else []
        events = [
            (t, event) for t in [*moving, self._market] if (event := self._step(t, is_tick=False)) is not None
        ]
        told = [] if self.quiet else [(t, self._facts(t)) for t, _ in events]
        return Output(self._deferred(told) if told else (), [event for _, event in events])

    def _tick(self, tick: Tick) -> Output:
        self._coverage.begin(tick.ts_ms)
        before_ms, self._now_ms = self._now_ms, max(self._now_ms, tick.ts_ms)
        self._close_hour()
        if self._now_ms // MINUTE_MS != before_ms // MINUTE_MS:
            self._coverage.expire(self._now_ms)
            for tracker in self._everyone():
                tracker.untold |= tracker.burst.alarm or tracker.status is not Status.OK
        if not self.quiet:
            self._refresh_zones()
        told, events = [], []
        for tracker in self._everyone():
            if self.quiet and tracker.is_idle and not len(tracker.window):
                continue
            moves = tracker.dirty or tracker.is_due(self._now_ms)
            if not (moves or tracker.untold):
                continue
            if moves and (event := self._step(tracker, is_tick=True)) is not None:
                events.append(event)
            tracker.dirty = tracker.untold = False
            view = self._coverage.view(tracker.symbol, self._now_ms)
            tracker.status = self._status(tracker.symbol, view)[0]
            told += [] if self.quiet else [(tracker, self._facts(tracker))]
        return Output(self._deferred(told) if told else [], events)

    def _deferred(self, told: Sequence[tuple[Tracker, "_Facts"]]) -> Deferred:
        symbols = [tracker.symbol for tracker, _ in told]
        return Deferred(self.name, symbols, lambda place: self._reading(*told[place]))

    def _close_hour(self) -> None:
        """Once an hour has ended, let each symbol know whether it was watched."""
        hour = self._now_ms // HOUR_MS
        if hour == self._hour:
            return
        self._hour = hour
        start_ms, end_ms = (hour - 1) * HOUR_MS, hour * HOUR_MS
        for tracker in self._everyone():
            share = self._coverage.observed_share(tracker.symbol, start_ms, end_ms)
            tracker.close_hour(hour - 1, watched=share >= _WATCHED_SHARE)

    def _refresh_zones(self) -> None:
        for symbol, levels in self._levels.items():
            if levels.due(self._now_ms):
                levels.refresh(self._now_ms)
                self._trackers[symbol].untold = True

    def _step(self, tracker: Tracker, *, is_tick: bool) -> Event | None:
        def make(phase: Phase, started_ms: int, revision: int) -> Event:
            if levels := self._levels.get(tracker.symbol):
                levels.refresh(self._now_ms)
            reading = self._reading(tracker, self._facts(tracker))
            return words.event(tracker, reading, self._now_ms, phase, started_ms, revision)

        blind = self._coverage.view(tracker.symbol, self._now_ms).blind
        event = tracker.step(self._now_ms, make, blind=blind, is_tick=is_tick)
        if event is not None:
            self._market.untold = True
        return event

    def _facts(self, tracker: Tracker) -> "_Facts":
        """All that a reading follows from, as it is now."""
        window, levels = tracker.window, self._levels.get(tracker.symbol)
        sums = window.sums()
        return _Facts(
            self._now_ms,
            self._coverage.view(tracker.symbol, self._now_ms),
            window.newest_ms,
            sums,
            window.long_cents(),
            len(window),
            window.largest_cents(),
            window.dropped,
            tracker.severity_relative(sums),
            tracker.episode.started_ms,
            *(self._breadths() if levels is None else (0, 0)),
            tracker.burst.seen(self._now_ms),
            None if levels is None else tracker.chains.at(self._now_ms, window),
            levels.open_interest_usd(self._now_ms) if levels is not None else 0.0,
            levels.around() if levels is not None else None,
        )

    def _breadths(self) -> tuple[int, int]:
        """How many configured symbols have an episode open, and how many are in a burst."""
        trackers, now_ms = self._trackers.values(), self._now_ms
        bursts = sum(t.burst.alarm and t.burst.evidence_at(now_ms) > 0.0 for t in trackers)
        return sum(tracker.episode.is_open for tracker in trackers), bursts

    def _reading(self, tracker: Tracker, facts: "_Facts") -> CascadeReading:
        observed_ms = facts.view.observed_ms
        status, detail = self._status(tracker.symbol, facts.view)
        header: dict[str, Any] = {
            "feature": self.name,
            "symbol": tracker.symbol,
            "status": status,
            "as_of_ms": facts.newest_ms,
            "n": observed_ms // MINUTE_MS,
            "needed": self._settings.minutes_needed,
            "coverage": observed_ms / DAY_MS,
            "detail": detail,
        }
        known = status is not Status.UNAVAILABLE and (observed_ms > 0 or facts.events > 0)
        numbers = _numbers(tracker.rules, facts) if known else {}
        if facts.zones is None:
            return MarketCascadeReading(
                **header, **numbers, breadth=facts.breadth, burst_breadth=facts.burst_breadth
            )
        support, resistance = facts.zones()
        interest_usd, total_usd = facts.open_interest_usd, numbers.get("total_liquidation_usd")
        share = total_usd / interest_usd if total_usd is not None and interest_usd > 0 else None
        return SymbolCascadeReading(
            **header,
            **numbers,
            liquidated_share_of_open_interest=share,
            support_levels=tuple(zone.price for zone in support),
            resistance_levels=tuple(zone.price for zone in resistance),
            support_zones=tuple(support),
            resistance_zones=tuple(resistance),
        )

    def _status(self, symbol: str, view: View) -> tuple[Status, str | None]:
        needed = self._settings.minutes_needed
        if not view.available:
            return Status.UNAVAILABLE, f"no venue has liquidations of {symbol}"
        if view.observed_ms < needed * MINUTE_MS:
            return Status.WARMING, f"watched {view.observed_ms // MINUTE_MS} of {needed} min"
        if view.blind:
            return Status.STALE, "the liquidation feed is interrupted"
        return Status.OK, None


class _Facts(NamedTuple):
    """What one symbol's reading follows from, at one moment. zones: support and resistance, None for the market."""

    now_ms: int
    view: View
    newest_ms: int | None
    sums: list[int]
    long_cents: int
    events: int
    largest_cents: int
    dropped: int
    severity_relative: int | None
    started_ms: int | None
    breadth: int
    burst_breadth: int
    burst: Seen | None
    chains: Chains | None
    open_interest_usd: float
    zones: Callable[[], tuple[list[Zone], list[Zone]]] | None


def _numbers(rules: Rules, facts: _Facts) -> dict[str, Any]:
    intensity, *sums = facts.sums
    total, long = sums[-1], facts.long_cents
    severity = rules.severity(sums)
    label = cascade.label(severity)
    throttled = any(venue.startswith(_THROTTLED) for venue in facts.view.venues)
    return {
        "alert_level": Severity[label] if label and severity >= rules.alert_from else None,
        "total_liquidation_usd": total / 100,
        "cascade_detected": severity > 0,
        "velocity_usd_per_hour": cascade.velocity_of(sums),
        "intensity_usd_per_hour": rules.per_hour(intensity),
        "severity": severity,
        "severity_relative": facts.severity_relative,
        "label": label,
        "long_usd": long / 100,
        "short_usd": (total - long) / 100,
        "dominant_side": _dominant(long, total - long),
        "event_count": facts.events,
        "largest_usd": facts.largest_cents / 100,
        "duration_hours": None if facts.started_ms is None else (facts.now_ms - facts.started_ms) / HOUR_MS,
        "is_lower_bound": throttled or facts.view.observed_ms < DAY_MS or facts.dropped > 0,
        "dropped": facts.dropped,
        **_burst(facts.burst),
        **_chains(facts.chains),
    }


def _burst(seen: Seen | None) -> dict[str, Any]:
    if seen is None:
        return {}
    return {
        "burst": seen.burst,
        "burst_since_ms": seen.since_ms,
        "burst_strength": seen.strength,
        "burst_confidence": seen.confidence,
        "branching_ratio": seen.branching_ratio,
    }


def _chains(found: Chains | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"branching_ratio_fitted": found.branching_ratio, "branching_half_life_s": found.half_life_s}


def _dominant(long_cents: int, short_cents: int) -> Dominance | None:
    if long_cents == short_cents:
        return "balanced" if long_cents else None
    return "long" if long_cents > short_cents else "short"

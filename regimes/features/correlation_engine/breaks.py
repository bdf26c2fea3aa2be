"""Which pairs are broken now: each with its latch and its one event."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.correlation_engine.pairs import (
    BREAK,
    NO_BREAK,
    Pairs,
)
from regimes.features.correlation_engine.reading import Labels
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.features.latch import Episode, Latch
from regimes.timeframe import HOUR_MS
from regimes.wording import duration

PairKey = tuple[int, int]
_SEVERITY: Final = {1: Severity.WARNING, 2: Severity.CRITICAL}


class BrokenPair(msgspec.Struct):
    """A pair while its break lasts. peak_change: its largest change so far, either way, either window."""

    latch: Latch
    episode: Episode
    peak_change: float = 0.0


class Breaks:
    """Steps every pair that is broken or breaking from hour to hour.

    A break begins at once when a pair reaches the thresholds, gets worse at once when it becomes critical, and
    ends when it is below `leave_factor` of them (or can no longer be computed) and `min_hours` have passed.
    """

    def __init__(self, settings: CorrelationSettings, labels: Labels) -> None:
        self._settings = settings
        self._labels = labels
        self.open: dict[PairKey, BrokenPair] = {}

    def severity(self, key: PairKey) -> Severity:
        """How much the break of a pair that is broken matters now."""
        return _SEVERITY[self.open[key].latch.level]

    def step(self, pairs: Pairs, at_ms: int, now_ms: int) -> list[Event]:
        """Take the numbers of one hour. pairs: all that are open, and all that may break. at_ms: its close."""
        entered = pairs.levels(self._settings).tolist()
        held = pairs.levels(self._settings, factor=self._settings.leave_factor).tolist()
        events = []
        keys = list(zip(pairs.row.tolist(), pairs.column.tolist(), strict=True))
        strength = pairs.strength.tolist()
        for index in self._in_order(keys, strength, entered):
            key = keys[index]
            broken = self.open.get(key) or self._begin()
            broken.peak_change = max(broken.peak_change, strength[index])
            broken.latch.advance(entered[index], held[index], at_ms)
            event = self._event(key, broken, partial(_facts, pairs, index), at_ms, now_ms)
            if event is not None:
                events.append(event)
            if broken.latch.level == NO_BREAK:
                self.open.pop(key, None)
            else:
                self.open[key] = broken
        return events

    def _in_order(
        self, keys: Sequence[PairKey], strength: Sequence[float], entered: Sequence[int]
    ) -> Iterator[int]:
        """Open pairs first, then new breaks, the largest change first, up to the bound."""
        new = [
            place for place, level in enumerate(entered) if level > NO_BREAK and keys[place] not in self.open
        ]
        yield from [place for place, key in enumerate(keys) if key in self.open]
        for place in sorted(new, key=lambda place: -strength[place]):
            if len(self.open) >= self._settings.max_open_breaks:
                return
            yield place

    def _begin(self) -> BrokenPair:
        return BrokenPair(Latch(dwell_ms=self._settings.min_hours * HOUR_MS), Episode(alert_from=BREAK))

    def _event(
        self, key: PairKey, broken: BrokenPair, numbers: Callable[[], dict[str, Any]], at_ms: int, now_ms: int
    ) -> Event | None:
        level = broken.latch.level
        peak = max(broken.episode.peak, level)

        def make(phase: Phase, started_ms: int, revision: int) -> Event:
            pair, facts = self._labels.pair(*key), numbers()
            title, description = _words(pair, phase, facts, at_ms - started_ms)
            since = {"duration_hours": (at_ms - started_ms) / HOUR_MS, "peak_change": broken.peak_change}
            symbols = [self._labels.symbols[key[0]], self._labels.symbols[key[1]]]
            return Event(
                type=EventType.CORRELATION_BREAK,
                symbol=pair,
                severity=_SEVERITY[peak],
                phase=phase,
                ts_ms=now_ms,
                started_ms=started_ms,
                revision=revision,
                title=title,
                description=description,
                why=self._why(facts, phase),
                data={"pair": pair, "symbols": symbols, **facts, **since},
            )

        return broken.episode.step(level, at_ms, make)

    def _why(self, facts: dict[str, Any], phase: Phase) -> str:
        factor = self._settings.leave_factor if phase is Phase.CLOSED else 1.0
        change, z = self._settings.min_change * factor, self._settings.min_fisher_z * factor
        if phase is Phase.CLOSED:
            return f"no window is left with |change| >= {change:.2f} and |Fisher z| >= {z:.1f}"
        window, tail = _worse_window(facts, change, z)
        return (
            f"{window}: |change| {abs(facts['change' + tail]):.2f} >= {change:.2f} and "
            f"|Fisher z| {abs(facts['fisher_z' + tail]):.1f} >= {z:.1f}"
        )

    def snapshot(self) -> list[Any]:
        """Every open break, in the order in which they began."""
        return [[*key, msgspec.to_builtins(broken)] for key, broken in self.open.items()]

    def restore(self, snapshot: list[Any]) -> None:
        """Take back a snapshot."""
        self.open = {(row, column): msgspec.convert(state, BrokenPair) for row, column, state in snapshot}


def _facts(pairs: Pairs, index: int) -> dict[str, Any]:
    """The numbers of one pair, None where one cannot be computed."""
    values = {name: float(getattr(pairs, name)[index]) for name in pairs._fields[2:]}
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124 (NaN test)


def _worse_window(facts: dict[str, Any], change: float, z: float) -> tuple[str, str]:
    """The window that says it more strongly, among those that fulfil the rule."""
    fulfilled = [
        (abs(facts["change" + tail]), name, tail)
        for name, tail in (("7 d", ""), ("24 h", "_24h"))
        if facts["fisher_z" + tail] is not None
        and abs(facts["change" + tail]) >= change
        and abs(facts["fisher_z" + tail]) >= z
    ]
    _, name, tail = max(fulfilled)
    return name, tail


def _words(pair: str, phase: Phase, facts: dict[str, Any], lasted_ms: int) -> tuple[str, str]:
    now = " and ".join(
        f"{facts['current' + tail]:.2f} over {name} (normally {facts['normal' + tail]:.2f})"
        for name, tail in (("7 d", ""), ("24 h", "_24h"))
        if facts["change" + tail] is not None
    )
    if phase is Phase.CLOSED:
        state = f"it is {now}" if now else "it can no longer be computed, as data are missing"
        lasted = duration(lasted_ms)
        return f"{pair} correlation break is over after {lasted}", f"The correlation of {pair}: {state}."
    verb = "broke" if phase is Phase.OPENED else "break widened"
    return f"{pair} correlation {verb}", f"The hourly returns of {pair} correlate at {now}."

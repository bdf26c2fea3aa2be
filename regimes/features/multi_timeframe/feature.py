"""The regime of every symbol on every timeframe, live."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import msgspec
import numpy as np

from regimes.errors import DataError
from regimes.events import Event, EventType, Phase, Severity
from regimes.features.base import FeatureSettings, Need, Reading, Snapshot, Status, Universe
from regimes.features.hourly import HourlyFeature, Standing, taken
from regimes.features.latch import Episode
from regimes.features.multi_timeframe.frames import NAMES, Frames, Timeframes
from regimes.features.multi_timeframe.reading import (
    Provisional,
    RegimeReading,
    TimeframeReading,
    reading_type,
)
from regimes.features.multi_timeframe.scores import BARS, DEGENERATE, OK, Closing
from regimes.features.multi_timeframe.settings import RegimesSettings
from regimes.maths import persistence_frozen, spot_regime
from regimes.maths.spot_regime import NEUTRAL
from regimes.maths.stats import FloatArray, IntArray, nullable
from regimes.timeframe import HOUR_MS
from regimes.windows.bars import BoolArray
from regimes.windows.inbox import Batch

# Stand in the place of a regime: never had one; had one, and it was left.
_UNKNOWN: Final = 8
_PERSISTENCE: Final = np.array(persistence_frozen.WEIGHTS)
_LEFT: Final = 9
# By rank.
_SEVERITIES: Final = (None, *Severity)


class MultiTimeframe(HourlyFeature):
    """Keeps the regime of every symbol on every timeframe, and one event for each primary regime."""

    name: ClassVar[str] = "multi_timeframe"
    section: ClassVar[str] = "regimes"
    package_key: ClassVar[str] = "regimes"
    settings_type: ClassVar[type[FeatureSettings]] = RegimesSettings

    def __init__(self, settings: RegimesSettings, universe: Universe) -> None:
        super().__init__(universe)
        self._settings = settings
        self._frames = Timeframes(settings, universe.timeframes, len(self._symbols), self._per_symbol)
        self._reading_type = reading_type(universe.timeframes)
        self._regime_keys = [f"regime_{timeframe}" for timeframe in universe.timeframes]
        self._primary: IntArray = self._per_symbol("primary", _UNKNOWN)
        self._agreement: IntArray = self._per_symbol("agreement", 0)
        self._known: IntArray = self._per_symbol("known", 0)
        self._since_ms: IntArray = self._per_symbol("primary_since_ms", -1)
        self._before: IntArray = self._per_symbol("primary_before", _UNKNOWN)
        self._announced: IntArray = self._per_symbol("announced", _UNKNOWN)
        self._alert: IntArray = self._per_symbol("alert", 0)
        self._episodes = [Episode(alert_from=int(Severity.INFO)) for _ in self._symbols]

    def warmup(self) -> Sequence[Need]:
        """Hourly bars for 21 bars of the longest timeframe: 20 whole ones and the part of one on each side."""
        return (Need(kind="candle", span_ms=(BARS + 1) * max(self._frames.steps), timeframe="1h"),)

    def _store(self, batch: Batch) -> BoolArray:
        return self._frames.store(batch)

    def _present(self, hour_ms: int) -> BoolArray:
        return self._frames.present(hour_ms)

    def _judge(self, rows: IntArray, hour_ms: int) -> list[Event]:
        at = self._at(rows)
        self._frames.judge(rows, hour_ms, self._judged_ms[at] == hour_ms)
        if not self.quiet:
            self._frames.look_ahead(rows, hour_ms)
        state, known = self._frames.state[:, at], self._frames.standing[:, at] == OK
        primary, agreement, count = spot_regime.consensus(state, known)
        speaks = count > 0
        if not speaks.all():
            rows, primary, agreement = rows[speaks], primary[speaks], np.where(speaks, agreement, 0)
        self._agreement[at], self._known[at] = agreement, count
        return self._settle(rows, primary, hour_ms + HOUR_MS)

    def _judge_together(self, hours_ms: Sequence[int]) -> list[list[Event]] | None:
        bars = self._frames.closing(hours_ms)
        if bars is None:
            return None
        shape = (len(hours_ms), len(self._symbols))
        states = np.array([layer.state[layer.closed] for layer in bars]).reshape(len(bars), -1)
        known = np.array([layer.standing[layer.closed] == OK for layer in bars]).reshape(len(bars), -1)
        primary, agreement, count = (found.reshape(shape) for found in spot_regime.consensus(states, known))
        if not count.all():
            return None
        confident = self._confident(agreement, count)
        events: list[list[Event]] = [[] for _ in hours_ms]
        for hour, hour_ms in enumerate(hours_ms):
            if self._stirs(primary[hour], confident[hour]):
                self._pass_to(bars, hour, agreement[hour], count[hour])
                events[hour] = self._settle(np.arange(shape[1]), primary[hour], hour_ms + HOUR_MS)
        self._pass_to(bars, len(hours_ms) - 1, agreement[-1], count[-1])
        return events

    def _stirs(self, primary: IntArray, confident: BoolArray) -> bool:
        """Whether any symbol is left other than it was by these primary regimes."""
        said, left = self._announced == primary, (self._announced == _LEFT) & ~confident
        return not ((primary == self._primary) & (said | left)).all()

    def _pass_to(self, bars: Sequence[Closing], hour: int, agreement: IntArray, known: IntArray) -> None:
        self._frames.pass_to(bars, hour)
        self._agreement[:], self._known[:] = agreement, known

    def _confident(self, agreement: IntArray, known: IntArray) -> BoolArray:
        """Whether enough timeframes agree for an alert."""
        enough = known >= min(self._settings.alert_min_timeframes, len(self._frames.steps))
        confident: BoolArray = (agreement / known >= self._settings.alert_confidence) & enough
        return confident

    def _settle(self, rows: IntArray, primary: IntArray, close_ms: int) -> list[Event]:
        """Take over new primary regimes; open and close their events."""
        at = self._at(rows)
        turns = primary != self._primary[at]
        if turns.any():
            changed = rows[turns]
            self._before[changed] = self._primary[changed]
            self._since_ms[changed] = np.maximum(close_ms, self._since_ms[changed] + 1)
            self._primary[at] = primary
        first = self._announced[at] == _UNKNOWN
        if first.any():
            self._announced[rows[first]] = primary[first]
        announced, confident = self._announced[at], self._confident(self._agreement[at], self._known[at])
        moved = (announced != primary) & (confident | (announced != _LEFT))
        events: list[Event] = []
        if not moved.any():
            return events
        frames = zip(*self._frames.readings(rows[moved])(), strict=True)
        for row, is_confident, told in zip(
            rows[moved].tolist(), confident[moved].tolist(), frames, strict=True
        ):
            events += self._step(row, 0, close_ms, told)
            self._announced[row] = self._primary[row] if is_confident else _LEFT
            if is_confident:
                events += self._step(row, self._severity(row), close_ms, told)
        return events

    def _severity(self, row: int) -> Severity:
        """INFO into neutral or when a timeframe disagrees; WARNING when every timeframe turned one way."""
        whole = self._agreement[row] == len(self._frames.steps)
        return Severity.WARNING if whole and self._primary[row] != NEUTRAL else Severity.INFO

    def _step(self, row: int, level: int, now_ms: int, frames: Frames) -> list[Event]:
        def make(phase: Phase, started_ms: int, revision: int) -> Event:
            return self._event(row, now_ms, phase, started_ms, revision, frames)

        onset_ms = int(self._since_ms[row])
        event = self._episodes[row].step(level, now_ms, make, onset_ms=onset_ms)
        self._alert[row] = self._episodes[row].peak
        return [] if event is None else [event]

    def _event(
        self, row: int, now_ms: int, phase: Phase, started_ms: int, revision: int, told: Frames
    ) -> Event:
        symbol, agreement, known = self._symbols[row], int(self._agreement[row]), int(self._known[row])
        primary = NAMES.get(int(self._primary[row]))
        before = NAMES.get(int(self._before[row]))
        frames = dict(zip(self._frames.names, told, strict=True))
        confidence = agreement / known if known else None
        words = primary or "unknown"
        return Event(
            type=EventType.REGIME_SHIFT,
            symbol=symbol,
            severity=_SEVERITIES[self._episodes[row].peak] or Severity.INFO,
            phase=phase,
            ts_ms=now_ms,
            started_ms=started_ms,
            revision=revision,
            title=f"{symbol} regime: {words}",
            description=f"{before or 'unknown'} to {words}: {agreement} of {known} timeframes agree. This says nothing about"
            " where the price goes next.",
            why=f"primary regime is {words}, confidence {agreement}/{known} >= {self._settings.alert_confidence:.2f}"
            if phase is Phase.OPENED
            else f"primary regime is {words} now",
            data={
                "primary_regime": primary,
                "previous_regime": before,
                "confidence": confidence,
                "agreement_count": agreement,
                "timeframes_ok": known,
                "primary_since_ms": int(self._since_ms[row]),
                "duration_hours": (now_ms - started_ms) / HOUR_MS,
                **{f"{t}_regime": frame.regime for t, frame in frames.items()},
                "timeframes": msgspec.to_builtins(frames),
            },
        )

    def _forget(self, rows: IntArray) -> list[Event]:
        self._frames.forget(rows)
        self._known[rows], self._agreement[rows] = 0, 0
        self._before[rows], self._primary[rows] = self._primary[rows], _UNKNOWN
        events: list[Event] = []
        frames = zip(*self._frames.readings(rows)(), strict=True)
        for row, told in zip(rows.tolist(), frames, strict=True):
            events += self._step(row, 0, self._now_ms, told)
        self._announced[rows] = _UNKNOWN
        self._frames.begin_anew(rows)
        return events

    def _describe(self, rows: IntArray) -> Callable[[], list[Reading]]:
        frames, provisional = self._frames.readings(rows), self._frames.provisional(rows)
        standing = self._standing(rows, self._known[self._at(rows)] > 0)
        found, alerts = taken(self._frames.found, rows), taken(self._alert, rows)
        columns = [taken(a, rows) for a in (self._primary, self._agreement, self._known, self._since_ms)]
        state, stands = taken(self._frames.state, rows), taken(self._frames.standing, rows)
        close_ms = taken(self._judged_ms, rows) + HOUR_MS

        def readings() -> list[Reading]:
            primary, _, _, since_ms = columns
            persistence = self._persistence(state, stands == OK, primary, close_ms - since_ms)
            values = zip(
                standing(),
                zip(*frames(), strict=True),
                provisional(),
                (stands == DEGENERATE).any(axis=0).tolist(),
                found.max(axis=0).tolist(),
                (found.mean(axis=0) / BARS).tolist(),
                alerts.tolist(),
                *(column.tolist() for column in columns),
                nullable(persistence),
                strict=True,
            )
            return [self._reading(row, *told) for row, told in zip(rows.tolist(), values, strict=True)]

        return readings

    def _reading(
        self,
        row: int,
        standing: Standing,
        frames: tuple[TimeframeReading, ...],
        provisional: dict[str, Provisional],
        flat: int,
        n: int,
        coverage: float,
        alert: int,
        primary: int,
        agreement: int,
        known: int,
        since_ms: int,
        p_persist: float | None,
    ) -> RegimeReading:
        status, as_of_ms, detail = standing
        if flat and not known:
            status, detail = Status.DEGENERATE, f"the price has not moved for {BARS} bars"
        return self._reading_type(
            feature=self.name,
            symbol=self._symbols[row],
            status=status,
            as_of_ms=as_of_ms,
            n=n,
            needed=BARS,
            coverage=coverage,
            detail=detail,
            alert_level=_SEVERITIES[alert],
            primary_regime=NAMES[primary] if known else None,
            confidence=agreement / known if known else None,
            agreement_count=agreement,
            timeframes_ok=known,
            primary_since_ms=since_ms if known else None,
            p_persist_24h=p_persist,
            timeframes=dict(zip(self._frames.names, frames, strict=True)),
            provisional=provisional,
            **dict(zip(self._regime_keys, [frame.regime for frame in frames], strict=True)),
        )

    def _persistence(
        self, state: IntArray, known: BoolArray, primary: IntArray, age_ms: IntArray
    ) -> FloatArray:
        """Probability that each primary regime is the same a day later; NaN unless every timeframe is known."""
        if self._frames.names != persistence_frozen.TIMEFRAMES:
            return np.full(len(primary), np.nan)
        agreeing = spot_regime.agreement(state, primary)
        chance = spot_regime.persistence(agreeing, np.maximum(age_ms, 0) / HOUR_MS, _PERSISTENCE)
        return np.where(known.all(axis=0), chance, np.nan)

    def _save(self) -> Snapshot:
        return {
            "timeframes": list(self._frames.names),
            "episodes": msgspec.to_builtins(self._episodes),
            **self._frames.snapshot(),
        }

    def _load(self, state: Snapshot) -> None:
        if tuple(state["timeframes"]) != self._frames.names:
            raise DataError(
                f"snapshot of MultiTimeframe is for {', '.join(state['timeframes'])}, configured are"
                f" {', '.join(self._frames.names)}: start without it"
            )
        self._frames.restore(state)
        self._episodes = msgspec.convert(state["episodes"], list[Episode])

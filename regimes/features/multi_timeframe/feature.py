"""The regime of every symbol on every timeframe, live."""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, TypeAlias

import msgspec
import numpy as np

from regimes.errors import ConfigError, DataError
from regimes.events import Event, EventType, Phase, Severity
from regimes.features.base import FeatureSettings, Need, Reading, Snapshot, Status, Universe
from regimes.features.hourly import CATCH_UP_HOURS, HourlyFeature, Standing
from regimes.features.latch import Episode
from regimes.features.multi_timeframe.reading import (
    Provisional,
    RegimeReading,
    TimeframeReading,
    reading_type,
)
from regimes.features.multi_timeframe.settings import RegimesSettings
from regimes.maths import spot_regime
from regimes.maths.spot_frozen import PERSISTENCE, PERSISTENCE_TIMEFRAMES
from regimes.maths.spot_regime import COOLING, IGNITION, NEUTRAL
from regimes.maths.stats import FloatArray, IntArray, latest_valid, mean_and_std, nullable, z_score
from regimes.timeframe import HOUR_MS, to_ms
from regimes.windows.bars import BoolArray
from regimes.windows.inbox import Batch
from regimes.windows.longer import HoursSeen, LongerBars

NAMES: Final = {IGNITION: "SPOT_IGNITION", NEUTRAL: "SPOT_NEUTRAL", COOLING: "SPOT_COOLING"}
BARS: Final = 20
# Twenty bars are looked for among so many, so that an exchange outage does not silence a timeframe for long.
_SLOTS: Final = 24
# Stand in the place of a regime: never had one; had one, and it was left.
_UNKNOWN: Final = 8
_PERSISTENCE: Final = np.array(PERSISTENCE)
_LEFT: Final = 9


# Status of a timeframe as a number, to be kept in an array.
_WARMING: Final = 0
_OK: Final = 1
_DEGENERATE: Final = 2
_STALE: Final = 3
# By the number of the standing, and by the rank of the severity.
_STATUS: Final = (Status.WARMING, Status.OK, Status.DEGENERATE, Status.STALE)
_SEVERITIES: Final = (None, *Severity)

Frames: TypeAlias = tuple[TimeframeReading, ...]
"""One symbol on each timeframe."""


class MultiTimeframe(HourlyFeature):
    """Keeps the regime of every symbol on every timeframe, and one event for each primary regime."""

    name: ClassVar[str] = "multi_timeframe"
    section: ClassVar[str] = "regimes"
    package_key: ClassVar[str] = "regimes"
    settings_type: ClassVar[type[FeatureSettings]] = RegimesSettings

    def __init__(self, settings: RegimesSettings, universe: Universe) -> None:
        super().__init__(universe)
        self._settings = settings
        self._timeframes = universe.timeframes
        self._steps = _steps(universe.timeframes)
        self._reading_type = reading_type(universe.timeframes)
        self._regime_keys = [f"regime_{timeframe}" for timeframe in universe.timeframes]
        rows, layers = len(self._symbols), len(self._steps)
        self._longer = [
            LongerBars(rows, _capacity(step), step, completeness=settings.completeness)
            for step in self._steps
        ]
        longest = max(self._steps)
        self._seen = HoursSeen(rows, _capacity(longest) * longest // HOUR_MS)
        self._standing_of: IntArray = self._per_symbol("standing", _WARMING, layers)
        self._state: IntArray = self._per_symbol("state", NEUTRAL, layers)
        self._bar_ms: IntArray = self._per_symbol("bar_ms", -1, layers)
        self._as_of_ms: IntArray = self._per_symbol("as_of_ms", -1, layers)
        self._found: IntArray = self._per_symbol("n", 0, layers)
        self._mean: FloatArray = self._per_symbol("mean", np.nan, layers)
        self._std: FloatArray = self._per_symbol("std", np.nan, layers)
        self._price_z: FloatArray = self._per_symbol("price_z", np.nan, layers)
        self._volume_z: FloatArray = self._per_symbol("volume_z", np.nan, layers)
        self._seasonal_z: FloatArray = self._per_symbol("volume_z_seasonal", np.nan, layers)
        self._heat: FloatArray = self._per_symbol("heat", np.nan, layers)
        self._fraction: FloatArray = self._per_symbol("fraction", np.nan, layers)
        self._open_z: FloatArray = self._per_symbol("provisional_price_z", np.nan, layers)
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
        return (Need(kind="candle", span_ms=(BARS + 1) * max(self._steps), timeframe="1h"),)

    def _store(self, batch: Batch) -> BoolArray:
        new = self._seen.mark(batch.rows, batch.open_ms)
        for longer in self._longer:
            longer.add(batch.rows[new], batch.open_ms[new], batch.close[new], batch.volume[new])
        return new

    def _present(self, hour_ms: int) -> BoolArray:
        return self._seen.at(hour_ms)

    def _judge(self, rows: IntArray, hour_ms: int) -> list[Event]:
        again = self._judged_ms[rows] == hour_ms
        for layer, longer in enumerate(self._longer):
            end_ms = longer.newest_closed_ms(hour_ms)
            due = rows[(self._bar_ms[layer, rows] != end_ms) | again]
            if due.size:
                self._measure(layer, due, end_ms)
            if not self.quiet:
                self._look_ahead(layer, rows, hour_ms)
        known = self._standing_of[:, rows] == _OK
        primary, agreement, count = spot_regime.consensus(self._state[:, rows], known)
        self._agreement[rows], self._known[rows] = np.where(count > 0, agreement, 0), count
        return self._settle(rows[count > 0], primary[count > 0], hour_ms + HOUR_MS)

    def _measure(self, layer: int, rows: IntArray, end_ms: int) -> None:
        """Judge the bar that opened at `end_ms` on one timeframe."""
        close, volume = self._longer[layer].complete(end_ms, _SLOTS)
        if len(rows) < len(self._symbols):
            close, volume = close[rows], volume[rows]
        self._bar_ms[layer, rows] = end_ms
        complete = ~np.isnan(close[:, -1])
        self._pass_over(layer, rows[~complete])
        if complete.any():
            self._score(layer, rows[complete], close[complete], volume[complete])

    def _pass_over(self, layer: int, rows: IntArray) -> None:
        """The newest bar lacks too many hours: what the bar before said stands, marked as stale."""
        stands = self._standing_of[layer, rows] != _WARMING
        self._standing_of[layer, rows] = np.where(stands, _STALE, _WARMING)

    def _score(self, layer: int, rows: IntArray, close: FloatArray, volume: FloatArray) -> None:
        rules = self._settings
        close, found = latest_valid(close, BARS)
        full = found == BARS
        usual = spot_regime.usual_volume(int(self._bar_ms[layer, rows[0]]), self._steps[layer], _SLOTS)
        seasonal, _ = latest_valid(volume / usual, BARS)
        self._seasonal_z[layer, rows] = np.where(full, spot_regime.volume_z(seasonal), np.nan)
        volume, _ = latest_valid(volume, BARS)
        mean, std, _ = mean_and_std(close)
        price_z = np.where(full, z_score(close[:, -1], mean, std, scale=mean), np.nan)
        volume_z = np.where(full, spot_regime.volume_z(volume), np.nan)
        heat = spot_regime.heat(
            price_z, volume_z, price_weight=rules.price_weight, volume_weight=rules.volume_weight
        )
        moved = ~np.isnan(price_z)
        self._standing_of[layer, rows] = np.where(full, np.where(moved, _OK, _DEGENERATE), _WARMING)
        self._state[layer, rows] = spot_regime.next_state(
            heat,
            price_z,
            self._state[layer, rows],
            heat_bounds=(rules.heat_enter, rules.heat_leave),
            price_z_bounds=(rules.price_z_enter, rules.price_z_leave),
        )
        self._as_of_ms[layer, rows] = self._bar_ms[layer, rows] + self._steps[layer]
        self._found[layer, rows] = found
        self._mean[layer, rows], self._std[layer, rows] = mean, np.where(moved, std, np.nan)
        self._price_z[layer, rows], self._volume_z[layer, rows] = price_z, volume_z
        self._heat[layer, rows] = heat

    def _look_ahead(self, layer: int, rows: IntArray, hour_ms: int) -> None:
        """Note the unfinished bar, which enters no state."""
        unfinished = self._longer[layer].unfinished(hour_ms)
        if unfinished is None:
            self._fraction[layer, rows] = np.nan
            return
        close, fraction = unfinished
        self._fraction[layer, rows] = fraction
        self._open_z[layer, rows] = (close[rows] - self._mean[layer, rows]) / self._std[layer, rows]

    def _settle(self, rows: IntArray, primary: IntArray, close_ms: int) -> list[Event]:
        """Take over new primary regimes; open and close their events."""
        old = self._primary[rows]
        changed = rows[primary != old]
        if changed.size:
            self._before[changed] = old[primary != old]
            self._since_ms[changed] = np.maximum(close_ms, self._since_ms[changed] + 1)
        self._primary[rows] = primary
        first = rows[self._announced[rows] == _UNKNOWN]
        self._announced[first] = self._primary[first]
        confident = self._agreement[rows] / self._known[rows] >= self._settings.alert_confidence
        confident &= self._known[rows] >= min(self._settings.alert_min_timeframes, len(self._steps))
        left = self._announced[rows] != primary
        moved = left & (confident | (self._announced[rows] != _LEFT))
        events: list[Event] = []
        if not moved.any():
            return events
        frames = zip(*self._frames_of(rows[moved])(), strict=True)
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
        whole = self._agreement[row] == len(self._steps)
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
        frames = dict(zip(self._timeframes, told, strict=True))
        confidence = agreement / known if known else None
        words = primary or "unknown"
        return Event(
            type=EventType.REGIME_SHIFT,
            symbol=symbol,
            severity=Severity(self._episodes[row].peak),
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
        self._standing_of[:, rows], self._state[:, rows] = _WARMING, NEUTRAL
        self._known[rows], self._agreement[rows], self._found[:, rows] = 0, 0, 0
        self._fraction[:, rows] = np.nan
        self._before[rows], self._primary[rows] = self._primary[rows], _UNKNOWN
        events: list[Event] = []
        frames = zip(*self._frames_of(rows)(), strict=True)
        for row, told in zip(rows.tolist(), frames, strict=True):
            events += self._step(row, 0, self._now_ms, told)
        self._announced[rows], self._bar_ms[:, rows] = _UNKNOWN, -1
        return events

    def _describe(self, rows: IntArray) -> Callable[[], list[Reading]]:
        frames, provisional = self._frames_of(rows), self._provisional_of(rows)
        standing = self._standing(rows, self._known[rows] > 0)
        flat = np.any(self._of(self._standing_of, rows) == _DEGENERATE, axis=0)
        found, alerts = self._of(self._found, rows), self._of(self._alert, rows)
        columns = [self._of(a, rows) for a in (self._primary, self._agreement, self._known, self._since_ms)]
        persistence = self._persistence(rows)

        def readings() -> list[Reading]:
            values = zip(
                standing(),
                zip(*frames(), strict=True),
                provisional(),
                flat.tolist(),
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
            timeframes=dict(zip(self._timeframes, frames, strict=True)),
            provisional=provisional,
            **dict(zip(self._regime_keys, [frame.regime for frame in frames], strict=True)),
        )

    def _persistence(self, rows: IntArray) -> FloatArray:
        """Probability that each primary regime is the same a day later; NaN unless every timeframe is known."""
        if self._timeframes != PERSISTENCE_TIMEFRAMES:
            return np.full(len(rows), np.nan)
        whole = (self._standing_of[:, rows] == _OK).all(axis=0)
        age_hours = np.maximum(self._judged_ms[rows] + HOUR_MS - self._since_ms[rows], 0) / HOUR_MS
        terms = spot_regime.persistence_terms(self._state[:, rows], self._primary[rows], age_hours)
        return np.where(whole, spot_regime.persistence(terms, _PERSISTENCE), np.nan)

    def _frames_of(self, rows: IntArray) -> Callable[[], list[list[TimeframeReading]]]:
        """Readings of every timeframe: for each a list, with one of each symbol."""
        standing, state, found = (self._of(a, rows) for a in (self._standing_of, self._state, self._found))
        price_z, volume_z, heat = (self._of(a, rows) for a in (self._price_z, self._volume_z, self._heat))
        as_of_ms = self._of(self._as_of_ms, rows)
        seasonal_z = self._of(self._seasonal_z, rows)

        def frames() -> list[list[TimeframeReading]]:
            speaks = standing != _WARMING
            scored = speaks & ~np.isnan(price_z)
            names = np.where(scored, state, _UNKNOWN).tolist()
            times = np.where(speaks, as_of_ms, -1).tolist()
            shown = (
                np.where(scored, price_z, np.nan),
                np.where(speaks, volume_z, np.nan),
                np.where(scored, heat, np.nan),
            )
            seasonal = np.where(speaks, seasonal_z, np.nan)
            return [
                list(
                    map(
                        TimeframeReading,
                        map(_STATUS.__getitem__, standing[layer].tolist()),
                        map(NAMES.get, names[layer]),
                        *(nullable(values[layer]) for values in shown),
                        [None if time < 0 else time for time in times[layer]],
                        found[layer].tolist(),
                        nullable(seasonal[layer]),
                    )
                )
                for layer in range(len(self._steps))
            ]

        return frames

    def _provisional_of(self, rows: IntArray) -> Callable[[], list[dict[str, Provisional]]]:
        fractions, price_zs = self._of(self._fraction, rows), self._of(self._open_z, rows)

        def provisional() -> list[dict[str, Provisional]]:
            found: list[dict[str, Provisional]] = [{} for _ in rows]
            for timeframe, fraction, price_z in zip(self._timeframes, fractions, price_zs, strict=True):
                at = np.flatnonzero(~np.isnan(fraction))
                bars = map(Provisional, fraction[at].tolist(), nullable(price_z[at]))
                for index, bar in zip(at.tolist(), bars, strict=True):
                    found[index][timeframe] = bar
            return found

        return provisional

    def _save(self) -> Snapshot:
        return {
            "timeframes": list(self._timeframes),
            "longer": [longer.snapshot() for longer in self._longer],
            "seen": self._seen.snapshot(),
            "episodes": msgspec.to_builtins(self._episodes),
        }

    def _load(self, state: Snapshot) -> None:
        if tuple(state["timeframes"]) != self._timeframes:
            raise DataError(
                f"snapshot of MultiTimeframe is for {', '.join(state['timeframes'])}, configured are"
                f" {', '.join(self._timeframes)}: start without it"
            )
        for longer, kept in zip(self._longer, state["longer"], strict=True):
            longer.restore(kept)
        self._seen.restore(state["seen"])
        self._episodes = msgspec.convert(state["episodes"], list[Episode])


def _capacity(step_ms: int) -> int:
    """Bars to keep: those looked at, those that close while catching up, and the unfinished one."""
    return _SLOTS + math.ceil(CATCH_UP_HOURS * HOUR_MS / step_ms) + 1


def _steps(timeframes: Sequence[str]) -> tuple[int, ...]:
    """Lengths in ms, checked: longer bars are built from hourly ones."""
    steps = tuple(to_ms(timeframe) for timeframe in timeframes)
    for timeframe, step in zip(timeframes, steps, strict=True):
        if step % HOUR_MS:
            raise ConfigError(
                f"timeframes: {timeframe} cannot be built from hourly bars; use whole hours, such as 1h, 4h, 1d, 1w"
            )
    if not steps or list(steps) != sorted(set(steps)):
        raise ConfigError(
            f"timeframes must be given from short to long, each once (got {', '.join(timeframes)})"
        )
    return steps

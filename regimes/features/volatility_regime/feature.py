"""The volatility regime of every symbol, live."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec
import numpy as np
import numpy.typing as npt

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.base import FeatureSettings, Need, Reading, Snapshot, Status, Universe
from regimes.features.hourly import CATCH_UP_HOURS, HourlyFeature, Rows, Standing, taken
from regimes.features.latch import Episode, Latch
from regimes.features.volatility_regime.calibrated import NO_NUMBERS, Calibrated, CalibratedNumbers
from regimes.features.volatility_regime.settings import REGIMES, SEVERITIES, VolatilitySettings
from regimes.features.volatility_regime.trailing import TrailingSums
from regimes.maths import volatility
from regimes.maths.stats import FloatArray, IntArray, each_window
from regimes.maths.volatility import BASELINE_HOURS, HOURS_A_DAY, MIN_BASELINE_HOURS, MIN_DAY_HOURS
from regimes.timeframe import HOUR_MS
from regimes.windows.bars import BarPanel, BoolArray
from regimes.windows.inbox import Batch

_HISTORY_BARS: Final = BASELINE_HOURS + 1 + CATCH_UP_HOURS
_WITH_NUMBERS: Final = frozenset({Status.OK, Status.STALE})


class VolatilityReading(Reading, frozen=True, kw_only=True, gc=False):
    """Volatility of one symbol. n counts the hourly returns of the last 720 h, n_24h those of the last 24.

    volatility_24h, baseline_30d: daily figures, fractions. state_since_ms: close of the bar that brought the
    state, at most 48 h before the first bar judged after a start without a snapshot.

    The calibrated layer, None until 480 bars are known: forecast_24h, the forecast realised volatility of the
    next 24 h, with low and high ends of its 80 % interval; clustering_probability, that it reaches 1.5 times the
    baseline; p_extreme, that it exceeds the 90th percentile of the symbol's own year, and vol_regime_calibrated,
    both None until 90 days are known; realised_multiplier, what followed this vol_regime, with its 95 % interval.
    """

    vol_regime: str | None
    volatility_24h: float | None
    baseline_30d: float | None
    ratio: float | None
    risk_multiplier: float | None
    state_since_ms: int | None
    n_24h: int
    forecast_24h: float | None
    forecast_24h_low: float | None
    forecast_24h_high: float | None
    clustering_probability: float | None
    p_extreme: float | None
    vol_regime_calibrated: str | None
    calibrated_since_ms: int | None
    realised_multiplier: float | None
    realised_multiplier_low: float | None
    realised_multiplier_high: float | None


class VolatilityRegime(HourlyFeature):
    """Keeps the volatility regime of every symbol, and one event for each run above STABLE."""

    name: ClassVar[str] = "volatility_regime"
    section: ClassVar[str] = "volatility"
    package_key: ClassVar[str] = "volatility"
    settings_type: ClassVar[type[FeatureSettings]] = VolatilitySettings

    def __init__(self, settings: VolatilitySettings, universe: Universe) -> None:
        super().__init__(universe)
        self._settings = settings
        self._bars = BarPanel(
            len(self._symbols), _HISTORY_BARS, HOUR_MS, {"log_close": np.nan, "squared_return": np.nan}
        )
        self._month = TrailingSums(self._bars, "squared_return", BASELINE_HOURS // HOURS_A_DAY)
        self._vol: FloatArray = self._per_symbol("volatility_24h", np.nan)
        self._base: FloatArray = self._per_symbol("baseline_30d", np.nan)
        self._n: IntArray = self._per_symbol("n", 0)
        self._n_24h: IntArray = self._per_symbol("n_24h", 0)
        self._level: IntArray = self._per_symbol("level", 0)
        self._since_ms: IntArray = self._per_symbol("state_since_ms", -1)
        self._peak: FloatArray = self._per_symbol("peak_volatility_24h", np.nan)
        dwell_ms = round(settings.min_dwell_hours * HOUR_MS)
        self._latches = [Latch(dwell_ms=dwell_ms) for _ in self._symbols]
        self._episodes = [Episode(alert_from=1) for _ in self._symbols]
        self._calibrated = Calibrated(self._symbols, refit=settings.refit_forecast)
        self._tells_calibrated = settings.calibrated_in_events

    def warmup(self) -> Sequence[Need]:
        """30 days of hourly bars, and two more so that the present state has its history."""
        return (Need(kind="candle", span_ms=_HISTORY_BARS * HOUR_MS, timeframe="1h"),)

    def _store(self, batch: Batch) -> BoolArray:
        if self._calibrates:
            self._calibrated.take(batch)
        columns, first_ms = self._columns(batch)
        log_close = self._bars.fields["log_close"]
        new: BoolArray = (columns >= 0) & np.isnan(log_close[batch.rows, columns])
        rows, close = batch.rows, batch.close
        if not new.all():
            rows, close, columns = rows[new], close[new], np.broadcast_to(columns, new.shape)[new]
        log_close[rows, columns] = np.log(close)
        self._set_squares(rows, columns)
        later = np.asarray(self._bars.has_next(columns))
        if later.any():
            later, columns = np.broadcast_to(later, rows.shape), np.broadcast_to(columns, rows.shape)
            self._set_squares(rows[later], columns[later] + 1)
        self._month.changed(first_ms)
        return new

    def _columns(self, batch: Batch) -> tuple[IntArray | np.int64, int]:
        """Column of each bar, or the one of all; and when the first of them opened."""
        if batch.hour_ms is None:
            return self._bars.columns(batch.open_ms), int(batch.open_ms.min())
        return np.int64(self._bars.column(batch.hour_ms)), batch.hour_ms

    def _set_squares(self, rows: IntArray, columns: IntArray | np.int64) -> None:
        log_close, squares = self._bars.fields["log_close"], self._bars.fields["squared_return"]
        change = log_close[rows, columns] - log_close[rows, columns - 1]
        squares[rows, columns] = np.where(self._bars.has_previous(columns), change * change, np.nan)

    def _present(self, hour_ms: int) -> BoolArray:
        there: BoolArray = ~np.isnan(self._bars.window("log_close", hour_ms, 1)[:, 0])
        return there

    def _judge(self, rows: IntArray, hour_ms: int) -> list[Event]:
        at = self._at(rows)
        vol, n_24h, base, n = (values[0, at] for values in self._measure([hour_ms]))
        self._n_24h[at], self._n[at] = n_24h, n
        ready = self._ready(at)
        if not ready.all():
            vol, base = np.where(ready, vol, np.nan), np.where(ready, base, np.nan)
        self._vol[at], self._base[at] = vol, base
        self._peak[at] = np.fmax(self._peak[at], vol)
        events = self._advance(rows[ready], hour_ms + HOUR_MS) if ready.any() else []
        if self._calibrates:
            self._calibrated.judge(rows, hour_ms // HOUR_MS, self._level[at], np.where(ready, base, 0.0))
        return [self._told_calibrated(event) for event in events] if self._tells_calibrated else events

    def _measure(self, hours_ms: Sequence[int]) -> Sequence[npt.NDArray[Any]]:
        """Volatility and baseline at the close of hours in a row, each before how many returns it rests on.

        Each of shape (hours, symbols).
        """
        shape = (len(hours_ms), len(self._symbols))
        days = self._bars.window("squared_return", hours_ms[-1], HOURS_A_DAY + shape[0] - 1)
        day = volatility.volatility_24h(each_window(days, HOURS_A_DAY) if shape[0] > 1 else days)
        vol, n_24h = (found.reshape(shape) for found in day)
        total, n = self._month.ending(hours_ms)
        return vol, n_24h, volatility.baseline(total, n), n

    @property
    def _calibrates(self) -> bool:
        """Whether anybody looks at the calibrated layer."""
        return self._tells_calibrated or not self.quiet

    def _told_calibrated(self, event: Event) -> Event:
        """The same event with what the calibrated layer says at its hour."""
        row = np.array([self._symbols.index(event.symbol)])
        (numbers,) = self._calibrated.view(row, self._level[row])()
        more = {
            "vol_regime_calibrated": numbers["vol_regime_calibrated"],
            "forecast_24h": numbers["forecast_24h"],
            "clustering_probability": numbers["clustering_probability"],
            "p_extreme": numbers["p_extreme"],
        }
        return msgspec.structs.replace(event, data={**event.data, **more})

    def _judge_together(self, hours_ms: Sequence[int]) -> list[list[Event]] | None:
        shape = (len(hours_ms), len(self._symbols))
        vol, n_24h, base, n = self._measure(hours_ms)
        if (n < MIN_BASELINE_HOURS).any() or (n_24h < MIN_DAY_HOURS).any() or (self._since_ms < 0).any():
            return None
        ratios = volatility.ratio(vol, base)
        enter = self._settings.levels(vol, ratios)
        hold = self._settings.levels(vol, ratios, leaving=True)
        events: list[list[Event]] = [[] for _ in hours_ms]
        done = 0
        while (moves := ((enter > self._level) | (hold < self._level))[done:].any(axis=1)).any():
            hour = done + int(moves.argmax())
            self._take_over(done, hour + 1, vol, base, n, n_24h)
            events[hour] = self._advance(np.arange(shape[1]), hours_ms[hour] + HOUR_MS)
            done = hour + 1
        self._take_over(done, shape[0], vol, base, n, n_24h)
        return events

    def _take_over(
        self, first: int, end: int, vol: FloatArray, base: FloatArray, n: IntArray, n_24h: IntArray
    ) -> None:
        """Let some hours pass in which nothing moves before the last; arrays of shape (hours, symbols)."""
        if first < end:
            self._peak[:] = np.fmax(self._peak, vol[first:end].max(axis=0))
            self._vol[:], self._base[:] = vol[end - 1], base[end - 1]
            self._n[:], self._n_24h[:] = n[end - 1], n_24h[end - 1]

    def _advance(self, rows: IntArray, close_ms: int) -> list[Event]:
        """Move the latches of the symbols whose state may change at this bar."""
        at = self._at(rows)
        vol, ratios = self._vol[at], volatility.ratio(self._vol[at], self._base[at])
        enter = self._settings.levels(vol, ratios)
        hold = self._settings.levels(vol, ratios, leaving=True)
        level, first = self._level[at], self._since_ms[at] < 0
        if first.any():
            self._since_ms[rows[first]] = close_ms
        events: list[Event] = []
        for index in np.flatnonzero((enter > level) | (hold < level)).tolist():
            row = int(rows[index])
            if self._latches[row].advance(int(enter[index]), int(hold[index]), close_ms):
                events += self._move(row, close_ms)
        return events

    def _move(self, row: int, now_ms: int) -> list[Event]:
        """Take over the latch's new level, and step the episode."""
        before, level = int(self._level[row]), self._latches[row].level
        self._level[row], self._since_ms[row] = level, now_ms
        if not self._episodes[row].is_open:
            self._peak[row] = self._vol[row]

        def make(phase: Phase, started_ms: int, revision: int) -> Event:
            return self._event(row, before, now_ms, phase, started_ms, revision)

        event = self._episodes[row].step(level, now_ms, make)
        return [] if event is None else [event]

    def _event(
        self, row: int, before: int, now_ms: int, phase: Phase, started_ms: int, revision: int
    ) -> Event:
        symbol, level, peak = self._symbols[row], int(self._level[row]), self._episodes[row].peak
        vol, base = _number(self._vol[row]), _number(self._base[row])
        ratio = vol / base if vol is not None and base else None
        hours = (now_ms - started_ms) / HOUR_MS
        moved = f"{REGIMES[before]} to {REGIMES[level]}"
        return Event(
            type=EventType.VOLATILITY_REGIME,
            symbol=symbol,
            severity=SEVERITIES[peak] or Severity.INFO,
            phase=phase,
            ts_ms=now_ms,
            started_ms=started_ms,
            revision=revision,
            title=f"{symbol} volatility: {REGIMES[level]}",
            description=_describe_move(moved, vol, ratio, hours if phase is not Phase.OPENED else None),
            why=self._why(max(level, 1), vol, ratio, risen=level > before),
            data={
                "vol_regime": REGIMES[level],
                "previous_regime": REGIMES[before],
                "volatility_24h": vol,
                "baseline_30d": base,
                "ratio": ratio,
                "risk_multiplier": self._settings.risk_multipliers[level],
                "state_since_ms": int(self._since_ms[row]),
                "duration_hours": hours,
                "peak_regime": REGIMES[peak],
                "peak_volatility_24h": _number(self._peak[row]),
            },
        )

    def _why(self, level: int, vol: float | None, ratio: float | None, *, risen: bool) -> str:
        """The rule that fired, with its numbers; `level` names the thresholds that were crossed."""
        if vol is None:
            return "no closed bar for 24 h"
        rules, sign, factor = self._settings, ">=" if risen else "<", 1.0
        if not risen:
            factor = rules.leave_factor
        by_absolute, by_ratio = rules.absolute[level - 1] * factor, rules.relative[level - 1] * factor
        parts = []
        if rules.classify_by != "ratio" and (vol >= by_absolute) is risen:
            parts.append(f"24 h volatility {vol:.2%} {sign} {by_absolute:.2%}")
        if rules.classify_by != "absolute" and ratio is not None and (ratio >= by_ratio) is risen:
            parts.append(f"{ratio:.2f} x the 30-day baseline {sign} {by_ratio:.2f}")
        return " and ".join(parts) or "the price has not moved for 30 days"

    def _forget(self, rows: IntArray) -> list[Event]:
        events: list[Event] = []
        self._vol[rows], self._base[rows] = np.nan, np.nan
        self._n[rows], self._n_24h[rows] = 0, 0
        for row in rows.tolist():
            self._latches[row].level = 0
            events += self._move(row, self._now_ms)
        self._since_ms[rows], self._peak[rows] = -1, np.nan
        self._calibrated.forget(rows)
        return events

    def _ready(self, at: Rows) -> BoolArray:
        ready: BoolArray = (self._n[at] >= MIN_BASELINE_HOURS) & (self._n_24h[at] >= MIN_DAY_HOURS)
        return ready

    def _describe(self, rows: IntArray) -> Callable[[], list[Reading]]:
        vol, base, ready = taken(self._vol, rows), taken(self._base, rows), self._ready(self._at(rows))
        standing = self._standing(rows, ready)
        counts = [taken(a, rows) for a in (self._n, self._n_24h, self._level, self._since_ms)]
        calibrated = self._calibrated.view(rows, taken(self._level, rows))

        def readings() -> list[Reading]:
            columns = (rows, vol, base, volatility.ratio(vol, base), *counts)
            return [
                self._reading(stands, more, *values)
                for stands, more, *values in zip(
                    standing(), calibrated(), *(c.tolist() for c in columns), strict=True
                )
            ]

        return readings

    def _reading(
        self,
        standing: Standing,
        calibrated: CalibratedNumbers,
        row: int,
        vol: float,
        base: float,
        ratio: float,
        n: int,
        n_24h: int,
        level: int,
        since_ms: int,
    ) -> VolatilityReading:
        status, as_of_ms, detail = standing
        ready = status in _WITH_NUMBERS
        if ready and base == 0:
            status, detail = Status.DEGENERATE, "the price has not moved for 30 days"
        elif not ready and n >= MIN_BASELINE_HOURS:
            detail = f"{n_24h} of the last 24 hours are known, {MIN_DAY_HOURS} are needed"
        return VolatilityReading(
            feature=self.name,
            symbol=self._symbols[row],
            status=status,
            as_of_ms=as_of_ms,
            n=n,
            needed=MIN_BASELINE_HOURS,
            coverage=n / BASELINE_HOURS,
            detail=detail,
            alert_level=SEVERITIES[level] if ready else None,
            vol_regime=REGIMES[level] if ready else None,
            volatility_24h=vol if ready else None,
            baseline_30d=base if ready else None,
            ratio=ratio if ready and base > 0 else None,
            risk_multiplier=self._settings.risk_multipliers[level] if ready else None,
            state_since_ms=since_ms if ready else None,
            n_24h=n_24h,
            **(calibrated if ready and base > 0 else NO_NUMBERS),
        )

    def _save(self) -> Snapshot:
        return {
            "bars": self._bars.snapshot("log_close"),
            "oldest_square": self._oldest_square().tobytes(),
            "latches": msgspec.to_builtins(self._latches),
            "episodes": msgspec.to_builtins(self._episodes),
            "calibrated": self._calibrated.snapshot(),
        }

    def _oldest_square(self) -> FloatArray:
        """The one squared return that the kept bars do not give, as its earlier bar is gone."""
        oldest_ms = (self._bars.head_ms or 0) - (_HISTORY_BARS - 1) * HOUR_MS
        oldest: FloatArray = self._bars.window("squared_return", oldest_ms, 1)[:, 0]
        return oldest

    def _load(self, state: Snapshot) -> None:
        self._bars.restore(state["bars"])
        log_close, squares = self._bars.fields["log_close"], self._bars.fields["squared_return"]
        squares[:, 1:] = np.diff(log_close, axis=-1) ** 2
        squares[:, 0] = np.frombuffer(state["oldest_square"])
        self._month.changed(0)
        self._latches = msgspec.convert(state["latches"], list[Latch])
        self._episodes = msgspec.convert(state["episodes"], list[Episode])
        self._calibrated.restore(state["calibrated"])


def _describe_move(moved: str, vol: float | None, ratio: float | None, hours: float | None) -> str:
    """One plain sentence or two for people."""
    if vol is None:
        return f"{moved}: no bar has closed for 24 h, so the state is no longer known."
    beside = "" if ratio is None else f", {ratio:.2f} times its 30-day baseline"
    lasted = "" if hours is None else f" The run above STABLE has lasted {hours:.0f} h."
    return f"{moved}: realised volatility over 24 h is {vol:.2%}{beside}.{lasted}"


def _number(value: float) -> float | None:
    """A plain float, None for NaN."""
    return None if np.isnan(value) else float(value)

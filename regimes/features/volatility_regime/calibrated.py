"""The calibrated layer of the volatility regime: what comes next, how likely, and what followed such states."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypedDict
from zlib import crc32

import numpy as np

from regimes.features.base import Snapshot
from regimes.features.hourly import CATCH_UP_HOURS, Rows, taken
from regimes.features.volatility_regime.settings import REGIMES
from regimes.maths import forecast_frozen as frozen, forecast_state
from regimes.maths.forecast import (
    HORIZON_HOURS,
    MIN_DAY_HOURS,
    MIN_HOURS,
    NEVER,
    TERMS,
    WEEK_HOURS,
    SeasonalVolatility,
)
from regimes.maths.forecast_fit import RunningFit, log_forecast
from regimes.maths.stats import FloatArray, IntArray, nullable
from regimes.timeframe import HOUR_MS
from regimes.windows.bars import BoolArray
from regimes.windows.inbox import Batch

CLUSTER_TIMES: Final = 1.5
# A forecast in so many is kept until its day is over, and learnt from.
EVERY_HOURS: Final = 6
HALF_LIFE_HOURS: Final = 17_520.0
# What followed a state elsewhere counts for so many days of the symbol's own.
_PRIOR_DAYS: Final = 30.0
_KEPT: Final = HORIZON_HOURS // EVERY_HOURS
_LOW, _HIGH = (frozen.RESIDUALS[frozen.RESIDUAL_SHARES.index(share)] for share in (0.1, 0.9))
_LIMIT: Final = 30.0
_TOO_OLD: Final = 10_000
_NO_HOUR: Final = np.iinfo(np.int64).max


class _Bars(NamedTuple):
    """Bars that wait: rows, hours since 1970, and prices of shape (4, bars)."""

    rows: IntArray
    hours: IntArray
    prices: FloatArray


class CalibratedNumbers(TypedDict):
    """The calibrated fields of a reading."""

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


NO_NUMBERS: Final = CalibratedNumbers(
    forecast_24h=None,
    forecast_24h_low=None,
    forecast_24h_high=None,
    clustering_probability=None,
    p_extreme=None,
    vol_regime_calibrated=None,
    calibrated_since_ms=None,
    realised_multiplier=None,
    realised_multiplier_low=None,
    realised_multiplier_high=None,
)


class Calibrated:
    """Forecast, probabilities, state and multiplier of every symbol.

    refit: whether the coefficients go on being fitted to what the symbols did, from the shipped ones.

    A bar that comes after a newer one of its symbol was judged is left out of the means. Bars may come in any
    portions; the means move, and symbols look at each other, only in `judge`.
    """

    def __init__(self, symbols: Sequence[str], *, refit: bool) -> None:
        rows = len(symbols)
        phase = np.array([crc32(symbol.encode()) % WEEK_HOURS for symbol in symbols], dtype=np.int64)
        self.model = SeasonalVolatility(rows, np.array(frozen.PROFILE), phase)
        self._refit = refit
        self._running = RunningFit(
            np.array(frozen.COEFFICIENTS), _symmetric(frozen.INFORMATION), half_life_hours=HALF_LIFE_HOURS
        )
        self._learnt_hour = NEVER
        self.log_variance = np.full(rows, np.nan)
        self.clustering = np.full(rows, np.nan)
        self.extreme = np.full(rows, np.nan)
        self.level = np.zeros(rows, dtype=np.int64)
        self.since_hour = np.full(rows, NEVER, dtype=np.int64)
        self._judged_hour = np.full(rows, NEVER, dtype=np.int64)
        self._terms = np.zeros((_KEPT, len(TERMS), rows), dtype=np.float32)
        self._terms_hour = np.full((_KEPT, rows), NEVER, dtype=np.int64)
        self._state_hour = np.full((_KEPT, rows), NEVER, dtype=np.int64)
        self._state_level = np.zeros((_KEPT, rows), dtype=np.int64)
        self._state_base = np.zeros((_KEPT, rows))
        self._waiting: list[_Bars] = []
        self._oldest_hour = _NO_HOUR
        self._newest_hour = NEVER
        self._followed = np.zeros((3, len(frozen.MULTIPLIERS), rows))

    def take(self, batch: Batch) -> None:
        """Set new bars aside; those that are too old to be judged move the means at once."""
        hours = batch.open_ms // HOUR_MS
        self._waiting.append(_Bars(batch.rows, hours, batch.prices()))
        self._oldest_hour = min(self._oldest_hour, int(hours.min()))
        self._newest_hour = max(self._newest_hour, int(hours.max()))
        self._advance(self._newest_hour - CATCH_UP_HOURS)

    def judge(self, rows: IntArray, hour: int, levels: IntArray, baseline: FloatArray) -> None:
        """Forecast at the close of `hour` for those of the rows whose newest bar it is, up to there.

        levels, baseline: plain state and daily baseline volatility of each of `rows`.
        """
        self._advance(hour)
        at = self._at(rows)
        new = (self.model.hour[at] == hour) & (self._judged_hour[at] < hour)
        new &= (self.model.n[at] >= MIN_HOURS) & (baseline > 0)
        if not new.all():
            self._blank(rows[~new & (self._judged_hour[rows] < hour)])
            at = rows = rows[new]
            levels, baseline = levels[new], baseline[new]
        if not rows.size:
            return
        if hour % EVERY_HOURS == 0:
            self._note_what_followed(rows, hour, levels, baseline)
        forecast = log_forecast(self.model.terms(hour), self._running.coefficients)[at]
        forecast = np.minimum(np.maximum(forecast, -_LIMIT), _LIMIT)
        season, p90 = self.model.log_season(hour)[at], self.model.year_p90[at]
        score = forecast_state.score(forecast, season, p90)
        self.log_variance[at] = forecast
        self.clustering[at] = frozen.CLUSTERING(forecast - 2.0 * np.log(CLUSTER_TIMES * baseline))
        self.extreme[at] = frozen.EXTREME(2.0 * score + season)
        self._move(at, hour, score)
        self._judged_hour[at] = hour

    def forget(self, rows: IntArray) -> None:
        """Claim nothing of symbols whose data stopped a day ago; their means go on when bars come again."""
        self._blank(rows)

    def view(self, rows: IntArray, levels: IntArray) -> Callable[[], list[CalibratedNumbers]]:
        """Set aside what is known of these rows, in these plain states; the answer makes plain values of it."""
        kept = [taken(values, rows) for values in (self.log_variance, self.clustering, self.extreme)]
        level, since_hour = taken(self.level, rows), taken(self.since_hour, rows)
        followed = self._followed[:, levels, rows]

        def numbers() -> list[CalibratedNumbers]:
            log_variance, clustering, extreme = kept
            known = since_hour != NEVER
            columns = [
                *_interval(log_variance), clustering, extreme,
                *np.where(np.isnan(log_variance), np.nan, multiplier(followed, levels)),
            ]  # fmt: skip
            names = [
                REGIMES[at] if there else None
                for at, there in zip(level.tolist(), known.tolist(), strict=True)
            ]
            since = np.where(known, (since_hour + 1) * HOUR_MS, -1).tolist()
            forecast, low, high, p_clustering, p_extreme, *rest = map(nullable, columns)
            return [
                CalibratedNumbers(
                    forecast_24h=values[0],
                    forecast_24h_low=values[1],
                    forecast_24h_high=values[2],
                    clustering_probability=values[3],
                    p_extreme=values[4],
                    realised_multiplier=values[5],
                    realised_multiplier_low=values[6],
                    realised_multiplier_high=values[7],
                    vol_regime_calibrated=name,
                    calibrated_since_ms=None if name is None else at_ms,
                )
                for *values, name, at_ms in zip(
                    forecast, low, high, p_clustering, p_extreme, *rest, names, since, strict=True
                )
            ]

        return numbers

    def snapshot(self) -> Snapshot:
        """All state."""
        return {
            "model": self.model.snapshot(),
            "learnt_hour": self._learnt_hour,
            "waiting": [values.tobytes() for values in self._all_waiting()] if self._waiting else [],
            "coefficients": self._running.coefficients.tobytes(),
            "information": self._running.information.tobytes(),
            "arrays": {name: values.tobytes() for name, values in self._arrays().items()},
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Take back a snapshot with as many symbols."""
        self.model.restore(snapshot["model"])
        self._learnt_hour = snapshot["learnt_hour"]
        self._waiting, self._oldest_hour, self._newest_hour = [], _NO_HOUR, int(self.model.hour.max())
        if snapshot["waiting"]:
            rows, hours = (np.frombuffer(raw, dtype=np.int64) for raw in snapshot["waiting"][:2])
            self._waiting = [_Bars(rows, hours, np.frombuffer(snapshot["waiting"][2]).reshape(4, -1))]
            self._oldest_hour = int(hours.min())
            self._newest_hour = max(self._newest_hour, int(hours.max()))
        terms = len(TERMS)
        self._running.coefficients[:] = np.frombuffer(snapshot["coefficients"])
        self._running.information[:] = np.frombuffer(snapshot["information"]).reshape(terms, terms)
        for name, values in self._arrays().items():
            values[...] = np.frombuffer(snapshot["arrays"][name], dtype=values.dtype).reshape(values.shape)

    def _arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def _advance(self, hour: int) -> None:
        """Lead the means of each symbol through the bars that wait, hour by hour, up to `hour`."""
        if self._oldest_hour > hour:
            return
        bars = self._all_waiting()
        if self._oldest_hour == bars.hours.max():
            self._waiting, self._oldest_hour = [], _NO_HOUR
            self._step(bars.rows, int(bars.hours[0]), bars.prices)
            return
        order = np.argsort(bars.hours, kind="stable")
        order = order[bars.hours[order] <= hour]
        starts = np.flatnonzero(np.diff(bars.hours[order], prepend=NEVER))
        for part in np.split(order, starts[1:]):
            self._step(bars.rows[part], int(bars.hours[part[0]]), bars.prices[:, part])
        later = bars.hours > hour
        self._waiting = (
            [_Bars(bars.rows[later], bars.hours[later], bars.prices[:, later])] if later.any() else []
        )
        self._oldest_hour = int(bars.hours[later].min(initial=_NO_HOUR))

    def _all_waiting(self) -> "_Bars":
        if len(self._waiting) == 1:
            return self._waiting[0]
        rows, hours, prices = zip(*self._waiting, strict=True)
        return _Bars(np.concatenate(rows), np.concatenate(hours), np.concatenate(prices, axis=1))

    def _step(self, rows: IntArray, hour: int, prices: FloatArray) -> None:
        # Bars come in any order; a step takes those of all symbols in order of their rows.
        order = np.argsort(rows)
        rows, prices = rows[order], prices[:, order]
        new = self.model.hour[rows] < hour
        if not new.all():
            rows, prices = rows[new], prices[:, new]
        if rows.size:
            self.model.step(rows, hour, prices)
            if self._refit and hour % EVERY_HOURS == 0:
                self._learn(rows, hour)

    def _blank(self, rows: IntArray) -> None:
        for values in (self.log_variance, self.clustering, self.extreme):
            values[rows] = np.nan
        self.since_hour[rows] = NEVER

    def _learn(self, rows: IntArray, hour: int) -> None:
        """Learn from the forecasts of a day ago, whose outcome is known now, and keep what this one rests on."""
        slot = hour // EVERY_HOURS % _KEPT
        variance, known = self._outcome(rows)
        due = known & (self._terms_hour[slot, rows] == hour - HORIZON_HOURS)
        if due.any():
            self._running.age(max(hour - self._learnt_hour, 0) if self._learnt_hour != NEVER else 0)
            self._learnt_hour = max(hour, self._learnt_hour)
            self._running.learn(self._terms[slot][:, rows[due]].astype(np.float64), variance[due])
        ready = rows[self.model.n[rows] >= MIN_HOURS]
        self._terms_hour[slot, ready] = hour
        self._terms[slot][:, ready] = self.model.terms(hour)[:, ready]

    def _note_what_followed(self, rows: IntArray, hour: int, levels: IntArray, baseline: FloatArray) -> None:
        """Add the past day's volatility, as a multiple of the baseline then, to the state of a day ago."""
        slot = hour // EVERY_HOURS % _KEPT
        variance, known = self._outcome(rows)
        due = known & (self._state_hour[slot, rows] == hour - HORIZON_HOURS)
        past = rows[due]
        multiple = np.sqrt(variance[due]) / self._state_base[slot, past]
        for place, value in enumerate((np.ones_like(multiple), multiple, multiple * multiple)):
            self._followed[place, self._state_level[slot, past], past] += value
        self._state_hour[slot, rows], self._state_level[slot, rows] = hour, levels
        self._state_base[slot, rows] = baseline

    def _outcome(self, rows: IntArray) -> tuple[FloatArray, BoolArray]:
        """Realised variance of the last day of these rows, and whether it can be learnt from."""
        variance, count = self.model.day_variance()
        known: BoolArray = (count[rows] >= MIN_DAY_HOURS) & (variance[rows] > 0)
        return variance[rows], known

    def _at(self, rows: IntArray) -> Rows:
        return slice(None) if len(rows) == len(self.level) else rows

    def _move(self, at: Rows, hour: int, score: FloatArray) -> None:
        since = self.since_hour[at]
        first = since == NEVER
        age = np.where(first, _TOO_OLD, hour - since)
        before = np.where(first, 0, self.level[at])
        level = forecast_state.next_level(score, before, age, frozen.THRESHOLDS)
        known = ~np.isnan(score)
        self.since_hour[at] = np.where(known & (first | (level != before)), hour, since)
        self.level[at] = level


def _symmetric(lower: Sequence[float]) -> FloatArray:
    """The symmetric matrix with this lower triangle, row by row."""
    matrix = np.zeros((len(TERMS), len(TERMS)))
    matrix[np.tril_indices(len(TERMS))] = lower
    return matrix + np.tril(matrix, -1).T


def multiplier(followed: FloatArray, levels: IntArray) -> FloatArray:
    """What followed these plain states: mean of next-day volatility over the baseline, and its 95 % interval.

    followed: shape (3, n): how often, sum and sum of squares of what followed each. Shape (3, n): mean, low, high.
    The symbol's own days come on top of thirty of all symbols before 2025-02.
    """
    count, total, squares = followed / _KEPT
    mean, deviation = np.array(frozen.MULTIPLIERS).T[:, levels]
    days = count + _PRIOR_DAYS
    found = (total + _PRIOR_DAYS * mean) / days
    second = (squares + _PRIOR_DAYS * (mean * mean + deviation * deviation)) / days
    half = 1.96 * np.sqrt(np.maximum(second - found * found, 0.0) / days)
    return np.stack((found, np.maximum(found - half, 0.0), found + half))


def _interval(log_variance: FloatArray) -> FloatArray:
    """Forecast volatility and its 80 % interval, shape (3, n); NaN without."""
    return np.exp(0.5 * np.stack((log_variance, log_variance + _LOW, log_variance + _HIGH)))

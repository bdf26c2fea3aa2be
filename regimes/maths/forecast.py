"""Seasonal volatility of many symbols in constant memory: what the forecast of the next 24 hours is made of.

Each closed hour moves a few exponentially weighted means: of Garman-Klass variance, of absolute and squared
returns, and of signed ones, each divided by the hour's place in the symbol's own weekly profile. The profile is
learnt as slowly as years are long, from a pooled one. A row never sees another, except through `market`.

Garman and Klass, On the Estimation of Security Price Volatilities from Historical Data (1980).
"""

from typing import Any, Final

import numpy as np

from regimes.maths.stats import FloatArray, IntArray

WEEK_HOURS: Final = 168
HORIZON_HOURS: Final = 24
MIN_HOURS: Final = 480
MIN_DAY_HOURS: Final = 20
YEAR_DAYS: Final = 365
MIN_YEAR_DAYS: Final = 90
# 1970-01-01 was a Thursday; weeks begin on Monday 00:00 UTC.
_MONDAY_HOUR: Final = 96
NEVER: Final = -1

# Half-lives in hours of each family of means. The orders of the rows of `means` follow from these.
_RANGE: Final = (3, 8, 24, 72, 240, 720)
_ABSOLUTE: Final = (8, 24, 72, 720)
_SQUARE: Final = (168,)
_SIGNED: Final = (6, 24, 48, 120)
_BASE: Final = (168,)
_FAMILIES: Final = (_RANGE, _ABSOLUTE, _SQUARE, _SIGNED, _BASE)
_KIND: Final = np.repeat(np.arange(len(_FAMILIES)), [len(family) for family in _FAMILIES])
_RATE: Final = (
    1.0 - 0.5 ** (1.0 / np.array([h for family in _FAMILIES for h in family], dtype=np.float64))[:, None]
)
_LOGGED: Final = len(_RANGE) + len(_ABSOLUTE) + len(_SQUARE)
_TREND: Final = slice(_LOGGED, _LOGGED + len(_SIGNED))
_BASE_ROW: Final = _LOGGED + len(_SIGNED)
_TREND_SCALE: Final = np.sqrt(np.array(_SIGNED, dtype=np.float64))[:, None]
_HOURS_AROUND: Final = np.arange(-1, WEEK_HOURS + 1) % WEEK_HOURS
_HOURS_AHEAD: Final = np.arange(WEEK_HOURS + HORIZON_HOURS + 1) % WEEK_HOURS
_TINY: Final = 1e-9
# An hour counts at most so many times its week's mean in the profile: one crash is not a habit.
_PROFILE_CAP: Final = 5.0
_PROFILE_RATE: Final = 1.0 - 0.5 ** (1 / 52)
_PROFILE_AFTER_HOURS: Final = 336
# Below this share of the mean, a quiet hour would blow the sign of a small move up.
_QUIET_FLOOR: Final = 0.1

TERMS: Final = (
    "one", "season",
    "range_8", "range_24", "range_72", "range_240", "range_720",
    "absolute_8", "absolute_24", "absolute_72", "absolute_720",
    "trend_24", "size_of_trend_6", "size_of_trend_24", "size_of_trend_48", "size_of_trend_120",
    "market_trend_24", "market_trend_120",
    "fresh_8_240_in_season", "fresh_24_720_in_season", "fresh_3_24_in_season",
)  # fmt: skip
"""Terms of the forecast's logarithm, in the order of the rows of `SeasonalVolatility.terms`."""


def hour_of_week(hour: int) -> int:
    """Place in the week of an hour since 1970; 0 is Monday 00:00 UTC.

    >>> hour_of_week(96)
    0
    """
    return (hour - _MONDAY_HOUR) % WEEK_HOURS


def garman_klass(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Variance of each bar from its four prices; never negative when low <= open, close <= high."""
    spread, move = np.log(high / low), np.log(close / open_)
    variance: FloatArray = np.maximum(0.5 * spread * spread - (2.0 * np.log(2.0) - 1.0) * move * move, 0.0)
    return variance


class SeasonalVolatility:
    """The state of every row, moved by `step`, one hour at a time for each row.

    rows: how many symbols. profile: shape (168,), share of variance by hour of week, mean 1, to begin with; a
    year of the symbol's own takes half its place. phase: shape (rows,), the hour of week 0 to 167 at which a
    row's profile and its year are looked at again, so that the work spreads over the week.
    """

    def __init__(self, rows: int, profile: FloatArray, phase: IntArray) -> None:
        self.rows = rows
        self._phase = phase
        self.hour = np.full(rows, NEVER, dtype=np.int64)
        """The newest hour (since 1970) of each row, or NEVER."""
        self.n = np.zeros(rows, dtype=np.int64)
        """Hours taken, of each row."""
        self.means = np.zeros((len(_KIND), rows))
        self._weight = np.zeros((len(_KIND), rows))
        self._log_close = np.full(rows, np.nan)
        self._squares = np.full((HORIZON_HOURS, rows), np.nan)
        # What is large is kept in single precision: it is part of every snapshot.
        self._season = np.repeat(profile[:, None].astype(np.float32), rows, axis=1)
        self._share = np.empty((WEEK_HOURS, rows), dtype=np.float32)
        self._log_ahead = np.empty((WEEK_HOURS, rows))
        self._days = np.full((rows, YEAR_DAYS), np.nan, dtype=np.float32)
        self.year_p90 = np.full(rows, np.nan)
        """90th percentile of the row's 24 h realised variance over its last year; NaN before 90 days."""
        self._learn(np.arange(rows))

    def step(self, rows: IntArray, hour: int, bars: FloatArray) -> None:
        """Take the closed bar of `hour` of these rows, which ascend; each newer than the row's newest.

        bars: shape (4, len(rows)): open, high, low, close.
        """
        at = slice(None) if len(rows) == self.rows else rows
        week, log_close = hour_of_week(hour), np.log(bars[3])
        follows = self.hour[at] == hour - 1
        move = np.where(follows, log_close - self._log_close[at], np.nan)
        self._clear_gap(rows[~follows], hour)
        self._log_close[at], self.hour[at] = log_close, hour
        self._squares[hour % HORIZON_HOURS, at] = move * move
        self.n[at] += 1
        variance = garman_klass(*bars)
        self._observe_season(at, week, variance)
        self._observe(at, week, move, variance)
        due = self._phase[at] % HORIZON_HOURS == hour % HORIZON_HOURS
        if due.any():
            self._remember_day(rows[due], hour)
        due = self._phase[at] == week
        if due.any():
            self._learn(rows[due])
            self._look_at_year(rows[due])

    def day_variance(self) -> tuple[FloatArray, IntArray]:
        """Realised variance of the last 24 hours of each row, and how many hours are in it."""
        missing = np.isnan(self._squares)
        if not missing.any():
            return self._squares.sum(axis=0), np.full(self.rows, HORIZON_HOURS, dtype=np.int64)
        return np.where(missing, 0.0, self._squares).sum(axis=0), np.count_nonzero(~missing, axis=0)

    def terms(self, hour: int) -> FloatArray:
        """Terms of the forecast made at the close of `hour`, shape (len(TERMS), rows); see `TERMS`.

        A row whose newest hour is another is described as of its own. Rows that are not ready have no say in the
        market's terms.
        """
        logs = np.log(np.maximum(self.means[:_LOGGED], _TINY))
        trend = self.means[_TREND] * _TREND_SCALE / np.sqrt(np.maximum(self.means[_LOGGED - 1], _TINY))
        size = np.abs(trend)
        season = self.log_season(hour)
        terms = np.empty((len(TERMS), self.rows))
        terms[0] = 1.0
        terms[1] = season
        terms[2:7] = logs[1:6]
        np.multiply(logs[6:10], 2.0, out=terms[7:11])
        terms[11] = trend[1]
        terms[12:16] = size
        terms[16:18] = self._market(size[1::2], hour)
        np.multiply(logs[1] - logs[4], season, out=terms[18])
        np.multiply(logs[2] - logs[5], season, out=terms[19])
        np.multiply(logs[0] - logs[2], season, out=terms[20])
        return terms

    def log_season(self, hour: int) -> FloatArray:
        """Logarithm of the share of the mean variance that the 24 hours after `hour` usually have."""
        ahead: FloatArray = self._log_ahead[hour_of_week(hour)]
        return ahead

    def profile(self) -> FloatArray:
        """The weekly profile of each row, shape (168, rows), mean 1."""
        return self._share.astype(np.float64)

    def snapshot(self) -> dict[str, bytes]:
        """All arrays, as bytes, but for what follows from the others."""
        return {name: values.tobytes() for name, values in self._state().items()}

    def restore(self, snapshot: dict[str, bytes]) -> None:
        """Take back a snapshot of as many rows."""
        for name, values in self._state().items():
            values[...] = np.frombuffer(snapshot[name], dtype=values.dtype).reshape(values.shape)
        self._look_ahead(np.arange(self.rows))

    def _state(self) -> dict[str, np.ndarray[Any, Any]]:
        derived = {"_phase", "_log_ahead"}
        return {n: v for n, v in vars(self).items() if isinstance(v, np.ndarray) and n not in derived}

    def _market(self, size: FloatArray, hour: int) -> FloatArray:
        """Mean size of trend over the rows that are ready and not a day behind, shape (2, 1)."""
        known = (self.n >= MIN_HOURS) & (self.hour > hour - HORIZON_HOURS)
        count = np.count_nonzero(known)
        mean: FloatArray = np.where(known, size, 0.0).sum(axis=1, keepdims=True) / max(count, 1)
        return mean

    def _clear_gap(self, rows: IntArray, hour: int) -> None:
        """Forget the squares of hours that a row missed, as their place is about to be read as this day's."""
        for row in rows[self.hour[rows] != NEVER].tolist():
            missed = min(hour - int(self.hour[row]) - 1, HORIZON_HOURS)
            self._squares[np.arange(hour - missed, hour) % HORIZON_HOURS, row] = np.nan

    def _observe_season(self, at: slice | IntArray, week: int, variance: FloatArray) -> None:
        base, season = self.means[_BASE_ROW, at], self._season[week, at]
        usable = (base > 0) & (self.n[at] > _PROFILE_AFTER_HOURS)
        share = np.minimum(variance / np.where(usable, base, 1.0), _PROFILE_CAP)
        self._season[week, at] = season + np.where(usable, _PROFILE_RATE, 0.0) * (share - season)

    def _observe(self, at: slice | IntArray, week: int, move: FloatArray, variance: FloatArray) -> None:
        share = self._share[week, at].astype(np.float64)
        root = np.sqrt(share)
        size = np.abs(move) / root
        signed = move / np.maximum(root, _QUIET_FLOOR**0.5)
        seen = np.stack((variance / share, size, size * size, signed, variance))
        missing = np.isnan(seen)
        seen, weight, means = seen[_KIND], self._weight[:, at], self.means[:, at]
        if missing.any():
            there = ~missing[_KIND]
            rate = np.where(there, _RATE, 0.0)
            weight += rate * (1.0 - weight)
            means += rate / np.where(weight > 0, weight, 1.0) * (np.where(there, seen, 0.0) - means)
        else:
            # In place, term by term: this is the largest step of an hour.
            change = np.subtract(1.0, weight)
            change *= _RATE
            weight += change
            np.divide(_RATE, weight, out=change)
            seen -= means
            change *= seen
            means += change
        if not isinstance(at, slice):
            self._weight[:, at], self.means[:, at] = weight, means

    def _learn(self, rows: IntArray) -> None:
        """Take the profile of these rows from what was seen, smoothed over the hours beside each."""
        raw = np.ascontiguousarray(self._season[:, rows].T, dtype=np.float64)
        around = raw[:, _HOURS_AROUND]
        smooth = 0.25 * around[:, :-2] + 0.5 * raw + 0.25 * around[:, 2:]
        self._share[:, rows] = (smooth / (smooth.sum(axis=1, keepdims=True) / WEEK_HOURS)).T
        self._look_ahead(rows)

    def _look_ahead(self, rows: IntArray) -> None:
        """Sum each hour's next day of the profile."""
        share = self._share[:, rows][_HOURS_AHEAD].astype(np.float64)
        ahead = share.cumsum(axis=0)
        self._log_ahead[:, rows] = np.log((ahead[HORIZON_HOURS:-1] - ahead[:WEEK_HOURS]) / HORIZON_HOURS)

    def _remember_day(self, rows: IntArray, hour: int) -> None:
        """Put this day's variance into the row's year, in the place of the day a year ago."""
        variance, count = self.day_variance()
        day = np.where(count >= MIN_DAY_HOURS, variance, np.nan)
        self._days[rows, hour // HORIZON_HOURS % YEAR_DAYS] = day[rows]

    def _look_at_year(self, rows: IntArray) -> None:
        """Take the 90th percentile of each row's year."""
        year = np.sort(self._days[rows], axis=1)
        count = YEAR_DAYS - np.isnan(year).sum(axis=1)
        place = np.maximum(np.ceil(0.9 * count).astype(np.int64) - 1, 0)
        p90 = year[np.arange(len(rows)), place]
        self.year_p90[rows] = np.where(count >= MIN_YEAR_DAYS, p90, np.nan)

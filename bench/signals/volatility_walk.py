"""The product's own volatility model led through history, hour by hour, as it would have lived through it."""

from typing import Final

import msgspec
import numpy as np

from bench.signals.market import Candles
from regimes.maths import volatility
from regimes.maths.forecast import (
    HORIZON_HOURS,
    MIN_DAY_HOURS,
    MIN_HOURS,
    TERMS,
    WEEK_HOURS,
    SeasonalVolatility,
    garman_klass,
    hour_of_week,
)
from regimes.maths.forecast_fit import RunningFit, fit, log_forecast
from regimes.maths.stats import FloatArray, IntArray
from regimes.maths.volatility import BASELINE_HOURS, MIN_BASELINE_HOURS

EVERY_HOURS: Final = 6
HALF_LIFE_HOURS: Final = 17_520.0


class Walk(msgspec.Struct, frozen=True):
    """What was known at the close of each hour, and what came of it; NaN where nothing was known.

    terms: shape (terms, symbols, hours). All else: shape (symbols, hours). realised: variance of the 24 hours
    after. day, baseline: variances of the 24 hours and of a usual day of the 30 days before.
    """

    terms: FloatArray
    log_season: FloatArray
    year_p90: FloatArray
    realised: FloatArray
    day: FloatArray
    baseline: FloatArray
    profile: FloatArray


def walk(candles: Candles, profile: FloatArray) -> Walk:
    """Lead the model through all hours. profile: the weekly profile that it begins with."""
    symbols, hours = len(candles.symbols), candles.hours
    model = SeasonalVolatility(symbols, profile, np.arange(symbols) * 12 % WEEK_HOURS)
    terms = np.full((len(TERMS), symbols, hours), np.nan)
    season, p90, day = (np.full((symbols, hours), np.nan) for _ in range(3))
    for column in range(hours):
        bars = candles.bars[:4, :, column]
        rows = np.flatnonzero(~np.isnan(bars[3]))
        hour = candles.first_hour + column
        if not rows.size:
            continue
        model.step(rows, hour, bars[:, rows])
        variance, count = model.day_variance()
        known = (model.hour == hour) & (model.n >= MIN_HOURS)
        terms[:, known, column] = model.terms(hour)[:, known]
        season[:, column], p90[:, column] = model.log_season(hour), model.year_p90
        day[:, column] = np.where((count >= MIN_DAY_HOURS) & (variance > 0), variance, np.nan)
    realised = np.full_like(day, np.nan)
    realised[:, :-HORIZON_HOURS] = day[:, HORIZON_HOURS:]
    return Walk(terms, season, p90, realised, day, _baseline(candles), model.profile().mean(axis=1))


def first_profile(candles: Candles, until: int) -> FloatArray:
    """The pooled weekly profile of the hours before column `until`: mean share of the week around each hour."""
    bars = candles.bars[:, :, :until]
    weeks = until // WEEK_HOURS
    variance = garman_klass(*bars[:4, :, : weeks * WEEK_HOURS]).reshape(
        len(candles.symbols), weeks, WEEK_HOURS
    )
    known = ~np.isnan(variance).any(axis=2)
    share = variance[known] / variance[known].mean(axis=1, keepdims=True)
    profile = np.roll(np.minimum(share, 5.0).mean(axis=0), hour_of_week(candles.first_hour))
    found: FloatArray = profile / profile.mean()
    return found


def _baseline(candles: Candles) -> FloatArray:
    """Plain 30-day baseline variance of each hour, as `volatility.baseline_30d` gives it."""
    squares = np.full((len(candles.symbols), candles.hours), np.nan)
    squares[:, 1:] = volatility.log_returns(candles.bars[3]) ** 2
    found = np.full_like(squares, np.nan)
    for column in range(BASELINE_HOURS, candles.hours):
        base, count = volatility.baseline_30d(squares[:, column - BASELINE_HOURS + 1 : column + 1])
        found[:, column] = np.where(count >= MIN_BASELINE_HOURS, base * base, np.nan)
    return found


def evidence(
    found: Walk, until: int, *, after: int = 0, every: int = EVERY_HOURS
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Terms, outcomes and columns of the forecasts whose outcome was known before column `until`."""
    columns = np.arange(after, until - HORIZON_HOURS, every)
    terms, realised = found.terms[:, :, columns], found.realised[:, columns]
    there = ~np.isnan(terms[0]) & ~np.isnan(realised)
    return terms[:, there], realised[there], np.broadcast_to(columns, there.shape)[there]


def fitted(found: Walk, until: int, *, half_life_hours: float | None = None) -> tuple[FloatArray, FloatArray]:
    """Coefficients and information from all that was known before column `until`."""
    terms, realised, columns = evidence(found, until)
    age = 0.0 if half_life_hours is None else (until - columns) / half_life_hours
    return fit(terms, realised, np.broadcast_to(0.5**age, realised.shape))


def frozen_forecast(found: Walk, coefficients: FloatArray) -> FloatArray:
    """Logarithm of the forecast of every hour with coefficients that stay."""
    return log_forecast(found.terms, coefficients)


def running_forecast(found: Walk, start: int) -> FloatArray:
    """The same with coefficients that `RunningFit` goes on fitting after column `start`, NaN before it."""
    running = RunningFit(
        *fitted(found, start, half_life_hours=HALF_LIFE_HOURS), half_life_hours=HALF_LIFE_HOURS
    )
    forecast: FloatArray = np.full_like(found.realised, np.nan)
    for column in range(start, len(forecast[0])):
        origin = column - HORIZON_HOURS
        if origin % EVERY_HOURS == 0:
            running.age(EVERY_HOURS)
            known = ~np.isnan(found.terms[0, :, origin]) & ~np.isnan(found.realised[:, origin])
            if known.any():
                running.learn(found.terms[:, known, origin], found.realised[known, origin])
        forecast[:, column] = log_forecast(found.terms[:, :, column], running.coefficients)
    return forecast

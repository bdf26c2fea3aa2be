"""What one would take from a library or a textbook to forecast the next day's volatility."""

from typing import Final

import numpy as np

from bench.signals.volatility_walk import Walk
from regimes.maths.stats import FloatArray

TWO_YEARS: Final = 17_520
DAY: Final = 24
LAGS: Final = 22


def har(squares: FloatArray, found: Walk, start: int) -> FloatArray:
    """HAR-RV (Corsi, 2009): OLS of the next day's variance on those of the last day, week and month.

    Hourly origins, a window of two years, refit daily. Forecasts are held within what the window has seen.
    """
    forecast = np.full_like(found.realised, np.nan)
    for row, target in enumerate(found.realised):
        sums = [_mean_day(squares[row], hours) for hours in (DAY, 7 * DAY, 30 * DAY)]
        terms = np.column_stack([np.ones(len(target)), *sums])
        known = ~np.isnan(terms).any(axis=1) & ~np.isnan(target)
        for at in range(start, len(target), DAY):
            train = np.arange(max(at - DAY - TWO_YEARS, 0), at - DAY + 1)
            train = train[known[train]]
            if len(train) < 30 * DAY:
                continue
            slopes = np.linalg.lstsq(terms[train], target[train], rcond=None)[0]
            guess = terms[at : at + DAY] @ slopes
            forecast[row, at : at + DAY] = np.clip(guess, target[train].min(), target[train].max())
    return forecast


def month(found: Walk) -> FloatArray:
    """The mean day of the last 30."""
    return found.baseline


def garch(returns: FloatArray, start: int, *, every: int = 30 * DAY) -> FloatArray:
    """GARCH(1,1) of hourly returns by `arch`, refit monthly on two years; sum of the next 24 hours' variances."""
    from arch import arch_model  # noqa: PLC0415  # only who asks for this peer needs the library

    forecast = np.full_like(returns, np.nan)
    for row, series in enumerate(returns):
        for at in range(start, len(series), every):
            first, last = max(at - TWO_YEARS, 0), min(at + every, len(series))
            part = np.nan_to_num(series[first:last]) * 100.0
            if np.count_nonzero(part[: at - first]) < 60 * DAY:
                continue
            fit = arch_model(part, mean="Zero", vol="GARCH", p=1, q=1).fit(last_obs=at - first, disp="off")
            omega, alpha, beta = (float(value) for value in fit.params)
            forecast[row, at:last] = _garch_day(part, omega, alpha, min(beta, 0.9999 - alpha))[at - first :]
    return forecast / 1e4


def autoregressive(found: Walk, start: int, *, every: int = 30 * DAY) -> FloatArray:
    """Autoregression of 22 days of log daily variance by `statsmodels`, refit monthly on two years, at every hour."""
    from statsmodels.tsa.ar_model import AutoReg  # noqa: PLC0415

    forecast = np.full_like(found.realised, np.nan)
    for row, variance in enumerate(found.day):
        logs = np.log(variance)
        for at in range(start, len(logs), every):
            days = logs[max(at - TWO_YEARS, 0) : at : DAY]
            days = days[~np.isnan(days)]
            if len(days) < 60 + LAGS:
                continue
            fit = AutoReg(days, LAGS).fit()
            spread = float(np.var(fit.resid))
            origins = np.arange(at, min(at + every, len(logs)))
            lagged = logs[origins[:, None] - DAY * np.arange(LAGS)]
            forecast[row, origins] = np.exp(fit.params[0] + lagged @ fit.params[1:] + spread / 2)
    return forecast


def _garch_day(returns: FloatArray, omega: float, alpha: float, beta: float) -> FloatArray:
    """Sum of the variances of the 24 hours after each hour."""
    usual, stays = omega / (1.0 - alpha - beta), alpha + beta
    ahead = np.empty_like(returns)
    variance = float(np.var(returns))
    for at, value in enumerate(returns.tolist()):
        variance = omega + alpha * value * value + beta * variance
        ahead[at] = variance
    total: FloatArray = DAY * usual + (ahead - usual) * (1.0 - stays**DAY) / (1.0 - stays)
    return total


def _mean_day(squares: FloatArray, hours: int) -> FloatArray:
    filled, there = np.nan_to_num(squares), ~np.isnan(squares)
    sums, counts = (np.concatenate(([0.0], np.cumsum(values))) for values in (filled, there))
    found = np.full(len(squares), np.nan)
    enough = counts[hours:] - counts[:-hours] >= hours * 20 / 24
    found[hours - 1 :] = np.where(enough, (sums[hours:] - sums[:-hours]) * DAY / hours, np.nan)
    return found

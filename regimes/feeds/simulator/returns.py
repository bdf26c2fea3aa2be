"""Hours of a synthetic market: stochastic volatility, an hour-of-week season, one common factor.

log volatility is a first-order autoregression, common and of each symbol, as in Taylor's stochastic volatility
model; returns are a common Student shock and a symbol's own one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from regimes.feeds.simulator.profiles import Profile
from regimes.feeds.simulator.scenarios import Cascade, Shaping
from regimes.feeds.simulator.source import FloatArray, IntArray
from regimes.timeframe import HOUR_MS

_SHOCK_FREEDOM: Final = 5.0
_FIRST_SUNDAY_HOUR: Final = 72  # 1970-01-04 00:00 UTC
_PREMIUM_SPREAD: Final = 0.0007


@dataclass(frozen=True, slots=True)
class HourlyMarket:
    """Hours of all symbols.

    open_ms: shape (hours,). open, high, low, close, volume_usd, premium, interest: shape (symbols, hours); prices are
    unrounded spot prices, premium is the perpetual's over spot, interest multiplies usual open interest.
    """

    open_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume_usd: FloatArray
    premium: FloatArray
    interest: FloatArray


def generate(
    profiles: Sequence[Profile], open_ms: IntArray, start_row: int, shaping: Shaping, rng: np.random.Generator
) -> HourlyMarket:
    """Draw every hour at once; each symbol is worth its profile's price at `start_row`."""
    symbols, hours = len(profiles), len(open_ms)
    usual = np.array([p.volatility for p in profiles])[:, None]
    level = season(open_ms) * _volatility(symbols, hours, rng)
    # An explosion starts from no less than the usual level, however quiet the market was.
    level = np.where(shaping.volatility > 1, np.maximum(level, 1.0) * shaping.volatility, level)
    sigma = usual * level
    returns = sigma * _shocks(profiles, shaping, rng)
    for cascade in shaping.cascades:
        row = int((cascade.onset_ms - open_ms[0]) // HOUR_MS)
        regained = np.array([cascade.recovery_of(symbol) for symbol in range(symbols)])
        returns[:, row] = -beta(profiles) * cascade.fall * (1 - regained)
    log_close = np.cumsum(returns, axis=1)
    log_close += np.log([p.price for p in profiles])[:, None] - log_close[:, start_row : start_row + 1]
    close = np.exp(log_close)
    open_ = np.exp(log_close - returns)
    reach = np.abs(rng.standard_normal((2, symbols, hours))) * sigma * 0.45
    high = np.maximum(open_, close) * np.exp(reach[0])
    low = np.minimum(open_, close) * np.exp(-reach[1])
    traded = np.array([p.hourly_volume_usd for p in profiles])[:, None] * season(open_ms) ** 2
    volume = traded * (0.6 + np.abs(returns) / usual) * rng.lognormal(0.0, 0.35, (symbols, hours))
    premium = _PREMIUM_SPREAD * _autoregression(symbols, hours, 0.9, rng) + 0.00002 + shaping.premium
    interest = np.exp(0.15 * _autoregression(symbols, hours, 0.995, rng))
    for cascade in shaping.cascades:
        after = int((cascade.onset_ms - open_ms[0]) // HOUR_MS) + 1
        interest[:, after:] *= 0.88
    return HourlyMarket(open_ms, open_, high, low, close, volume, premium, interest)


def beta(profiles: Sequence[Profile]) -> FloatArray:
    """How far each symbol moves where the first of the known ones, BTC, moves one; shape (symbols,)."""
    return np.array([p.volatility * p.loading for p in profiles]) / 0.0042


def cascade_prices(
    cascade: Cascade, own_beta: float, recovery: float, hour_open_ms: int, open_: float
) -> list[tuple[int, float]]:
    """Where the price of one symbol stands in the cascade's hour: (second of the hour, price) pairs."""
    onset = (cascade.onset_ms - hour_open_ms) // 1000
    low_at = onset + cascade.fall_ms // 1000
    fall = own_beta * cascade.fall
    marks = [(0, 0.0), (max(1, onset // 2), 0.03), (onset, 0.0), (low_at, -1.0)]
    marks += [((low_at + 3599) // 2, -1.0 + 1.1 * recovery), (3599, -1.0 + recovery)]
    return [(at, open_ * float(np.exp(fall * part))) for at, part in marks]


def season(open_ms: IntArray) -> FloatArray:
    """Volatility by hour of week, about 1 on average: busiest when New York opens, quiet at weekends."""
    hour_of_week = (open_ms // HOUR_MS - _FIRST_SUNDAY_HOUR) % 168
    hour, day = hour_of_week % 24, hour_of_week // 24
    daily = 0.9 + 0.4 * np.exp(-(((hour - 15) / 3.5) ** 2))
    weekend = np.isin(day, (0, 6))
    return np.asarray(daily * np.where(weekend, 0.7, 1.06), dtype=np.float64)


def _volatility(symbols: int, hours: int, rng: np.random.Generator) -> FloatArray:
    common = 0.35 * _autoregression(1, hours, 0.985, rng)
    own = 0.20 * _autoregression(symbols, hours, 0.97, rng)
    return np.asarray(np.exp(common + own - 0.08), dtype=np.float64)


def _shocks(profiles: Sequence[Profile], shaping: Shaping, rng: np.random.Generator) -> FloatArray:
    """Shocks of unit variance, tied to a common one by each symbol's loading; shape (symbols, hours)."""
    symbols, hours = shaping.loading.shape
    unit = np.sqrt((_SHOCK_FREEDOM - 2) / _SHOCK_FREEDOM)
    common = rng.standard_t(_SHOCK_FREEDOM, hours) * unit
    common = np.where(common < 0, -1.0, 1.0) * np.maximum(np.abs(common), shaping.least_shock)
    own = rng.standard_t(_SHOCK_FREEDOM, (symbols, hours)) * unit
    loading = np.array([p.loading for p in profiles])[:, None] * shaping.loading
    return np.asarray(loading * common + np.sqrt(1 - loading**2) * own, dtype=np.float64)


def _autoregression(symbols: int, hours: int, phi: float, rng: np.random.Generator) -> FloatArray:
    """First-order autoregressions of unit variance; shape (symbols, hours)."""
    noise = rng.standard_normal((hours, symbols)) * np.sqrt(1 - phi**2)
    noise[0] /= np.sqrt(1 - phi**2)
    for row in range(1, hours):
        noise[row] += phi * noise[row - 1]
    return np.asarray(noise.T, dtype=np.float64)

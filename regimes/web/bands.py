"""Volatility state of each hourly bar of the past, for the background of a chart."""

from collections.abc import Sequence

import numpy as np

from regimes.features.volatility_regime.settings import REGIMES, VolatilitySettings
from regimes.maths import volatility
from regimes.maths.stats import FloatArray
from regimes.maths.volatility import BASELINE_HOURS, MIN_BASELINE_HOURS, MIN_DAY_HOURS
from regimes.observations import Candle
from regimes.timeframe import HOUR_MS


def states(bars: Sequence[Candle], rules: VolatilitySettings, newest: int) -> dict[int, str]:
    """State by open time of the `newest` bars, as far as there is history enough behind them.

    bars: closed hourly bars, oldest first. By the thresholds for entering a state alone, bar by bar; the live signal
    also holds on to a state for a while.
    """
    if not bars:
        return {}
    grid = _closes(bars, min(newest, len(bars)) + BASELINE_HOURS)
    squares = volatility.log_returns(grid) ** 2
    windows = np.lib.stride_tricks.sliding_window_view(squares, BASELINE_HOURS)
    vol, n_24h = volatility.volatility_24h(windows)
    base, n = volatility.baseline_30d(windows)
    levels = rules.levels(vol, volatility.ratio(vol, base))
    ready = (n >= MIN_BASELINE_HOURS) & (n_24h >= MIN_DAY_HOURS) & ~np.isnan(grid[BASELINE_HOURS:])
    first_ms = bars[-1].open_ms - (len(windows) - 1) * HOUR_MS
    return {first_ms + int(row) * HOUR_MS: REGIMES[int(levels[row])] for row in np.flatnonzero(ready)}


def _closes(bars: Sequence[Candle], hours: int) -> FloatArray:
    """One close an hour up to the newest bar, NaN where there is none."""
    grid = np.full(hours, np.nan)
    for bar in bars[-hours:]:
        place = hours - 1 - (bars[-1].open_ms - bar.open_ms) // HOUR_MS
        if place >= 0:
            grid[place] = bar.close
    return grid

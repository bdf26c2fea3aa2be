"""Made-up markets whose answer is known."""

from typing import Final

import numpy as np

from regimes.study.score.series import Series
from regimes.study.score.table import Onset
from regimes.timeframe import DAY_MS

START_MS: Final = 1_672_531_200_000 - 40 * DAY_MS
FROM_MS: Final = 1_672_531_200_000
HOURLY: Final = 0.005
STEPS: Final = 16
"""Prices within an hour."""


def series(
    weeks: int, *, seed: int = 1, louder: dict[int, float] | None = None, symbol: str = "BTC/USDT"
) -> Series:
    """Random hourly bars from 40 days before FROM_MS on. louder: by place, how much more that hour moves."""
    rng = np.random.default_rng(seed)
    hours = 40 * 24 + weeks * 168
    scale = np.full(hours, HOURLY)
    for place, factor in (louder or {}).items():
        scale[place] *= factor
    steps = rng.normal(0.0, 1.0, (hours, STEPS)) * scale[:, None] / np.sqrt(STEPS)
    paths = np.exp(np.cumsum(steps.ravel())).reshape(hours, STEPS) * 100
    opens = np.concatenate([[100.0], paths[:-1, -1]])
    inside = np.column_stack([opens, paths])
    unknown = np.full(hours, np.nan)
    return Series(
        symbol,
        START_MS,
        opens,
        inside.max(axis=1),
        inside.min(axis=1),
        paths[:, -1],
        unknown,
        unknown,
        np.zeros(hours),
    )


def onset(
    ts_ms: int, *, symbol: str = "BTC/USDT", kind: str = "VOLATILITY_REGIME", variant: str = "HIGH_VOL"
) -> Onset:
    return Onset(kind, variant, symbol, (symbol,), ts_ms)

"""An invented market as arrays: what every way of computing the signals is given."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WEEK: Final = 168
DAY: Final = 24
MONTH: Final = 720
BARS: Final = 20
FRAMES: Final = 4
SETTLEMENTS: Final = 90
LIQUIDATIONS: Final = 20_000
VELOCITY_HOURS: Final = (1, 4, 12, 24)


class Data(NamedTuple):
    """Rows are symbols, oldest first.

    returns: hourly log returns, (symbols, 888): 7 days and the 30 days before them. closes, volumes: (timeframes,
    symbols, 20), the newest bars of each timeframe. rates: settled funding, (symbols, 90). Liquidations of the last
    24 hours: symbol, age in hours, and USD, each (n,).
    """

    returns: FloatArray
    closes: FloatArray
    volumes: FloatArray
    rates: FloatArray
    liquidated: IntArray
    age_hours: FloatArray
    usd: FloatArray


def invent(symbols: int, seed: int = 1) -> Data:
    """Draw a market in which symbols move together, volumes are log-normal and funding has fat tails."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.006, (1, MONTH + WEEK))
    returns = shared + rng.normal(0, 0.006, (symbols, MONTH + WEEK))
    steps = rng.normal(0, 0.01, (FRAMES, symbols, BARS))
    return Data(
        returns=returns,
        closes=100 * np.exp(np.cumsum(steps, axis=2)),
        volumes=rng.lognormal(3, 1, (FRAMES, symbols, BARS)),
        rates=rng.standard_t(3, (symbols, SETTLEMENTS)) * 1e-4,
        liquidated=rng.integers(0, symbols, LIQUIDATIONS),
        age_hours=rng.uniform(0, DAY, LIQUIDATIONS),
        usd=rng.lognormal(8, 1.5, LIQUIDATIONS),
    )

"""What each symbol of the synthetic market is like: its price, how it moves, how much of it is traded."""

from math import ceil, floor, log10
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np

from regimes.feeds.simulator.source import Listing, Venue


class Profile(NamedTuple):
    """One symbol's character.

    volatility: one standard deviation of an hourly return. loading: correlation of its returns with the market's.
    hourly_volume_usd, hourly_liquidations_usd: on an ordinary hour. open_interest_usd: contracts open.
    """

    symbol: str
    price: float
    volatility: float
    loading: float
    hourly_volume_usd: float
    hourly_liquidations_usd: float
    open_interest_usd: float


_KNOWN: Final = {
    "BTC/USDT": (95_000.0, 0.0045, 0.94, 400e6, 15_000.0, 8e9),
    "ETH/USDT": (3_300.0, 0.0058, 0.93, 250e6, 13_000.0, 5e9),
    "SOL/USDT": (200.0, 0.0075, 0.89, 90e6, 7_000.0, 1.5e9),
    "BNB/USDT": (680.0, 0.0055, 0.85, 25e6, 2_500.0, 6e8),
    "XRP/USDT": (2.4, 0.0080, 0.80, 80e6, 6_000.0, 1.2e9),
    "DOGE/USDT": (0.33, 0.0085, 0.85, 50e6, 4_000.0, 9e8),
    "ADA/USDT": (0.95, 0.0080, 0.85, 20e6, 2_000.0, 4e8),
    "LINK/USDT": (22.0, 0.0080, 0.84, 15e6, 1_500.0, 3e8),
    "LTC/USDT": (110.0, 0.0070, 0.80, 15e6, 1_200.0, 3e8),
}
_SIGNIFICANT_DIGITS: Final = 6
_QTY_STEP_USD: Final = 100.0


def profile(symbol: str) -> Profile:
    """Look a symbol up, or draw a plausible smaller one from its name alone."""
    if symbol in _KNOWN:
        return Profile(symbol, *_KNOWN[symbol])
    rng = np.random.default_rng(crc32(symbol.encode()))
    size = float(rng.lognormal(0.0, 1.0))
    return Profile(
        symbol,
        price=float(np.exp(rng.uniform(np.log(1e-4), np.log(50.0)))),
        volatility=float(rng.uniform(0.007, 0.013)),
        loading=float(rng.uniform(0.55, 0.85)),
        hourly_volume_usd=3e6 * size,
        hourly_liquidations_usd=350.0 * size,
        open_interest_usd=4e7 * size,
    )


def listing(character: Profile, venue: Venue) -> Listing:
    """Name and precision of a symbol: prices to six significant digits, quantities to about 100 USD."""
    base, quote = character.symbol.split("/")
    price_decimals = max(0, _SIGNIFICANT_DIGITS - 1 - floor(log10(character.price)))
    finer = 2 if venue == "spot" else 0
    qty_decimals = max(0, min(8, ceil(log10(character.price / _QTY_STEP_USD)) + finer))
    return Listing(base + quote, base, quote, price_decimals, qty_decimals)

"""A synthetic order book: levels on a fixed price grid, sizes that last some seconds, walls that stay."""

from typing import Final

import numpy as np

from regimes.feeds.simulator.source import Book, FloatArray, IntArray

_LEVELS: Final = 100
_SIZE_LASTS_MS: Final = 10_000
_WALL_EVERY: Final = 40
_WALL_SIZE: Final = 14.0
_MIX = np.uint64(0x9E3779B97F4A7C15)
_STIR = np.uint64(0xBF58476D1CE4E5B9)


def grid_step(price: float, decimals: int) -> float:
    """Distance of levels: about two basis points of a reference price, a whole number of ticks."""
    return max(round(price * 2e-4, decimals), 10.0**-decimals)


def make_book(price: float, step: float, level_qty: float, key: int, at_ms: int, *, walls: bool) -> Book:
    """The book around `price`: 100 levels a side, `step` apart.

    level_qty: median size of a level. With `walls`, every 40th level of the grid holds 14 times that, whatever the
    price does. key: distinguishes instruments.
    """
    best_ask = int(np.floor(price / step)) + 1
    asks = np.arange(best_ask, best_ask + _LEVELS, dtype=np.int64)
    bids = np.arange(best_ask - 1, max(0, best_ask - 1 - _LEVELS), -1, dtype=np.int64)
    epoch = at_ms // _SIZE_LASTS_MS
    sizes = [level_qty * _sizes(side, key, epoch, walls=walls) for side in (bids, asks)]
    prices = [np.asarray(side * step, dtype=np.float64) for side in (bids, asks)]
    return Book(prices[0], sizes[0], prices[1], sizes[1])


def flat_book(price: float, tick: float, qty: float) -> Book:
    """The least that can be said of a book that was not recorded: one level a side, a tick apart."""
    return Book(np.array([price]), np.array([qty]), np.array([price + tick]), np.array([qty]))


def _sizes(levels: IntArray, key: int, epoch: int, *, walls: bool) -> FloatArray:
    """Relative sizes around 1; a quarter of the levels change at each epoch."""
    held = (epoch + levels) // 4
    noise = _noise(levels.astype(np.uint64), np.uint64(key & 0xFFFFFFFF), held.astype(np.uint64))
    size = np.exp(1.2 * (noise - 0.5))
    return np.asarray(np.where(walls & (levels % _WALL_EVERY == 0), _WALL_SIZE, size), dtype=np.float64)


def _noise(*words: np.ndarray | np.uint64) -> FloatArray:
    """Hash words into numbers spread over [0, 1)."""
    mixed = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for word in words:
            mixed = (mixed ^ word) * _MIX
            mixed = (mixed ^ (mixed >> np.uint64(29))) * _STIR
            mixed ^= mixed >> np.uint64(32)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**53, dtype=np.float64)

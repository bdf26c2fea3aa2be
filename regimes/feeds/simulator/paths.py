"""How a price walked inside one bar: a deterministic path that touches its open, high, low and close."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from regimes.feeds.simulator.source import FloatArray

_ROUGHNESS: Final = 0.5
"""Size of the wobble between two knots, as a share of the way between them."""
_LEAST_ROUGHNESS: Final = 0.05
"""Its least size, as a share of the bar's range."""


class Knots(NamedTuple):
    """Prices the path goes through, and the second of the bar at which it does; the first is 0."""

    at_s: Sequence[int]
    price: Sequence[float]


def bar_knots(
    open_: float, high: float, low: float, close: float, seconds: int, rng: np.random.Generator
) -> Knots:
    """Place a bar's extremes in time: a rising bar usually makes its low first."""
    early, late = sorted(rng.choice(np.arange(1, seconds - 1), size=2, replace=False).tolist())
    low_first = (rng.random() < 0.7) == (close >= open_)
    extremes = (low, high) if low_first else (high, low)
    return Knots((0, early, late, seconds - 1), (open_, *extremes, close))


def walk(knots: Knots, decimals: int, rng: np.random.Generator) -> FloatArray:
    """One price a second, shape (last knot + 1,), through every knot and never beyond their range.

    A Brownian bridge between the knots, folded back where it would leave the range, rounded to `decimals`.
    """
    at, price = np.asarray(knots.at_s), np.asarray(knots.price, dtype=np.float64)
    seconds = int(at[-1]) + 1
    low = price.min()
    span = price.max() - low
    clock = np.arange(seconds)
    line = np.interp(clock, at, price)
    if span > 0:
        noise = np.cumsum(rng.standard_normal(seconds)) / np.sqrt(seconds / len(at))
        bridge = noise - np.interp(clock, at, noise[at])
        ways = np.repeat(np.abs(np.diff(price)), np.diff(at))
        size = np.append(_ROUGHNESS * ways, 0.0) + _LEAST_ROUGHNESS * span
        folded = np.mod(line + size * bridge - low, 2 * span)
        line = low + np.where(folded > span, 2 * span - folded, folded)
    path: FloatArray = np.round(line, decimals)
    path[at] = price
    return path

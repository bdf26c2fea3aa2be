"""Notional by price, old notional counting less and less."""

from math import exp, floor, log
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MOST_CELLS: Final = 4096
"""Prices kept for one symbol; beyond it the lighter half goes."""
_REBASE_AFTER: Final = 32
"""Half-lives after which weights are scaled down, so that they stay far from overflow."""


class PriceDensity:
    """A histogram over log price in which each amount loses half its weight every `half_life_ms`.

    cell: width in log price. Forward decay (Cormode et al., 2009): an amount is scaled up by its own time once, so
    that nothing is touched again while time passes, and late amounts fall where they belong.
    """

    def __init__(self, half_life_ms: int, cell: float) -> None:
        self._half_life_ms = half_life_ms
        self._cell = cell
        self._landmark_ms: int | None = None
        self._weights: dict[int, float] = {}

    def add(self, ts_ms: int, price: float, usd: float) -> None:
        """Take one amount. price: positive."""
        if self._landmark_ms is None:
            self._landmark_ms = ts_ms
        age = (ts_ms - self._landmark_ms) / self._half_life_ms
        if age > _REBASE_AFTER:
            self._rebase(ts_ms)
            age = 0.0
        weights, key = self._weights, floor(log(price) / self._cell)
        weights[key] = weights.get(key, 0.0) + usd * 2.0**age
        if len(weights) > MOST_CELLS:
            heaviest = sorted(weights.items(), key=lambda item: -item[1])[: MOST_CELLS // 2]
            self._weights = dict(sorted(heaviest))

    def copy(self) -> "PriceDensity":
        """What it is now, to be looked at later."""
        copy = PriceDensity(self._half_life_ms, self._cell)
        copy._landmark_ms, copy._weights = self._landmark_ms, self._weights.copy()
        return copy

    def levels(self, now_ms: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Log prices (the middle of each cell) and the notional left there at `now_ms`, both shape (n,)."""
        keys = np.fromiter(self._weights.keys(), np.float64, len(self._weights))
        weights = np.fromiter(self._weights.values(), np.float64, len(self._weights))
        landmark = now_ms if self._landmark_ms is None else self._landmark_ms
        left = exp(-log(2) * (now_ms - landmark) / self._half_life_ms)
        return (keys + 0.5) * self._cell, weights * left

    def snapshot(self) -> dict[str, Any]:
        """Weights as they are held."""
        return {"landmark_ms": self._landmark_ms, "cells": [[key, w] for key, w in self._weights.items()]}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot."""
        self._landmark_ms = snapshot["landmark_ms"]
        self._weights = dict(snapshot["cells"])

    def _rebase(self, landmark_ms: int) -> None:
        """Begin to count from a later time; what has faded to less than a cent goes."""
        scale = 2.0 ** (-(landmark_ms - (self._landmark_ms or 0)) / self._half_life_ms)
        scaled = {key: weight * scale for key, weight in self._weights.items()}
        self._weights = {key: weight for key, weight in scaled.items() if weight >= 0.01}
        self._landmark_ms = landmark_ms

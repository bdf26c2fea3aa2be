"""Noticing that two series no longer move together as they did, hour by hour and for many pairs at once."""

from typing import Final

import numpy as np

from regimes.maths.discovery import false_discovery_rates
from regimes.maths.stats import FloatArray, IntArray

FREEDOM: Final = 4.0
"""Degrees of freedom of the bivariate t."""
SHIFT: Final = 0.9
"""By how much Fisher's z of the correlation has changed in a break."""
THRESHOLDS: Final = np.array([[6.7], [17.8]])
"""Evidence for less and for more correlation, that BTC, ETH and SOL reached 0.9 and 0.1 times a pair and 30 days before
2023: what is sought is what no longer moves together. See bench/signals/correlation.py."""
TAIL: Final = 0.3
"""How much rarer more evidence was there: exp(-TAIL) for each unit."""
_SHIFT_R: Final = float(np.tanh(SHIFT))
_VOLATILITY_HOURS: Final = 24.0
_NORMAL_HOURS: Final = 720.0
_LAG_HOURS: Final = 24
_NEEDED_HOURS: Final = 500
_VARIANCE_NEEDED: Final = 48
_LARGEST_SQUARE: Final = 9.0
_LARGEST_R: Final = 0.97
_LARGEST_EVIDENCE: Final = 40.0
_Q: Final = 0.01


class CorrelationWatch:
    """CUSUM (Page, 1954) of the log-likelihood ratio of a bivariate t, on returns over their own volatility.

    What is normal for a pair is an exponentially weighted correlation with a half-life of 30 days, that ends a day
    ago. first, second: rows of each watched pair. Evidence is gathered for a higher and for a lower correlation. `arrays` is all state.
    """

    def __init__(self, rows: int, first: IntArray, second: IntArray) -> None:
        self.first, self.second = first, second
        pairs = len(first)
        self.arrays: dict[str, FloatArray] = {
            "variance": np.full(rows, np.nan),
            "known": np.zeros(rows),
            "recent": np.full((_LAG_HOURS, rows), np.nan),
            "products": np.zeros((4, pairs)),
            "hours": np.zeros(pairs),
            "evidence": np.zeros((2, pairs)),
        }

    def step(self, returns: FloatArray) -> None:
        """Take one hour: shape (rows,), NaN where a return is missing. Pairs that miss one keep their evidence."""
        state = self.arrays
        variance = state["variance"]
        scaled = returns / np.sqrt(np.where(variance > 0, variance, np.nan))
        scaled[state["known"] < _VARIANCE_NEEDED] = np.nan
        normal = self._normal()
        self._weigh(scaled, normal)
        self._make_normal(state["recent"][0], normal)
        state["recent"][:-1] = state["recent"][1:]
        state["recent"][-1] = scaled
        square = returns * returns
        there = ~np.isnan(square)
        first = there & np.isnan(variance)
        variance[first] = square[first]
        going_on = there & ~first
        keep = 0.5 ** (1.0 / np.minimum(_VOLATILITY_HOURS, state["known"][going_on] / 2 + 1))
        # A single jump does not make the hours after it look calm.
        bounded = np.minimum(square[going_on], np.maximum(_LARGEST_SQUARE * variance[going_on], 1e-16))
        variance[going_on] = keep * variance[going_on] + (1.0 - keep) * bounded
        state["known"][there] += 1

    def strength(self) -> FloatArray:
        """Evidence of each pair over its threshold, so 1 is one false alarm in 30 days; NaN while it is not known."""
        strongest = (self.arrays["evidence"] / THRESHOLDS).max(axis=0)
        return np.where(self.arrays["hours"] >= _NEEDED_HOURS, strongest, np.nan)

    def broken(self) -> IntArray:
        """Pairs whose break is no chance among all that are watched (Benjamini and Hochberg)."""
        known = np.flatnonzero(self.arrays["hours"] >= _NEEDED_HOURS)
        if not known.size:
            return known
        beyond = (self.arrays["evidence"][:, known] - THRESHOLDS).max(axis=0)
        chance = _Q * np.exp(np.minimum(-TAIL * beyond, -np.log(_Q)))
        rates = false_discovery_rates(chance.tolist())
        return known[rates <= _Q * (1 + 1e-9)]

    def _weigh(self, scaled: FloatArray, normal: FloatArray) -> None:
        """Move the evidence of each pair by its newest returns."""
        evidence = self.arrays["evidence"]
        both, product = self._moments(scaled)
        watched = (self.arrays["hours"] >= _NEEDED_HOURS) & ~np.isnan(product)
        if not watched.any():
            return
        usual = _log_density(both, product, normal)
        for side, shift in enumerate((-_SHIFT_R, _SHIFT_R)):
            other = (normal + shift) / (1.0 + normal * shift)
            gained = _log_density(both, product, other) - usual
            held = np.clip(evidence[side] + gained, 0.0, _LARGEST_EVIDENCE)
            evidence[side] = np.where(watched, held, evidence[side])

    def _moments(self, scaled: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sum of squares and product of both returns of each pair, over the scale that the t has found for them."""
        _, uu, vv, weight = self.arrays["products"]
        known = (uu > 0) & (vv > 0)
        u, v = scaled[self.first], scaled[self.second]
        by_u, by_v = (np.where(known, weight / np.where(known, square, 1.0), 1.0) for square in (uu, vv))
        return u * u * by_u + v * v * by_v, u * v * np.sqrt(by_u * by_v)

    def _normal(self) -> FloatArray:
        """The usual correlation of each pair, 0 while nothing is known."""
        uv, uu, vv, _ = self.arrays["products"]
        spread = np.sqrt(uu * vv)
        r = np.where(spread > 0, uv / np.where(spread > 0, spread, 1.0), 0.0)
        return np.clip(r, -_LARGEST_R, _LARGEST_R)

    def _make_normal(self, scaled: FloatArray, normal: FloatArray) -> None:
        """Let the returns of a day ago count as normal; far ones less (the t's maximum likelihood, online)."""
        u, v = scaled[self.first], scaled[self.second]
        there = ~np.isnan(u + v)
        weight = (FREEDOM + 2.0) / (FREEDOM + _distance(*self._moments(scaled), normal))
        new = np.stack((weight * u * v, weight * u * u, weight * v * v, np.ones_like(u)))
        keep = 0.5 ** (1.0 / _NORMAL_HOURS)
        products = self.arrays["products"]
        products[...] = np.where(there, keep * products + new, products)
        self.arrays["hours"] += there


def _log_density(both: FloatArray, product: FloatArray, r: FloatArray) -> FloatArray:
    """Logarithm of the bivariate t density, but for what does not depend on `r`."""
    far = np.log1p(_distance(both, product, r) / FREEDOM)
    return np.asarray(-0.5 * np.log(1.0 - r * r) - 0.5 * (FREEDOM + 2.0) * far, dtype=np.float64)


def _distance(both: FloatArray, product: FloatArray, r: FloatArray) -> FloatArray:
    """Squared Mahalanobis distance."""
    return np.asarray((both - 2.0 * r * product) / (1.0 - r * r), dtype=np.float64)

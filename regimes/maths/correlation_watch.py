"""Noticing that two series no longer move together as they did, hour by hour and for many pairs at once."""

from functools import cached_property
from typing import Final

import numpy as np

from regimes.maths.correlation import BoolArray
from regimes.maths.discovery import false_discovery_rates
from regimes.maths.stats import FloatArray, IntArray

FREEDOM: Final = 4.0
"""Degrees of freedom of the bivariate t."""
SHIFT: Final = 1.1
"""By how much Fisher's z of the correlation has changed in a break."""
THRESHOLDS: Final = np.array([[6.4], [14.2]])
"""Evidence for less and for more correlation, that BTC, ETH and SOL reached 0.9 and 0.1 times a pair and 30 days before
2023: what is sought is what no longer moves together. See bench/signals/correlation.py."""
TAIL: Final = 0.3
"""How much rarer more evidence was there: exp(-TAIL) for each unit."""
_SHIFTS: Final = np.array([[-1.0], [1.0]]) * float(np.tanh(SHIFT))
_VOLATILITY_HOURS: Final = 12.0
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
        self._judge(scaled, state["recent"][0])
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

    def found(self) -> "Evidence":
        """What is known by now."""
        return Evidence(self.arrays["evidence"].copy(), self.arrays["hours"] >= _NEEDED_HOURS)

    def _judge(self, scaled: FloatArray, day_ago: FloatArray) -> None:
        """Move the evidence of each pair by its newest returns, and let those of a day ago count as normal."""
        normal = self._normal()
        # The newest returns and those of a day ago, side by side.
        u, v = (np.stack((scaled[rows], day_ago[rows])) for rows in (self.first, self.second))
        by_u, by_v = self._scales()
        both, product = u * u * by_u + v * v * by_v, u * v * np.sqrt(by_u * by_v)
        distance = _distance(both, product, normal)
        self._weigh(both[0], product[0], normal, distance[0])
        self._make_normal(u[1], v[1], distance[1])

    def _weigh(self, both: FloatArray, product: FloatArray, normal: FloatArray, distance: FloatArray) -> None:
        """Gather evidence for a lower and for a higher correlation. distance: that from what is normal."""
        watched = (self.arrays["hours"] >= _NEEDED_HOURS) & ~np.isnan(product)
        if not watched.any():
            return
        evidence = self.arrays["evidence"]
        other = (normal + _SHIFTS) / (1.0 + normal * _SHIFTS)
        usual = _log_density(distance, normal)
        gained = _log_density(_distance(both, product, other), other) - usual
        held = np.clip(evidence + gained, 0.0, _LARGEST_EVIDENCE)
        np.copyto(evidence, held, where=watched)

    def _scales(self) -> tuple[FloatArray, FloatArray]:
        """What brings the squares of both returns of each pair to the scale that the t has found for them."""
        _, uu, vv, weight = self.arrays["products"]
        known = (uu > 0) & (vv > 0)
        by_u, by_v = (np.where(known, weight / np.where(known, square, 1.0), 1.0) for square in (uu, vv))
        return by_u, by_v

    def _normal(self) -> FloatArray:
        """The usual correlation of each pair, 0 while nothing is known."""
        uv, uu, vv, _ = self.arrays["products"]
        spread = np.sqrt(uu * vv)
        r = np.where(spread > 0, uv / np.where(spread > 0, spread, 1.0), 0.0)
        return np.clip(r, -_LARGEST_R, _LARGEST_R)

    def _make_normal(self, u: FloatArray, v: FloatArray, distance: FloatArray) -> None:
        """Let returns count as normal; far ones less (the t's maximum likelihood, online)."""
        there = ~np.isnan(u + v)
        weight = (FREEDOM + 2.0) / (FREEDOM + distance)
        new = np.stack((weight * u * v, weight * u * u, weight * v * v, np.ones_like(u)))
        keep = 0.5 ** (1.0 / _NORMAL_HOURS)
        products = self.arrays["products"]
        np.copyto(products, keep * products + new, where=there)
        self.arrays["hours"] += there


class Evidence:
    """What had been found of each pair at one hour. gathered: shape (2, pairs). known: whether its normal is."""

    def __init__(self, gathered: FloatArray, known: BoolArray) -> None:
        self._gathered = gathered
        self._known = known

    @cached_property
    def strength(self) -> FloatArray:
        """Evidence over its threshold, so 1 is one false alarm in 30 days; NaN while it is not known."""
        return np.where(self._known, (self._gathered / THRESHOLDS).max(axis=0), np.nan)

    @cached_property
    def broken(self) -> BoolArray:
        """Whether a break is no chance among all that are watched (Benjamini and Hochberg)."""
        broken = np.zeros(len(self._known), dtype=np.bool_)
        if self._known.any():
            beyond = (self._gathered[:, self._known] - THRESHOLDS).max(axis=0)
            chance = _Q * np.exp(np.minimum(-TAIL * beyond, -np.log(_Q)))
            broken[self._known] = false_discovery_rates(chance.tolist()) <= _Q * (1 + 1e-9)
        return broken


def _log_density(distance: FloatArray, r: FloatArray) -> FloatArray:
    """Logarithm of the bivariate t density, but for what does not depend on `r`."""
    far = np.log1p(distance / FREEDOM)
    return np.asarray(-0.5 * np.log(1.0 - r * r) - 0.5 * (FREEDOM + 2.0) * far, dtype=np.float64)


def _distance(both: FloatArray, product: FloatArray, r: FloatArray) -> FloatArray:
    """Squared Mahalanobis distance, of the sum of squares and the product of two returns that are to scale."""
    return np.asarray((both - 2.0 * r * product) / (1.0 - r * r), dtype=np.float64)

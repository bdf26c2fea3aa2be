"""Fitting the forecast: its logarithm is linear in its terms, and QLIKE is what is made small.

QLIKE, y/f - log(y/f) - 1, is half the deviance of the gamma distribution, so this is a gamma regression with a
logarithmic link (McCullagh and Nelder, Generalized Linear Models, 1989, chapter 8); it needs no correction for
the bias of a logarithm.
"""

from typing import Final

import numpy as np

from regimes.maths.stats import FloatArray

# One day of a crash counts as exp(5) = 148 times its forecast at most.
_LIMIT: Final = 5.0
_ROUNDS: Final = 25


def qlike(realised: FloatArray, forecast: FloatArray) -> FloatArray:
    """Loss of each forecast of a variance; 0 when it is right, and too low costs more than too high.

    >>> qlike(np.array([1.0]), np.array([1.0])).tolist()
    [0.0]
    """
    ratio = realised / forecast
    return ratio - np.log(ratio) - 1.0


def log_forecast(terms: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Logarithm of the forecast variance; terms: shape (terms, ...). A column does not depend on the others."""
    total: FloatArray = (terms * coefficients.reshape(-1, *(1,) * (terms.ndim - 1))).sum(axis=0)
    return total


def fit(
    terms: FloatArray, realised: FloatArray, weights: FloatArray, *, ridge: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Coefficients, and the information they rest on, shape (terms, terms).

    terms: shape (terms, n), the first of them 1, which the ridge leaves alone. realised: shape (n,), variances
    above 0. weights: shape (n,).
    """
    target = np.log(realised)
    penalty = np.eye(len(terms)) * ridge
    penalty[0, 0] = 0.0
    information = (terms * weights) @ terms.T + penalty
    coefficients: FloatArray = np.asarray(
        np.linalg.solve(information, (terms * weights) @ target), dtype=np.float64
    )
    for _ in range(_ROUNDS):
        surprise = np.exp(np.clip(target - coefficients @ terms, -_LIMIT, _LIMIT))
        gradient = terms @ (weights * (surprise - 1.0)) - penalty @ coefficients
        curvature = (terms * (weights * surprise)) @ terms.T + penalty
        step = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
        coefficients += step
        if np.abs(step).max() < 1e-6:
            break
    return coefficients, information


class RunningFit:
    """Coefficients that go on being fitted, one Newton step for each handful of new evidence.

    coefficients, information: where `fit` ended. half_life_hours: how fast old evidence, that one included,
    loses its weight.
    """

    def __init__(self, coefficients: FloatArray, information: FloatArray, *, half_life_hours: float) -> None:
        self.coefficients = coefficients.copy()
        self.information = information.copy()
        self._half_life_hours = half_life_hours

    def age(self, hours: float) -> None:
        """Let the evidence so far lose weight."""
        self.information *= 0.5 ** (hours / self._half_life_hours)

    def learn(self, terms: FloatArray, realised: FloatArray) -> None:
        """Take forecasts' terms, shape (terms, n), and what came of them, shape (n,), above 0."""
        surprise = np.log(realised) - log_forecast(terms, self.coefficients)
        gradient = terms @ (np.exp(np.clip(surprise, -_LIMIT, _LIMIT)) - 1.0)
        self.information += terms @ terms.T
        self.coefficients += np.linalg.solve(self.information, gradient)

"""Probabilities that mean what they say: fitting them to what happened, and checking them against it."""

from typing import Final

import msgspec
import numpy as np

from regimes.maths.stats import FloatArray

_BINS: Final = 60


class Table(msgspec.Struct, frozen=True):
    """A probability as a piecewise linear function of a score, flat beyond its ends."""

    score: tuple[float, ...]
    probability: tuple[float, ...]

    def __call__(self, score: FloatArray) -> FloatArray:
        """Probability of each score; NaN stays NaN.

        >>> Table((0.0, 1.0), (0.2, 0.8))(np.array([-1.0, 0.5, np.nan])).tolist()
        [0.2, 0.5, nan]
        """
        return np.interp(score, self.score, self.probability)


def isotonic(score: FloatArray, happened: FloatArray, *, bins: int = _BINS) -> Table:
    """The table that never falls as the score rises and fits what happened best.

    score, happened (0 or 1): shape (n,), in any order. Scores are first put into bins of equal size, then
    neighbours that fall are pooled (Ayer et al., 1955).
    """
    order = np.argsort(score, kind="stable")
    blocks: list[tuple[float, float, float]] = []  # weight, mean score, mean outcome
    for part in np.array_split(order, min(bins, len(order))):
        block = (float(len(part)), float(score[part].mean()), float(happened[part].mean()))
        while blocks and blocks[-1][2] >= block[2]:
            block = _pool(blocks.pop(), block)
        blocks.append(block)
    return Table(tuple(b[1] for b in blocks), tuple(b[2] for b in blocks))


def _pool(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    weight = first[0] + second[0]
    score = (first[0] * first[1] + second[0] * second[1]) / weight
    return weight, score, (first[0] * first[2] + second[0] * second[2]) / weight


def brier_skill(probability: FloatArray, happened: FloatArray, reference: FloatArray | float) -> float:
    """Share of the reference's squared error that the probabilities save: 1 is perfect, 0 no better.

    >>> brier_skill(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.5)
    1.0
    """
    return 1.0 - float(np.mean((probability - happened) ** 2) / np.mean((reference - happened) ** 2))


def calibration_error(probability: FloatArray, happened: FloatArray, *, bins: int = 10) -> float:
    """Mean distance of what was said from what happened, over bins of equally many, the lowest said first."""
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, bins)
    return sum(
        len(part) * abs(float(probability[part].mean() - happened[part].mean())) for part in parts
    ) / len(order)

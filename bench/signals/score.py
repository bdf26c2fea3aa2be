"""Numbers with their standard errors, and the rows of the table they are shown in."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from regimes.maths.calibration import calibration_error
from regimes.maths.stats import FloatArray, IntArray

BLOCK_HOURS: Final = 168
_DRAWS: Final = 400
_TRUTHS: Final = 50


class Row(msgspec.Struct, frozen=True):
    """One number beside the same number of others. asked: what it must be, and what is aimed at.

    least: whether more is better; otherwise less is.
    """

    what: str
    ours: float
    error: float | None
    peers: Mapping[str, float]
    asked: tuple[float, float] | None
    least: bool = True

    @property
    def verdict(self) -> str:
        """Whether the bounds are met."""
        if self.asked is None:
            return ""
        sign = 1.0 if self.least else -1.0
        must, aim = (sign * self.ours >= sign * bound for bound in self.asked)
        return "aim" if must and aim else "must" if must else "missed"


def calibration_row(
    what: str,
    said: FloatArray,
    happened: FloatArray,
    peers: Mapping[str, float] | None = None,
    asked: tuple[float, float] | None = None,
) -> Row:
    """Row of the calibration error, beside what the same probabilities would show by chance if they were the truth.

    There each outcome is drawn by itself; outcomes that hang together, as of overlapping days, show more.
    """
    truth = np.mean([calibration_error(said, drawn) for drawn in _outcomes(said)])
    beside = {**(peers or {}), "by chance alone": float(truth)}
    off = calibration_error(said, happened)
    return Row(f"{what}: calibration error", off, None, beside, asked, least=False)


def _outcomes(said: FloatArray) -> Iterator[FloatArray]:
    rng = np.random.default_rng(0)
    for _ in range(_TRUTHS):
        yield (rng.random(len(said)) < said).astype(np.float64)


def block_error(values: FloatArray) -> float:
    """Standard error of the mean of hourly values, shape (symbols, hours): weeks are drawn, all symbols at once."""
    return ratio_error(values, np.where(np.isnan(values), np.nan, 1.0))[1]


def ratio_error(top: FloatArray, bottom: FloatArray) -> tuple[float, float]:
    """Ratio of the symbols' mean of mean `top` to that of `bottom`, and its standard error by a bootstrap of weeks."""
    if np.isnan(top).all():
        return float("nan"), float("nan")
    sums = np.stack([_weekly(values) for values in (np.nan_to_num(top), np.nan_to_num(bottom))])
    counts = np.stack([_weekly((~np.isnan(values)).astype(float)) for values in (top, bottom)])
    weeks = sums.shape[2]
    rng = np.random.default_rng(0)

    def ratio(chosen: IntArray) -> float:
        means = sums[:, :, chosen].sum(axis=2) / np.maximum(counts[:, :, chosen].sum(axis=2), 1.0)
        upper, lower = means.mean(axis=1)
        return float(upper / lower)

    draws: IntArray = rng.integers(0, weeks, (_DRAWS, weeks))
    drawn = [ratio(draw) for draw in draws]
    return ratio(np.arange(weeks, dtype=np.int64)), float(np.std(drawn))


def _weekly(values: FloatArray) -> FloatArray:
    weeks = -(-values.shape[1] // BLOCK_HOURS)
    padded = np.zeros((len(values), weeks * BLOCK_HOURS))
    padded[:, : values.shape[1]] = values
    total: FloatArray = padded.reshape(len(values), weeks, BLOCK_HOURS).sum(axis=2)
    return total


def area_under_curve(score: FloatArray, happened: FloatArray) -> float:
    """P(a score where it happened is above one where it did not), ties by half."""
    values, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2.0
    yes = happened > 0.5
    n_yes, n_no = int(yes.sum()), int((~yes).sum())
    if not n_yes or not n_no or not len(values):
        return float("nan")
    return float((rank[place[yes]].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * n_no))

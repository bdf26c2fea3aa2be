"""Between which bounds a pair's recent correlation is no break, whatever its normal one is by now."""

from typing import Final

import numpy as np

from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import Correlation, FloatArray, IntArray, surely_above
from regimes.windows.products import BLOCK, SingleArray, SlidingProducts, Triangle

MARGIN: Final = 1e-3
"""How wrong a correlation in single precision may be; pairs so close to a threshold are looked at as well."""
HUNDREDTHS: Final = 100.0
_LARGEST: Final = 127.0
_LEEWAY: Final = 0.1
"""By how much normal correlations may move before limits are set anew: more is seldomer, and lets more pairs through."""


class Limits:
    """The lowest correlation of each pair that may be a break upwards, and the highest that may be one downwards.

    What is normal over 30 days hardly moves in an hour. So limits are set with some leeway, and hold until
    `SlidingProducts.drift` can no longer exclude that a normal correlation has used it up. They are kept in whole
    hundredths, cut off as the correlations they are compared with are, so that a byte is enough for each.
    """

    def __init__(self, rows: int) -> None:
        self._high, self._low = Triangle(rows, np.int8), Triangle(rows, np.int8)
        self._beyond = Triangle(rows, np.bool_)
        self._cut, self._below = np.empty(BLOCK * rows, np.int8), np.empty(BLOCK * rows, np.bool_)
        self._version = 0
        self._rules: list[float] = []
        self._usable = np.zeros(rows, np.bool_)

    def keep(
        self, sums: SlidingProducts, scale: FloatArray, n: tuple[int, int], settings: CorrelationSettings
    ) -> None:
        """See to it that they hold. sums, scale: of the normal window. n: columns of the recent and of the normal one."""
        usable = ~np.isnan(scale)
        rules = [*n, settings.min_change, settings.min_fisher_z]
        is_set = self._version == sums.version and self._rules == rules and not (usable & ~self._usable).any()
        if is_set and sums.drift(usable) <= _LEEWAY:
            return
        single = as_hundredths(scale)
        for block, high, low in zip(sums.settled(), self._high.blocks, self._low.blocks, strict=True):
            normal = block.values * single[block.start :]
            normal *= single[block.start : block.stop, None]
            normal /= HUNDREDTHS
            for kept, limit in zip((high, low), bounds(normal, n, settings, leeway=_LEEWAY), strict=True):
                np.copyto(kept.values, np.clip(limit * HUNDREDTHS, -_LARGEST, _LARGEST), casting="unsafe")
        self._version, self._rules, self._usable = sums.version, rules, usable

    def compare(self, number: int, recent: SingleArray) -> None:
        """Take the recent correlations of the block of this number, in hundredths."""
        beyond = self._beyond.blocks[number].values
        cut, below = (work[: recent.size].reshape(recent.shape) for work in (self._cut, self._below))
        np.copyto(cut, recent, casting="unsafe")
        np.greater_equal(cut, self._high.blocks[number].values, out=beyond)
        np.less_equal(cut, self._low.blocks[number].values, out=below)
        beyond |= below

    def beyond(self) -> tuple[IntArray, IntArray]:
        """Rows and columns of the pairs that were not between their limits, of all blocks."""
        return self._beyond.nonzero()


def as_hundredths(values: FloatArray) -> SingleArray:
    """Factors of correlations, so that the product of two is in hundredths; 0 instead of NaN."""
    return np.asarray(np.nan_to_num(values * np.sqrt(HUNDREDTHS)), dtype=np.float32)


def bounds(
    normal: Correlation, n: tuple[int, int], settings: CorrelationSettings, *, leeway: float = 0.0
) -> tuple[Correlation, Correlation]:
    """From where on upwards, and from where on downwards, a recent correlation may be a break.

    normal: the normal one, that may be off by up to `leeway`. n: columns of the recent and of the normal window.
    """
    return _upper(normal, n, settings, leeway), -_upper(-normal, n, settings, leeway)


def _upper(
    normal: Correlation, n: tuple[int, int], settings: CorrelationSettings, leeway: float
) -> Correlation:
    least = normal - (MARGIN + leeway)
    high = surely_above(least, n, settings.min_fisher_z)
    least += settings.min_change
    np.maximum(high, least, out=high)
    high -= MARGIN
    return high

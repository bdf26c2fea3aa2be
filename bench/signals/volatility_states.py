"""Volatility states by a hidden Markov model of `hmmlearn`, filtered forward in time."""

from typing import Final

import numpy as np

from bench.signals.volatility_peers import TWO_YEARS
from regimes.maths.stats import FloatArray, IntArray

STATES: Final = 4


def hidden(returns: FloatArray, start: int) -> IntArray:
    """The likeliest state of each hour by all before it, calm to wild, shape (symbols, hours); fitted on the two years before."""
    from hmmlearn.hmm import GaussianHMM  # noqa: PLC0415  # only who asks for this peer needs the library

    found = np.zeros(returns.shape, dtype=np.int64)
    for row, series in enumerate(np.nan_to_num(returns) * 100.0):
        part = series[max(start - TWO_YEARS, 0) :, None]
        model = GaussianHMM(STATES, n_iter=50, random_state=0).fit(part[:TWO_YEARS])
        calm_first = np.argsort(np.argsort(model.covars_.ravel()))
        found[row, -len(part) :] = calm_first[_filtered(model, part)]
    return found


def _filtered(model: object, series: FloatArray) -> IntArray:
    """The state that is likeliest at each hour by what came until then (forward algorithm)."""
    means, variances = model.means_.ravel(), model.covars_.ravel()  # type: ignore[attr-defined]
    density = np.exp(-0.5 * (series - means) ** 2 / variances) / np.sqrt(variances) + 1e-300
    moves, chance = model.transmat_, model.startprob_  # type: ignore[attr-defined]
    found = np.empty(len(series), dtype=np.int64)
    for hour, seen in enumerate(density):
        chance = (chance @ moves) * seen
        chance /= chance.sum()
        found[hour] = int(np.argmax(chance))
    return found

"""Many hypotheses at once."""

from collections.abc import Sequence

import numpy as np

from regimes.maths.stats import FloatArray


def false_discovery_rates(p_values: Sequence[float]) -> FloatArray:
    """The q-value of each p-value: called an effect up to it, so large a share of those called are chance.

    Benjamini and Hochberg (1995), with monotone adjusted values (Yekutieli and Benjamini, 1999). Holds for tests that are
    independent or positively dependent.

    >>> false_discovery_rates([0.01, 0.04, 0.03, 0.5]).round(3).tolist()
    [0.04, 0.053, 0.053, 0.5]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0)
    return q

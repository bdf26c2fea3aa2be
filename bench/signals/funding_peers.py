"""What one would take from a library to say how soon funding is usual again."""

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from regimes.maths.reversion import HORIZONS_HOURS, TERMS
from regimes.maths.stats import FloatArray

if TYPE_CHECKING:
    from bench.signals.funding import Walk


def online(found: "Walk", horizon: int, start: int) -> FloatArray:
    """Logistic regression of `river` on the same terms, which learns each case once its time is over."""
    from river.linear_model import LogisticRegression  # noqa: PLC0415  # only who asks for this peer needs the library
    from river.preprocessing import StandardScaler  # noqa: PLC0415

    model = StandardScaler() | LogisticRegression()
    chance = np.full(found.z.shape, np.nan)
    wait = HORIZONS_HOURS[horizon] // 8
    happened = found.happened[horizon]
    open_cases: deque[tuple[int, int, dict[str, float]]] = deque()
    for column in range(found.z.shape[1]):
        while open_cases and open_cases[0][0] <= column - wait:
            at, row, terms = open_cases.popleft()
            model.learn_one(terms, bool(happened[row, at]))
        for row in np.flatnonzero(~np.isnan(found.terms[0, :, column])).tolist():
            terms = dict(zip(TERMS[1:], found.terms[1:, row, column].tolist(), strict=True))
            if column >= start:
                chance[row, column] = model.predict_proba_one(terms)[True]
            if not np.isnan(happened[row, column]):
                open_cases.append((column, row, terms))
    return chance

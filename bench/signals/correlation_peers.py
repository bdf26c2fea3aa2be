"""What one would take from a library to notice that a correlation has changed."""

from typing import Final

import numpy as np

from bench.signals.peers import least_bound
from regimes.maths.stats import FloatArray

MONTH: Final = 720
WINDOW: Final = 168
EVERY: Final = 6
_BOUNDS: Final = (4.0, 6.0, 9.0, 12.0, 16.0, 22.0, 30.0, 40.0, 55.0, 75.0)


def devolatilised(returns: FloatArray) -> FloatArray:
    """Returns, shape (hours, 2, pairs), over their exponentially weighted volatility of 24 h."""
    keep = 0.5 ** (1 / 24)
    variance = np.mean(returns[:48] ** 2, axis=0)
    found = np.empty_like(returns)
    for hour, now in enumerate(returns):
        found[hour] = now / np.sqrt(variance)
        variance = keep * variance + (1 - keep) * now * now
    return found


def page_hinkley(returns: FloatArray, bound: float) -> FloatArray:
    """Whether `river`'s Page-Hinkley on the product of both returns has called a change, hour by hour."""
    from river.drift import PageHinkley  # noqa: PLC0415  # only who asks for this peer needs the library

    product = np.clip(devolatilised(returns), -4.0, 4.0).prod(axis=1)
    found = np.zeros(product.shape)
    for pair, series in enumerate(product.T.tolist()):
        test = PageHinkley(min_instances=WINDOW, delta=0.1, threshold=bound, alpha=1.0, mode="down")
        for hour, value in enumerate(series):
            test.update(value)
            found[hour, pair] = test.drift_detected
    return found


def page_hinkley_bound(quiet: FloatArray) -> float:
    """Its threshold with one alarm a pair and 30 days."""
    months = quiet.shape[0] * quiet.shape[2] / MONTH
    return least_bound(lambda bound: float(page_hinkley(quiet, bound).sum()) / months, _BOUNDS, 1.0)


def change_gain(returns: FloatArray, first_hour: int) -> FloatArray:
    """What one change point of covariance in the last 168 h gains by `ruptures`, each six hours, from an hour on."""
    from ruptures.costs import CostNormal  # noqa: PLC0415
    from ruptures.detection import Binseg  # noqa: PLC0415

    scaled = devolatilised(returns)
    found = np.full((returns.shape[0], returns.shape[2]), np.nan)
    for pair in range(returns.shape[2]):
        for hour in range(first_hour, returns.shape[0], EVERY):
            window = scaled[hour - WINDOW + 1 : hour + 1, :, pair]
            cost = CostNormal(add_small_diag=False).fit(window)
            split = Binseg(custom_cost=cost, min_size=12, jump=6).fit(window).predict(n_bkps=1)[0]
            gain = cost.error(0, WINDOW) - cost.error(0, split) - cost.error(split, WINDOW)
            found[hour : hour + EVERY, pair] = gain
    return found

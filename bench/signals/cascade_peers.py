"""What one would take from a library to notice that liquidations have become more frequent."""

from typing import Final

import numpy as np

from bench.signals.cascade_market import WEEK_S, Market
from bench.signals.peers import least_bound

BIN_S: Final = 30.0
_WARM_S: Final = 86_400.0
_BOUNDS: Final = (4.0, 8.0, 14.0, 25.0, 45.0, 80.0, 140.0, 250.0)


def page_hinkley(market: Market, bound: float) -> list[float]:
    """When `river`'s Page-Hinkley on the square root of the counts of 30 s calls a rise, seconds."""
    from river.drift import PageHinkley  # noqa: PLC0415  # only who asks for this peer needs the library

    counts = np.sqrt(np.bincount((market.times // BIN_S).astype(np.int64)))
    test, found = PageHinkley(min_instances=100, delta=0.5, threshold=bound, alpha=0.9999, mode="up"), []
    for place, count in enumerate(counts.tolist()):
        test.update(count)
        if test.drift_detected and place * BIN_S > _WARM_S:
            found.append((place + 1) * BIN_S)
    return found


def page_hinkley_bound(quiet: list[Market]) -> float:
    """Its threshold with one alarm a symbol-week where no cascade is."""
    weeks = sum(market.times[-1] - _WARM_S for market in quiet) / WEEK_S
    return least_bound(lambda bound: sum(len(page_hinkley(m, bound)) for m in quiet) / weeks, _BOUNDS, 1.0)

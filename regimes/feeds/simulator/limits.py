"""Binance's request limits: the weight of each call, the minute's sum, and answers that refuse."""

import math
from collections.abc import Callable, Mapping
from typing import Final

from regimes.feeds.simulator.source import Venue

_MINUTE_S: Final = 60.0
_FUNDING: Final = {"fundingRate", "fundingInfo"}
_FUNDING_CALLS: Final = 500
WEIGHT_LIMIT: Final[dict[Venue, int]] = {"spot": 1200, "usdm": 2400}
"""Binance.US and Binance USD-M, a minute and address."""
_KLINES: Final = ((100, 1), (500, 2), (1001, 5), (math.inf, 10))
_DEPTH: Final[dict[Venue, tuple[tuple[float, int], ...]]] = {
    "spot": ((101, 1), (501, 5), (1001, 10), (math.inf, 50)),
    "usdm": ((51, 2), (101, 5), (501, 10), (math.inf, 20)),
}
_SPOT: Final = {"exchangeInfo": (10, 10), "ticker/24hr": (1, 40)}
_USDM: Final = {
    "exchangeInfo": (1, 1),
    "ticker/24hr": (1, 40),
    "premiumIndex": (1, 10),
    "fundingRate": (0, 0),
    "fundingInfo": (0, 0),
}


def weight(venue: Venue, call: str, query: Mapping[str, str]) -> int:
    """What one call costs; `call` is its path after the version."""
    text = query.get("limit", "")
    limit = int(text) if text.isascii() and text.isdigit() else 500 if call != "depth" else 100
    if call == "klines":
        return 1 if venue == "spot" else _tier(_KLINES, limit)
    if call == "depth":
        return _tier(_DEPTH[venue], limit)
    one, every = (_SPOT if venue == "spot" else _USDM).get(call, (1, 1))
    return one if "symbol" in query else every


def _tier(tiers: tuple[tuple[float, int], ...], limit: int) -> int:
    return next(cost for below, cost in tiers if limit < below)


class Meter:
    """What was spent in the running window of real time.

    limit: most that a window may hold. window_s: its length in real seconds. monotonic: real seconds.
    """

    def __init__(self, limit: int, window_s: float, monotonic: Callable[[], float]) -> None:
        self.used = 0
        self._limit = limit
        self._window_s = window_s
        self._monotonic = monotonic
        self._window = -1

    def spend(self, cost: int) -> bool:
        """Add a cost; False if the window held too much already."""
        window = int(self._monotonic() // self._window_s)
        if window != self._window:
            self._window, self.used = window, 0
        self.used += cost
        return self.used <= self._limit

    def seconds_left(self) -> int:
        """Seconds to the next window, at least 1."""
        return max(1, math.ceil(self._window_s - self._monotonic() % self._window_s))


class RequestLimits:
    """The meters of both venues: weight a minute, and the calls for funding, which have their own five minutes."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._weights = {venue: Meter(limit, _MINUTE_S, monotonic) for venue, limit in WEIGHT_LIMIT.items()}
        self._funding = Meter(_FUNDING_CALLS, 5 * _MINUTE_S, monotonic)

    def spend(self, venue: Venue, call: str, query: Mapping[str, str]) -> int | None:
        """Count one call; seconds to wait if it is one too many, else None."""
        weights = self._weights[venue]
        if not weights.spend(weight(venue, call, query)):
            return weights.seconds_left()
        if call in _FUNDING and not self._funding.spend(1):
            return self._funding.seconds_left()
        return None

    def used(self, venue: Venue) -> int:
        """Weight spent in this minute."""
        return self._weights[venue].used

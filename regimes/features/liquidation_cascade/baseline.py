from array import array
from bisect import bisect_right
from math import ceil, floor
from typing import Any, Final

import msgspec
import numpy as np

from regimes.features.pieces import packed, unpacked
from regimes.timeframe import HOUR_MS

HOURS: Final = 720
QUANTILES: Final = (0.90, 0.97, 0.99, 0.997)
"""Of a symbol's own hours; from them on the relative severity is 2, 3, 4 and 5."""
FEWEST_EVENTS: Final = 3


class Baseline:
    """What is usual for one symbol: the money of each watched clock hour of the last 30 days.

    hours_needed: watched hours before there are bounds. Hours that were not watched count as unknown, not as quiet.
    """

    def __init__(self, hours_needed: int) -> None:
        self.hours_needed = hours_needed
        self._hour = 0
        self._cents = array("q", bytes(8 * HOURS))
        self._watched = array("b", bytes(HOURS))
        self._bounds: tuple[int, ...] | None = None
        self._stale = False
        self._past: msgspec.Raw | None = None

    def add(self, ts_ms: int, cents: int) -> None:
        """Count one liquidation in its own hour, also when it comes late."""
        hour = ts_ms // HOUR_MS
        if hour > self._hour:
            self._turn_to(hour)
        if hour > self._hour - HOURS:
            slot = hour % HOURS
            self._cents[slot] += cents
            if hour < self._hour:
                self._past = None
            if self._watched[slot]:
                self._stale = True

    def close(self, hour: int, *, watched: bool) -> None:
        """Say of an hour that has ended (counted from 1970) whether it was watched."""
        self._turn_to(hour + 1)
        self._watched[hour % HOURS] = watched
        self._stale, self._past = True, None

    @property
    def hours(self) -> int:
        """How many hours were watched."""
        return sum(self._watched)

    def bounds(self) -> tuple[int, ...] | None:
        """Cents an hour from which the relative severity is 2, 3, 4 and 5; None while too little was watched."""
        if self._stale:
            self._bounds, self._stale = self._work_out(), False
        return self._bounds

    def severity(self, cents: int, events: int) -> int | None:
        """From 1 (usual) to 5 for the money and number of liquidations of the last 60 minutes.

        Fewer than three liquidations are never unusual: it takes more than one to make a cascade.
        """
        bounds = self.bounds()
        if bounds is None:
            return None
        return 1 + bisect_right(bounds, cents) if events >= FEWEST_EVENTS else 1

    @property
    def present_cents(self) -> int:
        """What the newest hour has brought so far."""
        return self._cents[self._hour % HOURS]

    def past(self) -> msgspec.Raw:
        """All state but `present_cents`: it changes once an hour, and when something comes very late."""
        if self._past is None:
            cents = array("q", self._cents)
            cents[self._hour % HOURS] = 0
            watched = self._watched.tobytes()
            self._past = packed({"hour": self._hour, "cents": cents.tobytes(), "watched": watched})
        return self._past

    def restore(self, saved: msgspec.Raw | dict[str, Any], present_cents: int) -> None:
        """Take back both."""
        past = unpacked(saved)
        self._hour = past["hour"]
        self._cents, self._watched = array("q", past["cents"]), array("b", past["watched"])
        self._cents[self._hour % HOURS] = present_cents
        self._stale, self._past = True, None

    def _turn_to(self, hour: int) -> None:
        """Make room for an hour by forgetting those 30 days before it and before those that were skipped."""
        for later in range(max(self._hour + 1, hour - HOURS + 1), hour + 1):
            self._cents[later % HOURS] = self._watched[later % HOURS] = 0
        if hour > self._hour:
            self._hour, self._stale, self._past = hour, True, None

    def _work_out(self) -> tuple[int, ...] | None:
        watched = np.frombuffer(self._watched, dtype=np.bool_)
        if int(watched.sum()) < self.hours_needed:
            return None
        ordered = np.sort(np.frombuffer(self._cents, dtype=np.int64)[watched]).tolist()
        # Where most hours are empty, a quantile is 0; nothing at all is never unusual.
        return tuple(max(1, ceil(_quantile(ordered, share))) for share in QUANTILES)


def _quantile(ordered: list[int], share: float) -> float:
    """As `np.quantile` gives it, to the bit, without its overhead."""
    position = share * (len(ordered) - 1)
    below = floor(position)
    low, high, part = ordered[below], ordered[min(below + 1, len(ordered) - 1)], position - below
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part

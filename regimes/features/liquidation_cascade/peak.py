from math import ceil
from typing import Final

import msgspec

from regimes.windows.events import EventWindow

_NEVER: Final = 1 << 62


class Peak(msgspec.Struct):
    """The highest intensity of an episode, and until when it lasts at a share of it.

    Both follow from the times of the liquidations alone, whenever they are asked for: a sum is highest when a liquidation
    comes, which is seldom at a Tick.

    cents: the most money within the intensity's minutes since the opening. low_ms: when the intensity falls below
    the share if nothing more comes.
    """

    cents: int = 0
    low_ms: int = _NEVER
    opened_ms: int = 0
    known_ms: int = 0

    def begin(self, window: EventWindow, now_ms: int, share: float) -> None:
        """Begin with the intensity at the opening; an episode that opens without any is not calm before there is some."""
        self.cents = window.sums()[0]
        self.low_ms = window.falls_below_ms(ceil(self.cents * share)) if self.cents else _NEVER
        self.opened_ms = self.known_ms = now_ms

    def came_late(self, ts_ms: int) -> None:
        """Look again at what followed a liquidation that is no newer than `known_ms`."""
        self.known_ms = max(ts_ms, self.opened_ms) - 1

    def follow(self, window: EventWindow, share: float) -> None:
        """Take in what has come since."""
        newest_ms = window.newest_ms
        if newest_ms is None or newest_ms <= self.known_ms:
            return
        first, crests = window.crests(after_ms=self.known_ms)
        highest, last = self.cents, None
        for place, cents in enumerate(crests, first):
            if cents > highest:  # noqa: PLR1730 (max takes twice as long, for each of thousands)
                highest = cents
            enough = ceil(highest * share)
            if cents >= enough > 0:
                last = enough, place
        self.cents = highest
        if last is not None:
            self.low_ms = window.falls_below_ms(*last)
        self.known_ms = newest_ms

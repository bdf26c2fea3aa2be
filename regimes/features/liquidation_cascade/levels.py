from collections.abc import Callable
from typing import Any, Final

import msgspec

from regimes.features.liquidation_cascade.settings import CascadeSettings
from regimes.maths import zones
from regimes.maths.zones import Zone
from regimes.observations import BookDepth, MarkPrice, OpenInterest
from regimes.timeframe import DAY_MS, HOUR_MS
from regimes.windows.density import PriceDensity
from regimes.windows.depth import DepthHistory

_REFRESH_MS: Final = 10_000


class Zones:
    """Zones, or how to work them out once they are wanted."""

    def __init__(self, found: list[Zone] | Callable[[], list[Zone]]) -> None:
        self._found = found

    def all(self) -> list[Zone]:
        """Every zone, by price."""
        if not isinstance(self._found, list):
            self._found = self._found()
        return self._found


class Levels:
    """Where one symbol stands: its price, its open interest, and the zones above and below.

    `due` says whether zones should be worked out again: something has changed, and the last time is ten seconds
    ago, however fast data come.
    """

    def __init__(self, settings: CascadeSettings) -> None:
        self._settings = settings
        self._density = PriceDensity(round(settings.zone_half_life_hours * HOUR_MS), settings.zone_width / 4)
        self._depth = DepthHistory()
        self._price: float | None = None
        self._price_ms = 0
        self._interest: dict[str, OpenInterest] = {}
        self._zones = Zones([])
        self._changed = False
        self._refresh_ms = 0

    def liquidated(self, ts_ms: int, price: float, usd: float) -> None:
        """Take a liquidation's price and notional."""
        self._density.add(ts_ms, price, usd)
        self._changed = True
        if ts_ms >= self._price_ms:
            self._price, self._price_ms = price, ts_ms

    def marked(self, mark: MarkPrice) -> None:
        """Take a mark price."""
        self._see(mark.ts_ms, mark.mark_price)

    def quoted(self, book: BookDepth) -> bool:
        """Take an order book; True when it was kept."""
        kept = self._depth.add(book)
        if kept and book.bids and book.asks:
            self._see(book.ts_ms, (book.bids[0][0] + book.asks[0][0]) / 2)
        self._changed |= kept
        return kept

    def held(self, interest: OpenInterest) -> None:
        """Take a venue's open interest, unless a newer one is known."""
        known = self._interest.get(interest.venue)
        if known is None or known.ts_ms <= interest.ts_ms:
            self._interest[interest.venue] = interest

    def open_interest_usd(self, now_ms: int) -> float:
        """The notional of all contracts open, 0 when it is not known for the last 24 h."""
        notional = 0.0
        for interest in self._interest.values():
            if interest.ts_ms > now_ms - DAY_MS:
                notional += interest.notional_usd or interest.base_qty * (self._price or 0.0)
        return notional

    def due(self, now_ms: int) -> bool:
        """Whether it is time to work the zones out again."""
        return self._changed and now_ms >= self._refresh_ms

    def refresh(self, now_ms: int) -> None:
        """Set aside what the zones follow from; they are worked out when somebody looks."""
        self._changed, self._refresh_ms = False, now_ms + _REFRESH_MS
        settings, density, sides = self._settings, self._density.copy(), self._depth.sides(now_ms)

        def work_out() -> list[Zone]:
            found = zones.clusters(
                *density.levels(now_ms), settings.zone_width, min_share=settings.zone_min_share
            )
            for side in sides or ():
                found += zones.walls(side, settings.wall_multiple)
            return zones.merged(found, settings.zone_width)

        self._zones = Zones(work_out)

    def around(self) -> Callable[[], tuple[list[Zone], list[Zone]]]:
        """Support and resistance as seen from the present price, as they are now; nothing before there is one."""
        found, price, shown = self._zones, self._price, self._settings.zones_shown
        return lambda: ([], []) if price is None else zones.around(found.all(), price, shown)

    def snapshot(self) -> dict[str, Any]:
        """All state."""
        return {
            "depth": self._depth.snapshot(),
            "density": self._density.snapshot(),
            "price": self._price,
            "price_ms": self._price_ms,
            "interest": [msgspec.structs.asdict(interest) for interest in self._interest.values()],
            "zones": [[zone.price, zone.notional_usd, zone.source] for zone in self._zones.all()],
            "changed": self._changed,
            "refresh_ms": self._refresh_ms,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot."""
        self._density.restore(snapshot["density"])
        self._depth.restore(snapshot["depth"])
        self._price, self._price_ms = snapshot["price"], snapshot["price_ms"]
        self._interest = {known["venue"]: OpenInterest(**known) for known in snapshot["interest"]}
        self._zones = Zones([Zone(*zone) for zone in snapshot["zones"]])
        self._changed, self._refresh_ms = snapshot["changed"], snapshot["refresh_ms"]

    def _see(self, ts_ms: int, price: float) -> None:
        if ts_ms >= self._price_ms:
            self._price, self._price_ms = price, ts_ms

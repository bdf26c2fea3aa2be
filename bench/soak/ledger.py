"""Every liquidation that was sent, held against what was stored and what was told to be missing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from regimes.feeds.simulator import frames
from regimes.feeds.simulator.liquidations import Push
from regimes.feeds.simulator.source import Listing
from regimes.observations import FeedGap, Liquidation

Fact: TypeAlias = tuple[int, str, str, float, float]
"""Own time, symbol without its slash, which side was closed, price, quantity."""
_CLOSED = {"SELL": "long", "BUY": "short"}


class Account(msgspec.Struct, frozen=True):
    """What became of the liquidations that were sent. unexplained: neither stored nor inside a gap that was told."""

    sent: int
    stored: int
    in_gaps: int
    unexplained: int
    twice: int
    invented: int


class Gaps:
    """Gaps in the liquidations as the feed told them."""

    def __init__(self) -> None:
        self._ends: dict[int, int | None] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def take(self, gaps: Iterable[FeedGap]) -> None:
        """Note gaps, or the ends of some noted before."""
        for gap in gaps:
            if gap.kind == "liquidation":
                self._ends[gap.from_ms] = gap.to_ms

    def holds(self, ts_ms: int) -> bool:
        """Whether a time is inside one of them, an open one included."""
        return any(start <= ts_ms and (end is None or ts_ms <= end) for start, end in self._ends.items())


def fact_of(listing: Listing, push: Push) -> Fact:
    """A forced order as it reads on the wire."""
    order = msgspec.json.decode(frames.forced_order(listing, push.order, push.event_ms, 0))["o"]
    return (
        order["T"],
        order["s"],
        _CLOSED[order["S"]],
        float(order["ap"]) or float(order["p"]),
        float(order["z"]),
    )


def fact_in(row: Liquidation) -> Fact:
    """A stored liquidation, to be compared with what was sent."""
    return row.ts_ms, row.symbol.replace("/", ""), row.closed, row.fill_price, row.base_qty


def account(sent: Sequence[tuple[Fact, int]], stored: Iterable[Liquidation], gaps: Gaps) -> Account:
    """Hold the books against each other. sent: each fact with the time at which it was pushed."""
    rows = Counter(map(fact_in, stored))
    facts = dict(sent)
    missing = [pushed_ms for fact, pushed_ms in facts.items() if fact not in rows]
    in_gaps = sum(map(gaps.holds, missing))
    return Account(
        sent=len(facts),
        stored=len(facts) - len(missing),
        in_gaps=in_gaps,
        unexplained=len(missing) - in_gaps,
        twice=sum(count - 1 for count in rows.values()),
        invented=sum(fact not in facts for fact in rows),
    )

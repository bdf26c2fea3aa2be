"""When a forced order is pushed, and which: Binance shows one a symbol a second, the largest."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from regimes.feeds.simulator.source import ForcedOrder, MarketSource

_SECOND_MS: Final = 1000
_TRANSIT_MS: Final = 4
_THINNED_DELAY_MS: Final = _SECOND_MS + _TRANSIT_MS
"""An order that was pushed once was up to a second old then."""


class Push(NamedTuple):
    """A forced order and the event time of its push."""

    event_ms: int
    order: ForcedOrder


def pushes(source: MarketSource, after_ms: int, until_ms: int, *, largest_only: bool) -> list[Push]:
    """Forced orders pushed after `after_ms` and until `until_ms` inclusive, in order.

    largest_only: keep the largest of each symbol and second, pushed when the second is over. Orders of a source that
    recorded pushes are all kept.
    """
    if source.forced_orders_are_thinned:
        delay = _THINNED_DELAY_MS
    elif largest_only:
        return _largest(source, after_ms, until_ms)
    else:
        delay = _TRANSIT_MS
    orders = source.forced_orders(max(source.start_ms, after_ms - delay + 1), until_ms - delay)
    return [Push(order.ts_ms + delay, order) for order in orders]


def _largest(source: MarketSource, after_ms: int, until_ms: int) -> list[Push]:
    first = (after_ms - _TRANSIT_MS) // _SECOND_MS * _SECOND_MS
    last = (until_ms - _TRANSIT_MS) // _SECOND_MS * _SECOND_MS - 1
    orders = source.forced_orders(max(source.start_ms, first), last)
    return [Push(_second_end(order) + _TRANSIT_MS, order) for order in thin(orders)]


def thin(orders: Iterable[ForcedOrder]) -> Sequence[ForcedOrder]:
    """The largest order of each symbol in each second, by second, then by time."""
    largest: dict[tuple[int, str], ForcedOrder] = {}
    for order in orders:
        key = (_second_end(order), order.symbol_id)
        if key not in largest or order.notional > largest[key].notional:
            largest[key] = order
    return sorted(largest.values(), key=lambda order: order.ts_ms)


def _second_end(order: ForcedOrder) -> int:
    return (order.ts_ms // _SECOND_MS + 1) * _SECOND_MS

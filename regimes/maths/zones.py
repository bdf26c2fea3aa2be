"""Prices at which much was liquidated or much is waiting in the book."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
BOOK: Final = "book"
LIQUIDATIONS: Final = "liquidations"
# A Gaussian kernel is cut where it has fallen to a hundredth.
_KERNEL_REACH: Final = 3.0
_WIDEST: Final = 20_000
"""Grid points at most; a kernel density over a wider range of prices is not computed."""


class Zone(msgspec.Struct, frozen=True, gc=False):
    """A price level. notional_usd: how much was liquidated there (decayed) or waits there. source: what says so."""

    price: float
    notional_usd: float
    source: str


def clusters(
    log_prices: FloatArray, notional_usd: FloatArray, bandwidth: float, *, min_share: float
) -> list[Zone]:
    """Peaks of the kernel density of liquidated notional over log price.

    log_prices, notional_usd: shape (n,), any order. bandwidth: standard deviation of the Gaussian kernel, in log
    price (0.002 is 0.2 %). min_share: smallest share of all notional that makes a peak worth a zone. A peak owns
    what lies between the valleys beside it; its price is the notional's centre there.

    >>> import numpy as np
    >>> prices = np.log([100.0, 100.1, 99.9, 110.0])
    >>> [(round(z.price), z.notional_usd) for z in clusters(prices, np.array([4e5, 3e5, 2e5, 1e5]), 0.002, min_share=0.05)]
    [(100, 900000.0), (110, 100000.0)]
    """
    total = float(notional_usd.sum())
    if not total > 0:
        return []
    step = bandwidth / 4
    low = float(log_prices.min())
    cells = np.rint((log_prices - low) / step).astype(np.int64)
    if cells.max() >= _WIDEST:
        return []
    reach = int(_KERNEL_REACH * 4)
    mass = np.bincount(cells, weights=notional_usd, minlength=int(cells.max()) + 1)
    moment = np.bincount(cells, weights=notional_usd * (log_prices - low), minlength=mass.size)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / 4) ** 2)
    density = np.convolve(mass, kernel)[reach : reach + mass.size]
    starts = _basins(density)
    owned = np.add.reduceat(mass, starts)
    centre = np.add.reduceat(moment, starts)
    return [
        Zone(float(np.exp(low + weight / usd)), float(usd), LIQUIDATIONS)
        for usd, weight in zip(owned, centre, strict=True)
        if usd > 0 and usd >= min_share * total
    ]


def walls(snapshots: Sequence[FloatArray], multiple: float) -> list[Zone]:
    """Levels of one side of the book that stay several times as deep as that side's usual level.

    snapshots: each shape (levels, 2), price and base quantity. A level's depth is its median over the snapshots, 0
    where it was not there, so an order that flashes does not count. It is a wall above `multiple` times the
    median depth of the levels that last.
    """
    prices, depth = _by_price(snapshots)
    lasting = _median(depth)
    if not lasting.any():
        return []
    usual = _median(lasting[lasting > 0])
    return [
        Zone(float(prices[i]), float(prices[i] * lasting[i]), BOOK)
        for i in np.flatnonzero(lasting > multiple * usual)
    ]


def _by_price(snapshots: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Every price, ascending, and its depth in each snapshot, shape (snapshots, prices)."""
    rows = np.concatenate(snapshots)
    # Stable sorting is quick here, as each snapshot is in order already.
    order = np.argsort(rows[:, 0], kind="stable")
    ascending = rows[order, 0]
    first = np.ones(len(ascending), dtype=np.bool_)
    first[1:] = ascending[1:] != ascending[:-1]
    depth = np.zeros((len(snapshots), np.count_nonzero(first)))
    which = np.repeat(np.arange(len(snapshots)), [len(s) for s in snapshots])
    depth[which[order], np.cumsum(first) - 1] = rows[order, 1]
    return ascending[first], depth


def _median(values: FloatArray) -> FloatArray:
    """Median along the first axis, as `np.median` gives it, without its overhead."""
    ordered, middle = np.sort(values, axis=0), len(values) // 2
    if len(values) % 2:
        return np.asarray(ordered[middle])
    return np.asarray((ordered[middle - 1] + ordered[middle]) / 2)


def merged(zones: Sequence[Zone], distance: float) -> list[Zone]:
    """Zones closer than `distance` in log price become one: notional added, price its centre, sources joined.

    >>> [zone.source for zone in merged([Zone(100.0, 1.0, BOOK), Zone(100.1, 3.0, LIQUIDATIONS)], 0.002)]
    ['book+liquidations']
    """
    groups: list[list[Zone]] = []
    for zone in sorted(zones, key=lambda z: z.price):
        if groups and zone.price <= groups[-1][-1].price * (1 + distance):
            groups[-1].append(zone)
        else:
            groups.append([zone])
    return [_joined(group) for group in groups]


def around(zones: Sequence[Zone], price: float, limit: int) -> tuple[list[Zone], list[Zone]]:
    """Zones at or below `price` (support) and above it (resistance), at most `limit` each, nearest first."""
    below = sorted((z for z in zones if z.price <= price), key=lambda z: -z.price)
    above = sorted((z for z in zones if z.price > price), key=lambda z: z.price)
    return below[:limit], above[:limit]


def _basins(density: FloatArray) -> npt.NDArray[np.int64]:
    """Where each peak's basin begins: 0 and every valley between two peaks."""
    slope = np.sign(np.diff(density))
    moving = np.flatnonzero(slope)
    turns = np.flatnonzero((slope[moving][:-1] < 0) & (slope[moving][1:] > 0))
    return np.concatenate(([0], moving[turns + 1]))


def _joined(group: list[Zone]) -> Zone:
    if len(group) == 1:
        return group[0]
    notional = sum(zone.notional_usd for zone in group)
    price = sum(zone.price * zone.notional_usd for zone in group) / notional
    return Zone(price, notional, "+".join(sorted({zone.source for zone in group})))

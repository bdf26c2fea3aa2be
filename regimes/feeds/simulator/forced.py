"""Forced orders of the synthetic market: self-exciting, larger when the price runs, on the side that it hurts.

Hawkes processes drawn as clusters: immigrants follow the square of the five-minute move, each order brings about
others after an exponential delay (Hawkes & Oakes, 1974).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from regimes.feeds.simulator.profiles import Profile
from regimes.feeds.simulator.scenarios import Cascade
from regimes.feeds.simulator.source import FloatArray, ForcedOrder, IntArray, Listing
from regimes.timeframe import HOUR_MS

_BINS: Final = 12
_BIN_S: Final = 300
_BRANCHING: Final = 0.55
_MEAN_DELAY_MS: Final = 25_000.0
_SIZE_SPREAD: Final = 1.3
_ORDERS_PER_QUIET_HOUR: Final = 4.0
_CASCADE_ORDERS: Final = 160.0
_CASCADE_ORDERS_AT_USD: Final = 15_000.0
_CACHED_HOURS: Final = 4


class _Clusters(NamedTuple):
    """Orders before they have prices; arrays of shape (orders,). size: in the symbol's mean order."""

    at_ms: FloatArray
    symbol: IntArray
    sells: IntArray
    size: FloatArray


class ForcedOrders:
    """Every forced order of every hour, drawn hour by hour in any order from the seed.

    prices_in: prices of one symbol second by second in the hour that opens at a time; None where there are none.
    """

    def __init__(
        self,
        profiles: Sequence[Profile],
        listings: Sequence[Listing],
        prices_in: Callable[[int, int], FloatArray | None],
        cascades: Sequence[Cascade],
        seed: int,
    ) -> None:
        self._profiles = profiles
        self._listings = listings
        self._prices_in = prices_in
        self._cascades = cascades
        self._seed = seed
        self._hours: OrderedDict[int, list[ForcedOrder]] = OrderedDict()

    def between(self, first_ms: int, last_ms: int) -> list[ForcedOrder]:
        """Orders with a time from `first_ms` to `last_ms` inclusive, oldest first."""
        hours = range(first_ms // HOUR_MS - 1, last_ms // HOUR_MS + 1)
        found = [o for hour in hours for o in self._hour(hour * HOUR_MS) if first_ms <= o.ts_ms <= last_ms]
        return sorted(found, key=lambda order: order.ts_ms)

    def _hour(self, open_ms: int) -> list[ForcedOrder]:
        orders = self._hours.get(open_ms)
        if orders is None:
            orders = self._hours[open_ms] = self._draw(open_ms)
            if len(self._hours) > _CACHED_HOURS:
                self._hours.popitem(last=False)
        return orders

    def _draw(self, open_ms: int) -> list[ForcedOrder]:
        rng = np.random.default_rng((self._seed, 7, open_ms // HOUR_MS))
        prices = [self._prices_in(i, open_ms) for i in range(len(self._profiles))]
        parts = [self._quiet_clusters(open_ms, prices, rng)]
        falls = [c for c in self._cascades if open_ms <= c.onset_ms < open_ms + HOUR_MS]
        parts += [self._cascade_clusters(cascade, rng) for cascade in falls]
        clusters = _branch(_join(parts), rng)
        # `between` looks one hour back for clusters that are still going on; longer tails would be seen or not by chance.
        kept = clusters.at_ms < open_ms + 2 * HOUR_MS
        clusters = _Clusters._make(column[kept] for column in clusters)
        return self._priced(clusters, open_ms, prices, rng)

    def _quiet_clusters(
        self, open_ms: int, prices: Sequence[FloatArray | None], rng: np.random.Generator
    ) -> _Clusters:
        moves = np.array([_five_minute_moves(p) for p in prices])
        usual = np.array([p.volatility for p in self._profiles])[:, None] / np.sqrt(_BINS)
        scaled = np.clip(moves / usual, -4, 4)
        rate = _ORDERS_PER_QUIET_HOUR * (1 - _BRANCHING) / _BINS * (0.4 + 0.6 * scaled**2)
        symbol, bin_ = np.nonzero(counts := rng.poisson(rate))
        times = counts[symbol, bin_]
        symbol, bin_ = np.repeat(symbol, times), np.repeat(bin_, times)
        hurt_longs = rng.random(len(symbol)) < 1 / (1 + np.exp(2 * scaled[symbol, bin_]))
        at_ms = open_ms + (bin_ + rng.random(len(symbol))) * _BIN_S * 1000
        return _Clusters(at_ms, symbol, hurt_longs.astype(np.int64), np.ones(len(symbol)))

    def _cascade_clusters(self, cascade: Cascade, rng: np.random.Generator) -> _Clusters:
        """Immigrants that gather towards the low of the fall; most sell."""
        quiet_usd = np.array([p.hourly_liquidations_usd for p in self._profiles])
        orders = (_CASCADE_ORDERS * np.sqrt(quiet_usd / _CASCADE_ORDERS_AT_USD))[: cascade.hits]
        symbol = np.repeat(np.arange(len(orders)), rng.poisson(orders * (1 - _BRANCHING)))
        progress = rng.beta(2.5, 1.5, len(symbol))
        size = (cascade.quiet_hours * _ORDERS_PER_QUIET_HOUR / orders)[symbol]
        sells = (rng.random(len(symbol)) < 0.93).astype(np.int64)
        return _Clusters(cascade.onset_ms + progress * cascade.fall_ms, symbol, sells, size)

    def _priced(
        self, drawn: _Clusters, open_ms: int, prices: Sequence[FloatArray | None], rng: np.random.Generator
    ) -> list[ForcedOrder]:
        count = len(drawn.at_ms)
        sizes = drawn.size * rng.lognormal(-(_SIZE_SPREAD**2) / 2, _SIZE_SPREAD, count)
        slips, gaps, lasts = rng.normal(0, 3e-4, count), rng.uniform(2e-3, 6e-3, count), rng.random(count)
        rows = zip(*(column.tolist() for column in (*drawn, sizes, slips, gaps, lasts)), strict=True)
        orders: list[ForcedOrder] = []
        for at_ms, symbol, sells, _, size, slip, gap, last in rows:
            path = prices[symbol]
            if path is None:
                continue
            price = float(path[min(int(at_ms - open_ms) // 1000, len(path) - 1)]) * (1 + slip)
            usd = size * self._profiles[symbol].hourly_liquidations_usd / _ORDERS_PER_QUIET_HOUR
            orders.append(_order(self._listings[symbol], int(at_ms), sells, price, usd, gap, last))
        return orders


def _order(
    listing: Listing, at_ms: int, sells: int, price: float, usd: float, gap: float, last: float
) -> ForcedOrder:
    """Round an order to what the exchange trades; the bankruptcy price lies beyond the fill."""
    step = 10.0**-listing.qty_decimals
    qty = max(step, round(usd / price, listing.qty_decimals))
    fill = max(10.0**-listing.price_decimals, round(price, listing.price_decimals))
    bankruptcy = round(fill * (1 - gap if sells else 1 + gap), listing.price_decimals)
    last_qty = max(step, round(qty * last, listing.qty_decimals))
    return ForcedOrder(at_ms, listing.id, "SELL" if sells else "BUY", qty, bankruptcy, fill, last_qty, qty)


def _branch(immigrants: _Clusters, rng: np.random.Generator) -> _Clusters:
    """Let each order bring about others, and those others, until a generation has none."""
    generations = [immigrants]
    while len(parents := generations[-1].at_ms):
        children = rng.poisson(_BRANCHING, len(parents))
        born = _Clusters._make(np.repeat(column, children) for column in generations[-1])
        delays = rng.exponential(_MEAN_DELAY_MS, len(born.at_ms))
        generations.append(born._replace(at_ms=born.at_ms + delays))
    return _join(generations)


def _join(parts: Sequence[_Clusters]) -> _Clusters:
    return _Clusters._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _five_minute_moves(prices: FloatArray | None) -> FloatArray:
    if prices is None:
        return np.zeros(_BINS)
    edges = np.append(prices[::_BIN_S], prices[-1])
    return np.asarray(np.diff(np.log(edges)), dtype=np.float64)

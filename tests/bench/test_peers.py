"""What is compared must be the same: numbers of the signals, and messages from the wire."""

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from bench.blaster import START_MS, Kind, Order, symbols
from bench.clients import Bare, Client, Product
from bench.market import invent
from bench.processes import exchanges
from bench.ways import by_polars, disagreement, ours
from regimes.clock import ScaledClock
from regimes.features.base import Universe
from regimes.observations import Candle, Liquidation, MarkPrice, Observation


def test_polars_computes_the_same_numbers() -> None:
    data = invent(12, seed=3)
    assert disagreement(ours(data), by_polars(data)) < 1e-9


def test_a_difference_is_found() -> None:
    data = invent(3)
    first, *others = ours(data)
    assert disagreement([first, *others], [first + 0.01, *others]) > 1e-3
    assert disagreement([first], [np.zeros(2)]) == np.inf


@dataclass
class Collected:
    client: Client
    items: list[Observation]

    async def collect(self, kind: type[Observation], count: int) -> list[Observation]:
        async with asyncio.timeout(20):
            while sum(isinstance(item, kind) for item in self.items) < count:
                self.items += await self.client.queue.take(1_000)
        return [item for item in self.items if isinstance(item, kind)]


@pytest.mark.parametrize(
    ("kind", "count", "observed", "items"),
    [("forceOrder", 300, Liquidation, 300), ("kline", 3, Candle, 3), ("markPrice", 1, MarkPrice, 3)],
)
async def test_the_bare_client_puts_what_our_feed_puts(
    kind: Kind, count: int, observed: type[Observation], items: int
) -> None:
    universe = Universe(symbols(3))
    clock = ScaledClock(START_MS, 1.0, running=False)
    async with exchanges(3, 2) as sender:
        ours_url, bare_url = sender.urls
        async with Product(ours_url, universe, clock) as product, Bare(bare_url, universe) as bare:
            clients: tuple[Client, ...] = (product, bare)
            for place in range(len(clients)):
                assert await sender.send(Order(place, kind, count, 50)) == count
            found = [await Collected(client, []).collect(observed, items) for client in clients]
    assert found[0] == found[1]

"""CPU from the exchange's wire to the engine, a message: our feed, ccxt.pro awaited, and a bare client.

Each client has an exchange to itself in another process and receives the same messages through a real socket. Only this
process's CPU time counts. Rounds go from client to client.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import product
from statistics import median
from typing import Final

from bench.blaster import START_MS, Kind, Order, symbols
from bench.clients import Awaited, Bare, Client, Product
from bench.processes import Exchanges, exchanges
from bench.report import Aim, Report, Result
from regimes.clock import ScaledClock
from regimes.commands.running import run_to_end
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.features.base import Universe
from regimes.observations import Tick
from regimes.pipeline.pipeline import BATCH

SYMBOLS: Final = 50
ROUNDS: Final = 4
OURS: Final = "regimes"
BARE: Final = "bare client"
AWAITED: Final = "ccxt awaited"
KINDS: Final[Mapping[Kind, tuple[str, int]]] = {
    "forceOrder": ("forceOrder", 2000),
    "kline": ("kline", 2000),
    "markPrice": ("markPrice, an item of an array", 60),
}
PACES: Final[Mapping[str, tuple[int, float]]] = {
    "one by one": (1, 6000.0),
    "in bursts of 50": (50, 20_000.0),
}
# An array is a burst by itself.
RUNS: Final = [
    (kind, pace, stage)
    for kind, pace, stage in product(KINDS, PACES, ("to the queue", "to the engine"))
    if kind != "markPrice" or pace != "one by one"
]


class Consumer:
    """Takes a client's observations as the pipeline does; `engine` None throws them away."""

    def __init__(self, client: Client, universe: Universe) -> None:
        self.client = client
        self.engine: Engine | None = None
        self._engine = Engine.build(installed(), universe)
        self._engine.step(Tick(START_MS))

    def feed_engine(self, *, wanted: bool) -> None:
        """Choose whether observations go into the engine."""
        self.engine = self._engine if wanted else None

    def counted(self, kind: str) -> int:
        """Observations of a kind that the engine let in."""
        return self._engine.intake.accepted[kind]

    async def run(self) -> None:
        """Consume until cancelled."""
        while True:
            taken = await self.client.queue.take(BATCH)
            if self.engine is not None:
                for observation in taken:
                    self.engine.step(observation)
            await asyncio.sleep(0)

    async def caught_up(self, received: int) -> None:
        """Wait until so many were received, or nothing has come for a while, and all was consumed."""
        quiet = 0
        while (self.client.received() < received and quiet < 10) or len(self.client.queue):
            before = self.client.received()
            await asyncio.sleep(0.02)
            quiet = 0 if self.client.received() > before else quiet + 1


class Race:
    """All clients, connected, and the process that sends to them."""

    def __init__(self, sender: Exchanges, consumers: Mapping[str, Consumer]) -> None:
        self._sender = sender
        self._consumers = consumers
        self._spent: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._arrived: dict[tuple[str, ...], list[float]] = defaultdict(list)

    async def run(self) -> None:
        """Send everything to everybody, round by round; the first round is thrown away."""
        for number in range(ROUNDS + 1):
            for (kind, pace, stage), name in product(RUNS, self._consumers):
                us, share = await self._once(name, kind, pace, stage)
                if number:
                    self._spent[kind, pace, stage, name].append(us)
                    self._arrived[kind, pace, name].append(share)

    async def _once(self, name: str, kind: Kind, pace: str, stage: str) -> tuple[float, float]:
        """CPU microseconds a message sent, and the share of messages that arrived."""
        consumer = self._consumers[name]
        consumer.feed_engine(wanted=stage == "to the engine")
        per_segment, per_second = PACES[pace]
        count = KINDS[kind][1]
        items = SYMBOLS if kind == "markPrice" else 1
        before = consumer.client.received()
        began = time.process_time()
        order = Order(
            list(self._consumers).index(name), kind, count, max(1, per_segment // items), per_second / items
        )
        frames = await self._sender.send(order)
        await consumer.caught_up(before + frames * items)
        us = (time.process_time() - began) / (frames * items) * 1e6
        return us, (consumer.client.received() - before) / (frames * items)

    def results(self) -> list[Result]:
        """One row for each kind, pace and stage."""
        return [
            Result(
                what=f"{KINDS[kind][0]}, {pace}, {stage}",
                unit="us",
                ours=median(self._spent[kind, pace, stage, OURS]),
                peers={name: median(self._spent[kind, pace, stage, name]) for name in (BARE, AWAITED)},
                aim=Aim(1.5, BARE),
            )
            for kind, pace, stage in RUNS
        ]

    def losses(self) -> list[str]:
        """What each client received of what was sent, where that is not all."""
        return [
            f"{name} received {median(shares):.1%} of {KINDS[kind][0]} {pace}"  # type: ignore[index]
            for (kind, pace, name), shares in self._arrived.items()
            if median(shares) < 1.0
        ]


async def _race() -> Report:
    universe = Universe(symbols(SYMBOLS))
    clock = ScaledClock(START_MS, 1.0, running=False)
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(exchanges(SYMBOLS, 3))
        ours, bare, awaited = sender.urls
        clients: dict[str, Client] = {
            OURS: await stack.enter_async_context(Product(ours, universe, clock)),
            BARE: await stack.enter_async_context(Bare(bare, universe)),
            AWAITED: await stack.enter_async_context(Awaited(awaited, universe)),
        }
        consumers = {name: Consumer(client, universe) for name, client in clients.items()}
        for consumer in consumers.values():
            stack.callback(asyncio.create_task(consumer.run()).cancel)
        await asyncio.sleep(2)
        race = Race(sender, consumers)
        await race.run()
        return Report(
            name="wire",
            title="CPU from a socket to the engine, microseconds a message",
            results=race.results(),
            notes=["medians of rounds in turn; CPU time of the receiving process", *race.losses()],
        )


def run(*, full: bool = False) -> Report:  # noqa: ARG001  # as long as it needs to be
    """Race the three clients."""
    return run_to_end(_race())

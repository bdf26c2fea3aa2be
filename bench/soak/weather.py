"""Everything that can befall a service, drawn at random: its exchange, its receivers, its viewers."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from bench.soak.people import MODES, Receiver, Stuck
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.faults import Where
from regimes.feeds.simulator.malformed import MALFORMED

_PAUSE_S: Final = (1.0, 15.0)
_LASTS_S: Final = (0.5, 12.0)
_PLACES: Final[Sequence[Where]] = ("all", "spot", "market", "public")
_CODES: Final = (1001, 1006, 1008, 1011)
_REFUSALS: Final = (418, 429, 500, 503)


class Weather:
    """One thing after the other until cancelled. drawn: how often each was."""

    def __init__(
        self, exchange: LoopbackExchange, receivers: Sequence[Receiver], stuck: Stuck, chance: random.Random
    ) -> None:
        self.drawn: Counter[str] = Counter()
        self._exchange = exchange
        self._receivers = receivers
        self._stuck = stuck
        self._chance = chance
        self._kinds: Mapping[str, Callable[[], Awaitable[None]]] = {
            "silence": self._silence,
            "close": self._close,
            "24 h drop": self._drop_all,
            "away": self._away,
            "rejected subscription": self._reject,
            "refused REST": self._refuse,
            "doubled": self._double,
            "reversed": self._reverse,
            "malformed": self._malformed,
            "receiver": self._receiver,
            "stuck viewer": self._stick,
        }

    async def run(self) -> None:
        """Let it come."""
        while True:
            await asyncio.sleep(self._chance.uniform(*_PAUSE_S))
            name = self._chance.choice(list(self._kinds))
            self.drawn[name] += 1
            await self._kinds[name]()

    async def clear(self) -> None:
        """End all that stands."""
        faults = self._exchange.faults
        faults.http.clear()
        faults.rejected_subscriptions = 0
        faults.recover()
        await faults.accept_connections()
        for receiver in self._receivers:
            receiver.mode = "up"
        self._stuck.leave()

    async def _silence(self) -> None:
        """What falls into a silence is lost, so the connection does not outlive it."""
        where = self._chance.choice(_PLACES)
        self._chance.choice([self._exchange.faults.stall, self._exchange.faults.half_open])(where)
        await self._while_it_lasts()
        await self._exchange.faults.close(1006, where=where)
        self._exchange.faults.recover()

    async def _close(self) -> None:
        await self._exchange.faults.close(self._chance.choice(_CODES), where=self._chance.choice(_PLACES))

    async def _drop_all(self) -> None:
        await self._exchange.faults.drop_all()

    async def _away(self) -> None:
        await self._exchange.faults.refuse_connections()
        await self._exchange.faults.close(1006)
        await self._while_it_lasts()
        await self._exchange.faults.accept_connections()

    async def _reject(self) -> None:
        self._exchange.faults.reject_subscribe(self._chance.randint(1, 3))
        await self._exchange.faults.close(1001)

    async def _refuse(self) -> None:
        seconds = self._chance.uniform(*_LASTS_S)
        self._exchange.faults.http.add(
            self._chance.choice(_REFUSALS), seconds=seconds, retry_after_s=self._chance.choice([None, 1, 5])
        )

    async def _double(self) -> None:
        self._exchange.faults.duplicate(self._chance.randint(1, 50))

    async def _reverse(self) -> None:
        self._exchange.faults.out_of_order(self._chance.randint(1, 20))

    async def _malformed(self) -> None:
        for _ in range(self._chance.randint(1, 20)):
            self._exchange.faults.malformed(self._chance.choice(list(MALFORMED)))

    async def _receiver(self) -> None:
        self._chance.choice(self._receivers).mode = self._chance.choice(MODES)

    async def _stick(self) -> None:
        await self._stuck.come()

    async def _while_it_lasts(self) -> None:
        await asyncio.sleep(self._chance.uniform(*_LASTS_S))

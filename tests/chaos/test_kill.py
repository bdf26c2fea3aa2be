"""The whole service is killed at random moments, its receivers come and go: nothing is lost, nothing is told twice.

REGIMES_KILLS sets how often for each database, 10 where it is not set.
"""

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from regimes.clock import SystemClock
from regimes.observations import Liquidation
from tests.chaos import books, ledger, world
from tests.chaos.ledger import Season
from tests.chaos.world import Exchange, Mode, Receiver, Service
from tests.storage.postgres_server import PrivatePostgres

KILLS = int(os.environ.get("REGIMES_KILLS", "10"))
SEASON_KILLS = 20
"""After so many kills everything begins anew with an empty database, in a test of its own."""
SEASONS = [min(SEASON_KILLS, KILLS - first) for first in range(0, KILLS, SEASON_KILLS)]
PATIENCE_S = 300
"""How soon something happens is not asked here: a long run may have the least of a busy machine."""
FRESH = world.alike(SEASONS[0] * 4 // 3)
MODES: Sequence[Mode] = ("up", "up", "up", "refusing", "failing", "hanging")
ENDPOINTS = ("http-all-1", "http-all-2")
BACKGROUND = ("BTC/USDT", "ETH/USDT")
SYMBOLS = (*BACKGROUND, *FRESH)


class Chaos:
    """One database, its service again and again, and all that befalls it."""

    def __init__(
        self, url: str, folder: Path, market: Exchange, hooks: Sequence[Receiver], chance: random.Random
    ) -> None:
        self.url = url
        self.folder = folder
        self.folder.mkdir()
        self.market = market
        self.hooks = hooks
        self.chance = chance
        self.struck: list[str] = []
        self.logged: set[str] = set()
        self.season = Season(database=url.partition(":")[0])

    async def life(self) -> None:
        """Start it, strike, kill it somewhere."""
        for hook in self.hooks:
            await hook.set_mode(self.chance.choice(MODES))
        async with world.service(self.folder, self._variables()) as service:
            if self.chance.random() < 0.25:
                await asyncio.sleep(self.chance.uniform(0.1, 3.0))
                await service.kill()
            else:
                await service.is_live(within_s=PATIENCE_S)
                await self._strike_and_kill(service)
        assert service.process.returncode == -signal.SIGKILL, f"ended by itself: {''.join(service.noise)}"
        self.season.kills += 1
        self.season.while_starting += not service.heard("warmed_up")
        self.logged |= {line["id"] for line in service.heard("market_event")}

    async def while_down(self) -> None:
        """Store what the last life had received when it was killed before it could tell."""
        symbol = self._next()
        now_ms = SystemClock().now_ms()
        orders = [
            Liquidation(now_ms - i, "binanceusdm", symbol, "long", 10.0, 500.0, 5000.0) for i in range(30)
        ]
        async with books.opened(self.url) as storage:
            await storage.add_liquidations(orders)
            await storage.flush()

    async def aftermath(self) -> books.Books:
        """Let everything work, wait until all is delivered, end in order; the books."""
        for hook in self.hooks:
            await hook.set_mode("up")
        async with books.opened(self.url) as storage:
            await books.hurry(storage)
            async with world.service(self.folder, self._variables()) as service:
                await service.is_live(within_s=PATIENCE_S)
                async with asyncio.timeout(PATIENCE_S):
                    await books.all_settled(storage)
                assert await service.stop(within_s=PATIENCE_S) == 0
            self.logged |= {line["id"] for line in service.heard("market_event")}
            found = await books.read(storage)
        self.season.unstored = len(self.logged - found.revisions.keys())
        self.season.doubles = books.doubles(self.hooks)
        self.season.states = sum(map(len, found.revisions.values()))
        self.season.deliveries = len(found.deliveries)
        self.season.retries = sum(delivery.attempt > 1 for delivery in found.deliveries)
        return found

    async def _strike_and_kill(self, service: Service) -> None:
        symbol = self._next()
        strike = asyncio.create_task(self._strike(symbol))
        if self.chance.random() < 0.5:
            # Around the decision and the first messages, unless the strike fell into a gap of the stream.
            with suppress(TimeoutError):
                await service.says("market_event", within_s=20, symbol=symbol)
            await asyncio.sleep(self.chance.uniform(0.0, 0.5))
        else:
            await asyncio.sleep(self.chance.uniform(0.0, 2.0))
        await service.kill()
        strike.cancel()
        with suppress(asyncio.CancelledError, aiohttp.ClientError):
            await strike

    async def _strike(self, symbol: str) -> None:
        """The great ones all the time, and one small one after the other."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.market.fault(
                    "burst", count=400, per_segment=10, per_second=200, symbol_ids=["BTCUSDT", "ETHUSDT"]
                )
            )
            await self.market.strike(symbol, seconds=self.chance.choice([0.0, 0.3, 1.0]))

    def _next(self) -> str:
        self.struck.append(FRESH[len(self.struck)])
        return self.struck[-1]

    def _variables(self) -> dict[str, str]:
        cache = str(self.folder.parent / "cache")
        return world.variables(self.market, SYMBOLS, self.hooks, self.url, REGIMES__STORAGE__CACHE_DIR=cache)


@pytest.mark.timeout(300 + 60 * SEASONS[0])
@pytest.mark.parametrize("number", range(len(SEASONS)))
async def test_nothing_is_lost_and_nothing_told_twice_however_often_the_service_is_killed(
    number: int, server: PrivatePostgres | None, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/service.db" if server is None else await server.new_place()
    async with world.exchange(SYMBOLS) as market, world.receivers(2) as hooks:
        chance = random.Random(f"{server is None} {KILLS} {number}")
        chaos = Chaos(url, tmp_path / "service", market, hooks, chance)
        with ledger.entry(chaos.season):
            await season(chaos, SEASONS[number])


async def season(chaos: Chaos, kills: int) -> None:
    for number in range(kills):
        await chaos.life()
        if number % 3 == 2:
            await chaos.while_down()
    found = await chaos.aftermath()
    books.check(found, chaos.hooks, ENDPOINTS)
    chaos.season.episodes = books.check_strikes(found, chaos.struck)
    assert chaos.season.episodes >= kills // 4, "too few were struck for this to show anything"

"""The machine is wrong under the service: its clock jumps by an hour, names are not found."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from regimes.clock import SystemClock
from regimes.storage.base import DeliveryStatus
from tests.chaos import books, world
from tests.chaos.twisted import FILE, Twist
from tests.chaos.world import Exchange, Receiver, Service

FIRST, SECOND, THIRD = world.alike(3)
SYMBOLS = ("BTC/USDT", FIRST, SECOND, THIRD)
ENDPOINTS = ("http-all-1",)
EXCHANGE, HOOK = "exchange.test", "hook.test"
HOUR_S = 3_600


class Machine:
    """A service on a machine that can be bent."""

    def __init__(self, folder: Path, market: Exchange, hook: Receiver) -> None:
        self.url = f"sqlite:///{folder}/service.db"
        self._file = folder / "twist.json"
        self._folder = folder
        self._hook = hook
        self.market = market
        self.bend()

    def bend(self, ahead_s: int = 0, lost: Sequence[str] = ()) -> None:
        Twist(ahead_s, frozenset(lost)).put(self._file)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        exchange_url = _renamed(self.market.base_url, EXCHANGE)
        variables = world.variables(
            self.market,
            SYMBOLS,
            [self._hook],
            self.url,
            REGIMES__VENUES__SPOT_URL=exchange_url,
            REGIMES__VENUES__DERIVATIVES_URL=exchange_url,
            WEBHOOKS_ALL=_renamed(self._hook.url, HOOK),
            **{FILE: str(self._file)},
        )
        program = ("tests.chaos.twisted", "run")
        async with world.service(self._folder, variables, program) as running:
            yield running

    async def struck(self, symbol: str) -> datetime:
        """Liquidate a symbol as severely as there is, wait until the last state has come; when it says it was."""
        await self.market.strike(symbol)
        told = await self._hook.hears(symbol=symbol, revision=2, within_s=100)
        return datetime.fromisoformat(told["timestamp"])

    async def delivered(self) -> None:
        """Wait until no delivery waits any more."""
        async with asyncio.timeout(100), books.opened(self.url) as storage:
            while any(  # noqa: ASYNC110
                one.status is DeliveryStatus.PENDING for one in (await books.read(storage)).deliveries
            ):
                await asyncio.sleep(0.2)  # another process delivers

    async def check(self, symbols: Sequence[str]) -> books.Books:
        """Nothing lost, nothing doubled."""
        async with books.opened(self.url) as storage:
            found = await books.read(storage)
        books.check(found, [self._hook], ENDPOINTS)
        assert books.check_strikes(found, symbols) == len(symbols)
        books.check_doubles(found, [self._hook])
        return found


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[tuple[Machine, Receiver]]:
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as (hook,):
        yield Machine(tmp_path, market, hook), hook


async def test_a_clock_that_jumps_an_hour_forth_and_back_moves_nothing(
    machine: tuple[Machine, Receiver],
) -> None:
    bent, hook = machine
    async with bent.service() as service:
        await service.is_live()
        for ahead_s, symbol in ((0, FIRST), (HOUR_S, SECOND), (-HOUR_S, THIRD)):
            bent.bend(ahead_s)
            said = await bent.struck(symbol)
            assert abs(said.timestamp() - SystemClock().now_ms() / 1000) < HOUR_S / 4
        bent.bend()
        await bent.delivered()
        assert await service.stop(within_s=100) == 0
    assert not [told for told in hook.told if told["event_type"] in {"SYSTEM_FEED_STALE", "SYSTEM_FEED_GAP"}]
    await bent.check([FIRST, SECOND, THIRD])


async def test_names_that_are_not_found_delay_and_lose_nothing_but_what_the_exchange_did_not_send(
    machine: tuple[Machine, Receiver],
) -> None:
    bent, _ = machine
    bent.bend(lost=[EXCHANGE, HOOK])
    async with bent.service() as service:
        await service.says("venue_not_reached")
        bent.bend(lost=[HOOK])
        await service.is_live()
        await bent.market.strike(FIRST)
        await service.says("not_delivered")
        bent.bend()
        await bent.struck(SECOND)
        bent.bend(lost=[EXCHANGE])
        await bent.market.fault("drop_all")
        await service.says("stream_lost", line=world.READY)
        bent.bend()
        await service.next("stream_connected", line=world.READY)
        await bent.struck(THIRD)
        await bent.delivered()
        assert await service.stop(within_s=100) == 0
    await bent.check([FIRST, SECOND, THIRD])


def _renamed(url: str, name: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{name}:{parts.port}").geturl()

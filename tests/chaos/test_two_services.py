"""Two services on one database: the second ends and says why; nothing is told twice."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from regimes.commands.running import ExitCode
from tests.chaos import books, world
from tests.chaos.world import Exchange, Receiver, Service
from tests.storage.postgres_server import PrivatePostgres
from tests.storage.relay import relay

BEFORE, AFTER = world.alike(2)
SYMBOLS = ("BTC/USDT", BEFORE, AFTER)
ENDPOINTS = ("http-all-1",)
RULE = "only one service may use a database"


def settings(market: Exchange, hooks: Sequence[Receiver], url: str, spool: Path) -> dict[str, str]:
    return world.variables(market, SYMBOLS, hooks, url, REGIMES__STORAGE__SPOOL=str(spool))


async def ended(service: Service, *, within_s: float = 100.0) -> str:
    """What a service that ends by itself because of its database says last."""
    async with asyncio.timeout(within_s):
        assert await service.process.wait() == ExitCode.STORAGE
        await service.all_said()
    return "".join(service.noise)


async def strike(market: Exchange, hook: Receiver, symbol: str) -> None:
    """Liquidate a symbol as severely as there is, and wait until the last state of it has come."""
    await market.strike(symbol)
    await hook.hears(symbol=symbol, revision=2, within_s=60)


async def test_the_second_ends_at_once_and_a_kill_of_the_first_lets_the_next_one_in(
    server: PrivatePostgres | None, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/service.db" if server is None else await server.new_place()
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as hooks:
        (hook,) = hooks
        variables = settings(market, hooks, url, tmp_path / "spool.db")
        async with world.service(tmp_path, variables) as first:
            await first.is_live()
            beside = settings(market, hooks, url, tmp_path / "other_spool.db")
            async with world.service(tmp_path, beside) as second:
                assert RULE in await ended(second)
                assert not second.heard("stream_connected")
            await strike(market, hook, BEFORE)
            await first.kill()
        async with world.service(tmp_path, variables) as next_one:
            await next_one.is_live()
            await strike(market, hook, AFTER)
            assert await next_one.stop(within_s=100) == 0
    async with books.opened(url) as storage:
        found = await books.read(storage)
    books.check(found, hooks, ENDPOINTS)
    assert books.check_strikes(found, [BEFORE, AFTER]) == 2


async def test_a_service_that_was_cut_off_gives_way_to_the_one_that_took_its_place(
    mortal: PrivatePostgres, tmp_path: Path
) -> None:
    direct = await mortal.new_place()
    async with (
        relay(direct) as way,
        world.exchange(SYMBOLS) as market,
        world.receivers(1) as hooks,
        world.service(tmp_path, settings(market, hooks, way.url, tmp_path / "cut.db")) as cut_off,
    ):
        (hook,) = hooks
        await cut_off.is_live()
        await way.cut(server_notices=True)
        await cut_off.says("database_away")
        async with world.service(tmp_path, settings(market, hooks, direct, tmp_path / "new.db")) as new:
            await new.is_live()
            await way.mend()
            await cut_off.says("database_taken")
            assert RULE in await ended(cut_off)
            await strike(market, hook, AFTER)
            assert await new.stop(within_s=100) == 0
        async with books.opened(direct) as storage:
            assert books.check_strikes(await books.read(storage), [AFTER]) == 1
        # Alone again, it lets flow back what it kept.
        async with world.service(tmp_path, settings(market, hooks, direct, tmp_path / "cut.db")) as again:
            await again.is_live()
            assert await again.stop(within_s=100) == 0
    async with books.opened(direct) as storage:
        assert books.check_strikes(await books.read(storage), [AFTER]) == 1

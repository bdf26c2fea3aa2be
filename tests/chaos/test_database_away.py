"""PostgreSQL goes away under the whole service, or is not there when it starts: alerts leave all the same."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.chaos import books, world
from tests.chaos.test_two_services import RULE, ended
from tests.chaos.world import Exchange, Receiver
from tests.storage.postgres_server import PrivatePostgres, configure
from tests.storage.standby import Pair, pair

BEFORE, DURING, AFTER, UNSEEN = world.alike(4)
SYMBOLS = ("BTC/USDT", BEFORE, DURING, AFTER, UNSEEN)
ENDPOINTS = ("http-all-1",)
ACKNOWLEDGED_BY = "synchronous_standby_names"


def settings(market: Exchange, hooks: Sequence[Receiver], url: str) -> dict[str, str]:
    return world.variables(
        market,
        SYMBOLS,
        hooks,
        url,
        REGIMES__ADMIN__DB_DOWN_MINUTES="0.05",
        REGIMES__DELIVERY__TIMEOUT_SECONDS="3",
    )


async def strike(market: Exchange, hook: Receiver, symbol: str) -> None:
    """Liquidate a symbol as severely as there is, and wait until the last state of it has come."""
    await market.strike(symbol)
    await hook.hears(symbol=symbol, revision=2)


async def check(url: str, folder: Path, hooks: Sequence[Receiver], struck: Sequence[str]) -> None:
    async with books.opened(url) as storage:
        found = await books.read(storage)
        order = await storage.read(
            lambda session: session.rows("SELECT ts_ms, event_type FROM market_events ORDER BY position")
        )
    books.check(found, hooks, ENDPOINTS)
    assert books.check_strikes(found, struck) == len(struck)
    for is_system in (False, True):
        # Those of the market go by the exchange's time, those of the service by its own.
        times = [ts_ms for ts_ms, kind in order if kind.startswith("SYSTEM") is is_system]
        assert times == sorted(times), "events came back in another order"
    books.check_doubles(found, hooks)


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_database_that_goes_away_in_a_cascade_delays_no_alert_and_gets_everything_back_in_order(
    how: str, mortal: PrivatePostgres, tmp_path: Path
) -> None:
    url = await mortal.new_place()
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as hooks:
        (hook,) = hooks
        async with world.service(tmp_path, settings(market, hooks, url)) as service:
            await service.is_live()
            await strike(market, hook, BEFORE)
            cascade = asyncio.create_task(market.strike(DURING, seconds=3.0))
            await hook.hears(symbol=DURING)
            mortal.kill() if how == "killed" else mortal.freeze()
            await cascade
            await service.says("database_away")
            await hook.hears(symbol=DURING, revision=2)
            await hook.hears(event_type="SYSTEM_DB_DOWN", phase="opened")
            mortal.restore()
            await service.says("database_back")
            await strike(market, hook, AFTER)
            await hook.hears(event_type="SYSTEM_DB_DOWN", phase="closed")
            assert await service.stop() == 0
    await check(url, tmp_path, hooks, [BEFORE, DURING, AFTER])


async def test_a_start_without_the_database_goes_on_where_the_last_run_stopped(
    mortal: PrivatePostgres, tmp_path: Path
) -> None:
    url = await mortal.new_place()
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as hooks:
        (hook,) = hooks
        async with world.service(tmp_path, settings(market, hooks, url)) as service:
            await service.is_live()
            await strike(market, hook, BEFORE)
            assert await service.stop() == 0
        mortal.kill()
        async with world.service(tmp_path, settings(market, hooks, url)) as service:
            await service.says("database_away")
            await service.is_live()
            await strike(market, hook, DURING)
            await hook.hears(event_type="SYSTEM_DB_DOWN", phase="opened")
            mortal.restore()
            await service.says("database_back")
            await strike(market, hook, AFTER)
            await hook.hears(event_type="SYSTEM_DB_DOWN", phase="closed")
            assert await service.stop() == 0
    await check(url, tmp_path, hooks, [BEFORE, DURING, AFTER])


async def test_a_kill_while_the_database_is_away_loses_nothing(
    mortal: PrivatePostgres, tmp_path: Path
) -> None:
    url = await mortal.new_place()
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as hooks:
        (hook,) = hooks
        async with world.service(tmp_path, settings(market, hooks, url)) as service:
            await service.is_live()
            await strike(market, hook, BEFORE)
            mortal.kill()
            await strike(market, hook, DURING)
            await hook.set_mode("refusing")
            await market.strike(UNSEEN)
            await service.says("market_event", symbol=UNSEEN)
            await service.says("not_delivered")
            await service.kill()
        await hook.set_mode("up")
        async with world.service(tmp_path, settings(market, hooks, url)) as service:
            await hook.hears(symbol=UNSEEN, revision=2, within_s=60)
            mortal.restore()
            await service.says("database_back")
            await strike(market, hook, AFTER)
            await hook.hears(event_type="SYSTEM_DB_DOWN", phase="closed")
            assert await service.stop() == 0
    await check(url, tmp_path, hooks, [BEFORE, DURING, UNSEEN, AFTER])


@pytest.fixture
async def servers() -> AsyncIterator[Pair]:
    """The first acknowledges only what its standby has on disk too."""
    async with pair() as opened:
        await configure(opened.primary.url("postgres"), ACKNOWLEDGED_BY, "*")
        yield opened


async def test_a_standby_that_is_promoted_takes_over_and_nothing_is_lost(
    servers: Pair, tmp_path: Path
) -> None:
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as hooks:
        (hook,) = hooks
        variables = settings(market, hooks, servers.url(servers.way.host, servers.way_to_standby.host))
        async with world.service(tmp_path, variables) as service:
            await service.is_live()
            await strike(market, hook, BEFORE)
            cascade = asyncio.create_task(market.strike(DURING, seconds=3.0))
            await hook.hears(symbol=DURING)
            await servers.fail()
            await cascade
            await service.says("database_away")
            await hook.hears(symbol=DURING, revision=2)
            await strike(market, hook, UNSEEN)
            await hook.hears(event_type="SYSTEM_DB_DOWN", phase="opened")
            servers.standby.promote()
            await service.says("database_back")
            await hook.hears(event_type="SYSTEM_DB_DOWN", phase="closed")
            beside = {**variables, "REGIMES__STORAGE__SPOOL": str(tmp_path / "other_spool.db")}
            async with world.service(tmp_path, beside) as latecomer:
                assert RULE in await ended(latecomer)
            await strike(market, hook, AFTER)
            assert await service.stop() == 0
    await check(servers.copied, tmp_path, hooks, [BEFORE, DURING, UNSEEN, AFTER])


async def test_what_the_standby_had_not_heard_of_is_all_that_is_missing_and_is_not_told_again(
    servers: Pair, tmp_path: Path
) -> None:
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as hooks:
        (hook,) = hooks
        variables = settings(market, hooks, servers.url(servers.way.host, servers.way_to_standby.host))
        async with world.service(tmp_path, variables) as service:
            await service.is_live()
            await strike(market, hook, BEFORE)
            await configure(servers.primary.url("postgres"), ACKNOWLEDGED_BY, "")
            await servers.standby.lose_sight()
            await strike(market, hook, UNSEEN)
            await servers.fail()
            await service.says("database_away")
            servers.standby.promote()
            await service.says("database_back")
            await strike(market, hook, AFTER)
            await service.kill()
        async with world.service(tmp_path, variables) as service:
            await service.is_live()
            await strike(market, hook, DURING)
            assert await service.stop() == 0
    async with books.opened(servers.copied) as storage:
        found = await books.read(storage)
    for symbol in (BEFORE, AFTER, DURING):
        (event_id,) = found.of(symbol)
        assert found.revisions[event_id][:3] == [0, 1, 2]
    missing = [0 not in found.revisions[event_id] for event_id in found.of(UNSEEN)]
    assert all(missing), "then the standby had heard of it, and this test shows nothing"
    openings = Counter(told["symbol"] for told in hook.told if told["revision"] == 0)
    assert {openings[symbol] for symbol in (BEFORE, UNSEEN, AFTER, DURING)} == {1}
    books.check_doubles(found, hooks)

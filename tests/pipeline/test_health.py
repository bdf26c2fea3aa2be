"""The service looks at itself: exchange, clock and disk that go wrong and come right again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from regimes.clock import ScaledClock
from regimes.events import EventType
from regimes.feeds.simulator.exchange import LoopbackExchange
from tests.delivery.receivers import Receiver
from tests.loopback import exchange_on_loopback
from tests.pipeline.living import Life, living, settings_with

SOON: dict[str, Any] = {"admin": {"feed_stale_seconds": 0.2}, "venues": {"reconnect_max_seconds": 0.5}}
LIQUIDATIONS = "binanceusdm liquidation"


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as receiver:
        yield receiver


@pytest.fixture
async def market() -> AsyncIterator[tuple[LoopbackExchange, ScaledClock]]:
    async with exchange_on_loopback(speed=1.0, running=True) as opened:
        yield opened


def told(hook: Receiver, kind: str, symbol: str) -> list[str]:
    """Phases of one episode, as they came."""
    bodies = [one.json for one in hook.seen]
    return [body["phase"] for body in bodies if (body["event_type"], body["symbol"]) == (kind, symbol)]


@asynccontextmanager
async def alive(
    market: tuple[LoopbackExchange, ScaledClock], folder: Path, hook: Receiver, **sections: Any
) -> AsyncIterator[Life]:
    exchange, clock = market
    settings = settings_with(exchange, folder, hook.base, route="webhooks_admin", **sections)
    async with living(settings, clock) as life:
        yield life


async def cut(exchange: LoopbackExchange) -> None:
    """Nobody is served any more, and those who were are thrown out."""
    exchange.faults.reject_subscribe(1_000_000)
    await exchange.faults.close(1006, where="market")


async def test_a_stream_that_stays_away_is_told_once_and_so_is_its_return(
    market: tuple[LoopbackExchange, ScaledClock], tmp_path: Path, hook: Receiver
) -> None:
    exchange, _ = market
    async with alive(market, tmp_path, hook, **SOON) as life:
        await cut(exchange)
        await life.until(lambda: told(hook, "SYSTEM_FEED_STALE", LIQUIDATIONS))
        exchange.faults.rejected_subscriptions = 0
        await life.until(lambda: "closed" in told(hook, "SYSTEM_FEED_STALE", LIQUIDATIONS))
    assert told(hook, "SYSTEM_FEED_STALE", LIQUIDATIONS) == ["opened", "closed"]
    stale = next(one.json for one in hook.seen if one.json["symbol"] == LIQUIDATIONS)
    assert stale["severity"] == "CRITICAL"
    assert "not connected for" in stale["why"]


async def test_a_stream_that_is_still_away_after_a_restart_is_not_said_to_be_well(
    market: tuple[LoopbackExchange, ScaledClock], tmp_path: Path, hook: Receiver
) -> None:
    exchange, clock = market
    settings = settings_with(exchange, tmp_path, hook.base, route="webhooks_admin", **SOON)
    async with living(settings, clock) as life:
        await cut(exchange)
        await life.until(lambda: told(hook, "SYSTEM_FEED_STALE", LIQUIDATIONS))
        await life.stored()
    async with living(settings, clock, wait_for_streams=False) as life:
        await life.until(life.pipeline.status)
        await life.looked()
        assert life.alerts.watch.is_open(EventType.SYSTEM_FEED_STALE, LIQUIDATIONS)
        exchange.faults.rejected_subscriptions = 0
        await life.until(lambda: "closed" in told(hook, "SYSTEM_FEED_STALE", LIQUIDATIONS))


async def test_a_clock_that_is_far_off_is_told_with_its_direction(
    market: tuple[LoopbackExchange, ScaledClock], tmp_path: Path, hook: Receiver
) -> None:
    market[0].faults.clock_skew_ms = 30_000
    async with alive(market, tmp_path, hook) as life:
        await life.until(lambda: told(hook, "SYSTEM_CLOCK_SKEW", "clock"))
    (body,) = [one.json for one in hook.seen if one.json["event_type"] == "SYSTEM_CLOCK_SKEW"]
    assert "behind" in body["title"]
    assert body["data"]["offset_seconds"] == pytest.approx(30, abs=2)


async def test_a_disk_that_is_nearly_full_is_told_once_over_restarts_and_closed_when_there_is_room(
    market: tuple[LoopbackExchange, ScaledClock], tmp_path: Path, hook: Receiver
) -> None:
    full: dict[str, Any] = {"admin": {"disk_free_mb": 1e12}}
    async with alive(market, tmp_path, hook, **full) as life:
        await life.until(lambda: told(hook, "SYSTEM_DISK_LOW", "disk"))
        await life.stored()
    async with alive(market, tmp_path, hook, **full) as life:
        await life.looked()
        await life.stored()
    assert told(hook, "SYSTEM_DISK_LOW", "disk") == ["opened"]
    async with alive(market, tmp_path, hook, admin={"disk_free_mb": 0}) as life:
        await life.until(lambda: told(hook, "SYSTEM_DISK_LOW", "disk") == ["opened", "closed"])


async def test_nothing_is_told_while_all_is_well(
    market: tuple[LoopbackExchange, ScaledClock], tmp_path: Path, hook: Receiver
) -> None:
    async with alive(market, tmp_path, hook) as life:
        await life.looked()
        await life.stored()
    assert not [one.json["event_type"] for one in hook.seen]

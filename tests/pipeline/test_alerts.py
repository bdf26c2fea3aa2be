"""From the exchange's wire to the receiver, and over restarts, on real sockets and SQLite."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from regimes.clock import ScaledClock
from regimes.events import EventType
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.scenarios import Scenario
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.observations import Liquidation
from regimes.storage.base import DeliveryStatus, EventQuery
from regimes.timeframe import HOUR_MS
from tests.delivery.receivers import Receiver, says
from tests.loopback import START_MS, SYMBOLS
from tests.pipeline.living import Life, living, settings_with, starting

CASCADES: dict[str, Any] = {
    "liquidation": {"market_multiple": 1e6, "cascade_threshold_usd": 1e5, "critical_velocity": 1e5}
}
CASCADE = EventType.LIQUIDATION_CASCADE


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as receiver:
        yield receiver


@asynccontextmanager
async def market(
    after_h: float = 0, scenario: Scenario = "calm", *, speed: float = 1.0
) -> AsyncIterator[tuple[LoopbackExchange, ScaledClock]]:
    """The same market at a later hour."""
    clock = ScaledClock(START_MS + round(after_h * HOUR_MS), speed)
    async with LoopbackExchange(SyntheticMarket(SYMBOLS, START_MS, 1, scenario), clock) as exchange:
        yield exchange, clock


def open_cascades(life: Life) -> list[str]:
    return [event.id for event in life.pipeline.engine.open_events.values() if event.type is CASCADE]


def forced(count: int, at_ms: int, usd: float = 5_000.0) -> list[Liquidation]:
    return [
        Liquidation(at_ms + i, "binanceusdm", "BTC/USDT", "long", 50_000.0, 0.1, usd) for i in range(count)
    ]


async def test_a_cascade_on_the_wire_is_stored_decided_and_delivered(tmp_path: Path, hook: Receiver) -> None:
    async with market() as (exchange, clock):
        settings = settings_with(
            exchange, tmp_path, hook.base, **CASCADES, delivery={"dashboard_url": "https://example.com/"}
        )
        async with living(settings, clock) as life:
            await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
            (first, *_) = await hook.requests(1)
            await life.stored()
            storage = life.alerts.storage
            body = await storage.event(first.json["id"])
            decisions = await storage.decisions(first.json["id"])
            deliveries = await storage.deliveries(event_id=first.json["id"], status=None, limit=10)
            liquidations = await storage.liquidations(since_ms=0, symbol="BTC/USDT", limit=100)
    assert body is not None
    assert body.links["dashboard"] == f"https://example.com/?event={body.id}"
    assert body.links["more"] == "https://example.com/realtime?symbol=BTC%2FUSDT"
    assert first.json["links"] == body.links
    assert (decisions[0].action, decisions[0].endpoint) == ("send", "http-all-1")
    assert {delivery.id for delivery in deliveries} >= {first.headers["webhook-id"]}
    assert len(liquidations) == 60


async def test_subscribers_hear_of_events_once_they_are_on_disk(tmp_path: Path, hook: Receiver) -> None:
    heard: list[str] = []
    async with market() as (exchange, clock):
        settings = settings_with(exchange, tmp_path, hook.base, **CASCADES)
        async with living(settings, clock) as life:
            life.alerts.on_written(lambda written: heard.extend(event.event_type for event in written.events))
            await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
            await life.until(lambda: CASCADE in heard)
            query = EventQuery(symbol="BTC/USDT", event_type=CASCADE)
            page = await life.alerts.storage.events(query)
    assert len(page.events) == 1


@pytest.mark.parametrize("in_order", [True, False])
async def test_an_open_episode_goes_on_over_a_restart_and_is_not_announced_again(
    tmp_path: Path, hook: Receiver, *, in_order: bool
) -> None:
    async with market() as (exchange, clock):
        settings = settings_with(exchange, tmp_path, hook.base, **CASCADES)
        async with living(settings, clock, in_order=in_order) as life:
            await exchange.faults.burst(50, symbol_ids=["BTCUSDT"])
            await hook.requests(1)
            await life.stored()
            before = open_cascades(life)
        async with living(settings, clock) as life:
            assert open_cascades(life) == before
            await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
            await life.until(lambda: any(one.json["data"]["severity"] == 5 for one in hook.seen))
            assert open_cascades(life) == before
            await life.stored()
            states = await life.alerts.storage.states_after(before[0], 0, limit=100)
    assert {one.json["id"] for one in hook.seen} == set(before)
    assert len({one.headers["webhook-id"] for one in hook.seen}) == len(hook.seen)
    assert [state.revision for state in states or []] == list(range(1, len(states or []) + 1))


async def test_what_was_received_but_not_told_before_a_crash_is_told_once_after_it(
    tmp_path: Path, hook: Receiver
) -> None:
    async with market() as (exchange, clock):
        settings = settings_with(exchange, tmp_path, hook.base, **CASCADES)
        async with living(settings, clock) as life:
            await life.stored()
            # The liquidations reached the disk, and the process ended before the engine saw them.
            await life.alerts.storage.add_liquidations(forced(30, clock.now_ms() - 1000))
            await life.alerts.storage.flush()
        for _ in range(2):
            async with living(settings, clock) as life:
                await hook.requests(1)
                await life.stored()
                assert len(open_cascades(life)) == 1
    assert [one.json["phase"] for one in hook.seen] == ["opened"]


async def test_liquidations_of_a_start_that_is_cut_short_are_counted_and_told_by_the_next(
    tmp_path: Path, hook: Receiver
) -> None:
    async with market() as (exchange, clock):
        patient = {"rest_wait_max_seconds": 600.0}
        settings = settings_with(exchange, tmp_path, hook.base, **CASCADES, venues=patient)
        # The history will not come: the exchange asks to wait for it.
        exchange.faults.http.add(429, path="/api/v3/klines", retry_after_s=600)
        async with starting(settings, clock) as life:
            await life.until(lambda: listens(life))
            await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
            await life.until(lambda: len(life.pipeline.queue) >= 60)
            await life.stored()
            assert not life.pipeline.live.is_set()
        exchange.faults.http.clear()
        async with living(settings, clock) as life:
            (told,) = await hook.requests(1)
            await life.stored()
            found = await life.alerts.storage.liquidations(since_ms=0, symbol="BTC/USDT", limit=100)
            counted = life.pipeline.engine.packages()["BTC/USDT"]["cascades"]["event_count"]
            open_now = open_cascades(life)
        async with living(settings, clock) as life:
            await life.stored()
            assert open_cascades(life) == open_now
    assert (len(found), counted) == (60, 60)
    assert [(one.json["id"], one.json["phase"]) for one in hook.seen] == [(told.json["id"], "opened")]
    assert open_now == [told.json["id"]]


def listens(life: Life) -> bool:
    """Whether liquidations come in."""
    return any(status.stream == "liquidation" and status.connected for status in life.pipeline.status())


async def test_what_became_true_while_nobody_watched_is_told_once(tmp_path: Path, hook: Receiver) -> None:
    told: list[list[str]] = []
    for after_h in (0.0, 14.0, 14.1):
        async with market(after_h, "vol-explosion") as (exchange, clock):
            settings = settings_with(exchange, tmp_path, hook.base)
            async with living(settings, clock) as life:
                if after_h:
                    await hook.requests(1)
                await life.stored()
                await life.until(lambda: not any(status.under_way for status in life.alerts.outbox.status()))
        told.append([one.json["id"] for one in hook.seen if one.json["event_type"] == "VOLATILITY_REGIME"])
    assert not told[0]
    assert told[1]
    assert len(set(told[1])) == len(told[1])
    assert told[2] == told[1]


async def test_what_the_history_left_open_is_stored_whole_and_told_to_nobody(
    tmp_path: Path, hook: Receiver
) -> None:
    async with (
        market(14.0, "vol-explosion") as (exchange, clock),
        living(settings_with(exchange, tmp_path, hook.base), clock) as life,
    ):
        await life.stored()
        standing = {event.id: event.revision for event in life.pipeline.engine.open_events.values()}
        stored = await life.alerts.storage.states_after("", 0, limit=1000)
        reasons = {d.reason for one in standing for d in await life.alerts.storage.decisions(one)}
    states = [(state.id, state.revision) for state in stored or []]
    assert any(standing.values()), "none of them has had more than one state"
    assert sorted(states) == sorted((one, n) for one, last in standing.items() for n in range(last + 1))
    assert reasons == {"history"}
    assert not hook.seen


async def test_liquidations_enter_the_windows_once_however_long_ago_they_were(
    tmp_path: Path, hook: Receiver
) -> None:
    for after_h in (0.0, 3.0, 6.0, 9.0):
        async with market(after_h) as (exchange, clock):
            settings = settings_with(exchange, tmp_path, hook.base, pipeline={"interval_seconds": 0.2})
            async with living(settings, clock) as life:
                await exchange.faults.burst(50, symbol_ids=["BTCUSDT"])
                await life.until(lambda: (life.pipeline.engine.intake.accepted["liquidation"] or 0) >= 50)
                life.alerts.desk.save()
                await life.stored()
                found = await life.alerts.storage.liquidations(since_ms=0, symbol="BTC/USDT", limit=1000)
                await settles_at(life, sum(one.quote_usd for one in found))
    assert len(found) == 4 * 50


async def settles_at(life: Life, usd: float) -> None:
    """Wait until the last reading counts so much; a tick may have to come first."""

    def total_usd() -> float | None:
        total: float | None = life.pipeline.engine.packages()["BTC/USDT"]["cascades"]["total_liquidation_usd"]
        return total

    await life.until(lambda: total_usd() == pytest.approx(usd))


async def test_other_settings_begin_anew_and_still_know_the_liquidations_of_the_day(
    tmp_path: Path, hook: Receiver
) -> None:
    async with market() as (exchange, clock):
        async with living(settings_with(exchange, tmp_path, hook.base, **CASCADES), clock) as life:
            await exchange.faults.burst(10, symbol_ids=["BTCUSDT"])
            await life.until(lambda: life.pipeline.engine.intake.accepted["liquidation"] >= 10)
            await life.stored()
        changed: dict[str, Any] = {"liquidation": {**CASCADES["liquidation"], "critical_velocity": 2e5}}
        async with living(settings_with(exchange, tmp_path, hook.base, **changed), clock) as life:
            cascades = life.pipeline.engine.packages()["BTC/USDT"]["cascades"]
    assert cascades["event_count"] >= 10


async def test_a_disabled_endpoint_is_told_through_the_others(tmp_path: Path, hook: Receiver) -> None:
    async with Receiver().serving() as gone, market() as (exchange, clock):
        gone.script = [says(410)]
        settings = settings_with(
            exchange, tmp_path, gone.base, **CASCADES, delivery={"webhooks_admin": hook.base}
        )
        async with living(settings, clock) as life:
            await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
            (told,) = await hook.requests(1)
            await life.stored()
            dead = await life.alerts.storage.deliveries(event_id=None, status="dead", limit=10)
    assert told.json["event_type"] == "SYSTEM_ENDPOINT_DISABLED"
    assert told.json["symbol"] == "http-all-1"
    assert "410" in told.json["why"]
    assert gone.base not in json.dumps(told.json)
    assert dead[0].status is DeliveryStatus.DEAD


async def test_a_gap_in_the_liquidations_is_told_once_it_has_ended(tmp_path: Path, hook: Receiver) -> None:
    async with (
        market(speed=60.0) as (exchange, clock),
        living(settings_with(exchange, tmp_path, hook.base), clock),
    ):
        exchange.faults.reject_subscribe(1_000_000)
        await exchange.faults.close(1006, where="market")
        began_ms = clock.now_ms()
        await clock.sleep(90)
        exchange.faults.rejected_subscriptions = 0
        (told,) = await hook.requests(1)
    assert told.json["event_type"] == "SYSTEM_FEED_GAP"
    assert told.json["symbol"] == "binanceusdm liquidation"
    assert told.json["data"]["seconds"] >= 60
    # Contact counts from the last message, some real seconds before; one of them is a minute here.
    assert began_ms - 5 * 60_000 <= moment_ms(told.json["started"]) <= began_ms + 60_000


def moment_ms(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp() * 1000)

"""A running outbox over real SQLite and real sockets, and ways to wait for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from regimes.alerting.render import render
from regimes.clock import MarketClock
from regimes.delivery.channel import open_channels
from regimes.delivery.endpoints import Endpoint, parse_endpoints
from regimes.delivery.enqueue import Letter, new_delivery
from regimes.delivery.outbox import Outbox
from regimes.delivery.settings import DEFAULTS, DeliverySettings
from regimes.delivery.signing import parse_secrets
from regimes.events import EventBody, event_id
from regimes.storage.base import Attempt, Delivery, Settlement, Step, StorageAwayError
from regimes.storage.sqlite import SqliteStorage
from tests.delivery.messages import event

DISCORD_KEY = "cAnArY-discord-token-0123456789abcdefghijklmnopqrstuvwxyz"
TELEGRAM_KEY = "123456789:AAcAnArY-telegram-token-0123456789abcd"
SLACK_PATH = "T0CANARY/B0CANARY/cAnArYslacktoken012345"
SIGNING_TEXT = "whsec_Y0FuQXJZLXNpZ25pbmcta2V5LTAxMjM0NTY3"
DISCORD = f"https://discord.com/api/webhooks/123456789012345678/{DISCORD_KEY}"
DISCORD_2 = f"https://discord.com/api/webhooks/223456789012345678/{DISCORD_KEY}"
TELEGRAM = f"https://api.telegram.org/bot{TELEGRAM_KEY}/sendMessage?chat_id=-100"
SLACK = f"https://hooks.slack.com/services/{SLACK_PATH}"
D1, D2 = "discord-all-1", "discord-all-2"
H1, H2 = "http-all-1", "http-all-2"
T1, S1 = "telegram-all-1", "slack-all-1"
LOOPBACK = ("127.0.0.0/8",)


class WatchedStorage(SqliteStorage):
    """Real storage that tells when attempts are settled, and can be away for some calls."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.settled: list[Attempt] = []
        self.away_for = 0
        self.endpoints_away_for = 0
        self._changed = asyncio.Condition()

    async def endpoints(self) -> dict[str, bytes]:
        if self.endpoints_away_for:
            self.endpoints_away_for -= 1
            raise StorageAwayError("the database is away")
        return await super().endpoints()

    async def settle(self, attempt: Attempt, settlement: Settlement) -> None:
        if self.away_for:
            self.away_for -= 1
            raise StorageAwayError("the database is away")
        await super().settle(attempt, settlement)
        self.settled.append(attempt)
        async with self._changed:
            self._changed.notify_all()

    async def until_settled(self, attempts: int, *, within_s: float = 20.0) -> list[Attempt]:
        """Wait until so many attempts are on disk."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: len(self.settled) >= attempts)
        return self.settled


class Office:
    """What the service would be told."""

    def __init__(self) -> None:
        self.disabled: list[tuple[str, str]] = []

    async def on_disabled(self, endpoint: Endpoint, reason: str, _now_ms: int) -> None:
        self.disabled.append((endpoint.name, reason))


class Running:
    """An outbox at work."""

    def __init__(self, outbox: Outbox, storage: WatchedStorage, endpoints: tuple[Endpoint, ...]) -> None:
        self.outbox = outbox
        self.storage = storage
        self.clock = MarketClock()
        self.office = Office()
        self.endpoints = {endpoint.name: endpoint for endpoint in endpoints}

    async def post(
        self,
        endpoint: str,
        body: EventBody,
        *,
        age_ms: int = 0,
        settings: DeliverySettings = DEFAULTS,
        **how: Any,
    ) -> Delivery:
        """Commit one delivery and wake the outbox, as the service does."""
        new = new_delivery(
            Letter.of(body, render(body, **how)),
            self.endpoints[endpoint],
            now_ms=self.clock.now_ms() - age_ms,
            settings=settings,
        )
        await self.storage.commit(Step(events=[body], deliveries=[new]))
        self.outbox.wake([endpoint])
        return await self.delivery(new.id)

    async def delivery(self, delivery_id: str) -> Delivery:
        return next(
            d
            for d in await self.storage.deliveries(event_id=None, status=None, limit=1000)
            if d.id == delivery_id
        )


def nth_event(number: int, **changes: Any) -> EventBody:
    """Another event for each number."""
    return event(**({"id": event_id("LIQUIDATION_CASCADE", "BTC/USDT", number)} | changes))


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[WatchedStorage]:
    storage = WatchedStorage(path / "outbox.db")
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@asynccontextmanager
async def running(
    storage: WatchedStorage,
    urls: Mapping[str, str],
    *,
    bases: Mapping[str, str] | None = None,
    timeout_s: float = 2.0,
    fallback: str = "",
    allow: tuple[str, ...] = LOOPBACK,
    jitter: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[Running]:
    """An outbox whose retries follow at once unless `jitter` says else, closed and drained at the end."""
    endpoints = parse_endpoints(urls, bases=bases)
    settings = DeliverySettings(timeout_seconds=timeout_s, allow_cidrs=allow, fallback=fallback)
    async with open_channels(endpoints, settings, secrets=parse_secrets(SIGNING_TEXT)) as channels:
        office, clock = Office(), MarketClock()
        outbox = Outbox(
            channels,
            storage,
            clock,
            timeout_s=timeout_s,
            fallback=fallback,
            on_disabled=office.on_disabled,
            jitter=jitter,
        )
        at_work = Running(outbox, storage, endpoints)
        at_work.office, at_work.clock = office, clock
        async with asyncio.TaskGroup() as group:
            group.create_task(outbox.run())
            try:
                yield at_work
            finally:
                outbox.close()

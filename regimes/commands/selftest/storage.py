"""A database of this installation's own: is what was written there after it was closed, and seen by a second process?"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from regimes.alerting.records import Silence
from regimes.alerting.render import render
from regimes.clock import SystemClock
from regimes.commands.selftest.check import Result
from regimes.commands.webhooks.samples import sample
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.enqueue import Letter, new_delivery
from regimes.events import EventType, body
from regimes.storage.base import Attempt, DeliveryStatus, EventQuery, Outcome, Settlement, Step, Storage
from regimes.storage.sqlite import SqliteStorage

_LEASE_MS = 60_000


async def check() -> list[Result]:
    """Write through one connection, read through another, close, open again."""
    with tempfile.TemporaryDirectory(prefix="regimes-selftest-") as folder:
        path = Path(folder) / "selftest.db"
        async with _opened(path) as first, _opened(path) as second:
            results = await _write(first, second)
        async with _opened(path) as again:
            return [*results, await _after_a_restart(again)]


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[Storage]:
    storage = SqliteStorage(path)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


async def _write(first: Storage, second: Storage) -> list[Result]:
    now_ms = SystemClock().now_ms()
    event = body(sample(EventType.LIQUIDATION_CASCADE, now_ms))
    endpoint = Endpoint(name="http-all-1", kind=Kind.HTTP, routes=frozenset({"ALL"}), url="http://127.0.0.1/")
    delivery = new_delivery(Letter.of(event, render(event)), endpoint, now_ms=now_ms)
    step = Step(events=[event], deliveries=[delivery], state={"engine": b"snapshot"})
    await first.commit(step)
    await first.commit(step)
    await second.put_silence(Silence(id="sil_selftest", created_ms=now_ms, until_ms=now_ms + 1))
    page = await second.events(EventQuery())
    claimed = await first.claim(endpoint.name, now_ms=now_ms, lease_ms=_LEASE_MS, limit=9)
    again = await second.claim(endpoint.name, now_ms=now_ms, lease_ms=_LEASE_MS, limit=9)
    attempt = Attempt(
        delivery_id=delivery.id,
        endpoint=endpoint.name,
        attempt=1,
        started_ms=now_ms,
        duration_ms=1,
        outcome=Outcome.DELIVERED,
    )
    await first.settle(attempt, Settlement(status=DeliveryStatus.DELIVERED))
    return [
        _equal("an event, its delivery and the state are one transaction", 1, len(page.events)),
        _equal("a second process sees them", event.id, page.events[0].id if page.events else None),
        _equal("what a second process writes is seen", 1, len(await first.silences())),
        _equal("a delivery is handed out once", "1 and 0", f"{len(claimed)} and {len(again)}"),
    ]


async def _after_a_restart(storage: Storage) -> Result:
    deliveries = await storage.deliveries(event_id=None, status=None, limit=9)
    found = f"{[d.status.value for d in deliveries]} {(await storage.load_state()).get('engine')!r}"
    return _equal("everything is there after a restart", "['delivered'] b'snapshot'", found)


def _equal(name: str, expected: object, found: object) -> Result:
    return Result("storage", name, found == expected, str(expected), str(found))

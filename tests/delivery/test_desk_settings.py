"""The desk obeys the expiry settings and tells of silences that change."""

import asyncio

from structlog.testing import capture_logs

from regimes.alerting.policy import Policy
from regimes.alerting.records import Route, Silence
from regimes.alerting.settings import AlertingSettings
from regimes.clock import SystemClock
from regimes.commands.webhooks.samples import sample
from regimes.delivery.desk import AlertDesk
from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.settings import DeliverySettings
from regimes.events import EventType, Severity
from regimes.pipeline.states import States
from regimes.timeframe import MINUTE_MS
from tests.delivery.harness import D1, DISCORD, H1, WatchedStorage

ENDPOINTS = parse_endpoints({"ALL": f"{DISCORD},http://127.0.0.1:9/x"})
ROUTES = [Route(endpoint=one.name, sources=one.routes, minimum=Severity.INFO) for one in ENDPOINTS]


def desk(storage: WatchedStorage, settings: DeliverySettings) -> AlertDesk:
    return AlertDesk(
        Policy(AlertingSettings(), ROUTES),
        storage,
        ENDPOINTS,
        SystemClock(),
        states=States(dict, lambda: None),
        settings=settings,
    )


async def test_a_message_is_worth_sending_for_as_long_as_the_settings_say(storage: WatchedStorage) -> None:
    at_desk = desk(storage, DeliverySettings(chat_expiry_minutes=7, json_expiry_hours=3))
    writing = asyncio.create_task(at_desk.run())
    at_desk.take([sample(EventType.LIQUIDATION_CASCADE, 1_738_000_000_000)], 1_738_000_000_000)
    await asyncio.wait_for(at_desk.drained(), 10)
    writing.cancel()
    stored = await storage.deliveries(event_id=None, status=None, limit=9)
    assert {one.endpoint: one.expires_at_ms - one.created_ms for one in stored} == {
        D1: 7 * MINUTE_MS,
        H1: 180 * MINUTE_MS,
    }


async def test_a_change_of_the_silences_is_logged_once(storage: WatchedStorage) -> None:
    at_desk = desk(storage, DeliverySettings())
    silence = Silence(id="sil_1", created_ms=1, until_ms=2)
    with capture_logs() as lines:
        await at_desk.load_silences()
        await storage.put_silence(silence)
        await at_desk.load_silences()
        await at_desk.load_silences()
        await storage.delete_silence("sil_1")
        await at_desk.load_silences()
    assert [line["silences"] for line in lines if line["event"] == "silences_changed"] == [["sil_1"], []]

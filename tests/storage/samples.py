"""Small valid records to store; a test names only what it is about."""

from typing import Any

import msgspec

from regimes.alerting.records import Action, Decision, Reason
from regimes.events import Event, EventBody, EventType, Phase, Severity, body
from regimes.observations import Liquidation
from regimes.storage.base import (
    Attempt,
    DeliveryStatus,
    NewDelivery,
    Outcome,
    Settlement,
    Step,
)

NOW_MS = 1_700_000_000_000
LEASE_MS = 30_000


def event(started_ms: int = NOW_MS, symbol: str = "BTC/USDT", **changes: Any) -> EventBody:
    plain = Event(
        type=EventType.LIQUIDATION_CASCADE,
        symbol=symbol,
        severity=Severity.WARNING,
        phase=Phase.OPENED,
        ts_ms=started_ms,
        started_ms=started_ms,
        revision=0,
        title="Cascade",
        description="Longs are being closed",
        why="velocity 500,000 USD/h >= 200,000",
        data={"severity": 3, "support_levels": [45_000.5]},
    )
    return body(msgspec.structs.replace(plain, **changes))


def delivery(delivery_id: str = "d1", **changes: Any) -> NewDelivery:
    plain = NewDelivery(
        id=delivery_id,
        event_id=f"evt_{delivery_id}",
        revision=0,
        endpoint="chat",
        collapse_key=f"key_{delivery_id}",
        created_ms=NOW_MS,
        next_at_ms=NOW_MS,
        expires_at_ms=NOW_MS + 3_600_000,
        message=b'{"title":"\xc3\xa9"}',
    )
    return msgspec.structs.replace(plain, **changes)


def deliveries(*news: NewDelivery) -> Step:
    return Step(deliveries=news)


def attempt(delivery_id: str = "d1", number: int = 1, **changes: Any) -> Attempt:
    plain = Attempt(
        delivery_id=delivery_id,
        endpoint="chat",
        attempt=number,
        started_ms=NOW_MS + number,
        duration_ms=40,
        outcome=Outcome.RETRY,
        status_code=503,
        note="answered 503",
    )
    return msgspec.structs.replace(plain, **changes)


def delivered(provider_message_id: str | None = None) -> Settlement:
    return Settlement(status=DeliveryStatus.DELIVERED, provider_message_id=provider_message_id)


def retry(next_at_ms: int) -> Settlement:
    return Settlement(status=DeliveryStatus.PENDING, next_at_ms=next_at_ms)


def decision(event_id: str, ts_ms: int = NOW_MS, **changes: Any) -> Decision:
    plain = Decision(
        event_id=event_id,
        revision=0,
        endpoint="chat",
        action=Action.SEND,
        reason=Reason.OPENED,
        words="velocity 500,000 USD/h >= 200,000",
        ts_ms=ts_ms,
    )
    return msgspec.structs.replace(plain, **changes)


def liquidation(ts_ms: int = NOW_MS, symbol: str = "BTC/USDT", price: float = 45_000.1) -> Liquidation:
    return Liquidation(ts_ms, "binanceusdm", symbol, "long", price, 0.1, price * 0.1)

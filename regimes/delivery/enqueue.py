"""From an event and its message to the deliveries that storage keeps."""

from regimes.alerting.message import Message, delivery_id, pack
from regimes.delivery.endpoints import Endpoint
from regimes.delivery.kinds import traits
from regimes.delivery.settings import DEFAULTS, DeliverySettings
from regimes.events import EventBody
from regimes.storage.base import NewDelivery


def new_delivery(
    body: EventBody,
    message: Message,
    endpoint: Endpoint,
    *,
    now_ms: int,
    settings: DeliverySettings = DEFAULTS,
    collapse_key: str | None = None,
) -> NewDelivery:
    """One delivery, due at once.

    now_ms: real time, the outbox's clock. settings: how long it is worth sending. collapse_key: by default the event's id, so that a newer state replaces one that still waits.
    """
    return NewDelivery(
        id=delivery_id(message.event_id, message.revision, endpoint.name, reminder=message.reminder),
        event_id=message.event_id,
        revision=message.revision,
        endpoint=endpoint.name,
        collapse_key=collapse_key or message.event_id,
        created_ms=now_ms,
        next_at_ms=now_ms,
        expires_at_ms=now_ms + traits(endpoint, settings).expiry_ms,
        message=pack(body, message),
        reminder=message.reminder,
    )

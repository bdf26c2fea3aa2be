"""From an event and its message to the deliveries that storage keeps."""

from typing import NamedTuple

from regimes.alerting.message import Message, delivery_id, pack
from regimes.delivery.endpoints import Endpoint
from regimes.delivery.kinds import traits
from regimes.delivery.settings import DEFAULTS, DeliverySettings
from regimes.events import EventBody
from regimes.storage.base import NewDelivery


class Letter(NamedTuple):
    """What is sent, in words and as bytes; the same to however many endpoints."""

    message: Message
    packed: bytes

    @classmethod
    def of(cls, body: EventBody, message: Message) -> "Letter":
        """Pack it."""
        return cls(message, pack(body, message))


def new_delivery(
    letter: Letter,
    endpoint: Endpoint,
    *,
    now_ms: int,
    settings: DeliverySettings = DEFAULTS,
    collapse_key: str | None = None,
) -> NewDelivery:
    """One delivery, due at once.

    now_ms: real time, the outbox's clock. settings: how long it is worth sending. collapse_key: by default the event's id, so that a newer state replaces one that still waits.
    """
    message = letter.message
    return NewDelivery(
        id=delivery_id(message.event_id, message.revision, endpoint.name, reminder=message.reminder),
        event_id=message.event_id,
        revision=message.revision,
        endpoint=endpoint.name,
        collapse_key=collapse_key or message.event_id,
        created_ms=now_ms,
        next_at_ms=now_ms,
        expires_at_ms=now_ms + traits(endpoint, settings).expiry_ms,
        message=letter.packed,
        reminder=message.reminder,
    )

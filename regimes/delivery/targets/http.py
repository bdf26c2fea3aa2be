"""Any program that listens: the event's JSON as it is, signed after Standard Webhooks."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from regimes.alerting.message import Message, delivery_id
from regimes.delivery import signing
from regimes.delivery.base import Reply, Request, Response
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.targets.answers import by_status


class HttpTarget:
    """Sends each state of an event as a message of its own; `id` and `revision` in the body tell them apart."""

    kind: ClassVar[str] = Kind.HTTP

    def __init__(self, endpoint: Endpoint, secrets: Sequence[bytes] = ()) -> None:
        self._endpoint = endpoint
        self._secrets = tuple(secrets)

    def request(
        self, message: Message, body: bytes, *, edit: str | None, memory: Mapping[str, str], now_s: int
    ) -> Request:
        del edit, memory
        message_id = delivery_id(
            message.event_id, message.revision, self._endpoint.name, reminder=message.reminder
        )
        signed = signing.headers(self._secrets, message_id=message_id, timestamp_s=now_s, body=body)
        return Request("POST", self._endpoint.url, {"Content-Type": "application/json", **signed}, body)

    def reply(self, response: Response, *, now_s: float) -> Reply:
        return by_status(response, now_s=now_s)

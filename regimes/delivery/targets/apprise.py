"""The long tail (e-mail, ntfy, Pushover, Matrix, Teams ...) through the optional library Apprise.

Apprise does its own input and output, so it is both target and transport here: the address guard does not see
where it connects. It runs in a thread, is asked once, and never tries again by itself: the outbox does that.
"""

import asyncio
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import ClassVar, Final

import msgspec

from regimes.alerting.message import Message
from regimes.delivery import markup
from regimes.delivery.base import Failure, Reply, Request, Response, TransportError
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.targets.answers import by_status
from regimes.events import Severity

TITLE: Final = 250
TEXT: Final = 4000
_TYPES: Final = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}
_ANSWERS: Final = {True: 200, False: 502, None: 501}


class Note(msgspec.Struct, frozen=True):
    """What Apprise is asked to send: plain text."""

    title: str
    body: str
    notify_type: str


def is_installed() -> bool:
    """Whether the extra is there."""
    return find_spec("apprise") is not None


class AppriseTarget:
    """One URL of Apprise's own kind."""

    kind: ClassVar[str] = Kind.APPRISE

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def request(
        self, message: Message, body: bytes, *, edit: str | None, memory: Mapping[str, str], now_s: int
    ) -> Request:
        del body, edit, memory, now_s
        facts = [f"{label}: {value}" for label, value in markup.facts(message)]
        links = [f"{label}: {url}" for label, url in markup.links(message)]
        lines = [
            markup.clean(message.summary),
            *facts,
            *markup.notes(message),
            *links,
            markup.status_line(message),
        ]
        note = Note(
            title=markup.fit(markup.headline(message), TITLE),
            body=markup.fit("\n".join(filter(None, lines)), TEXT),
            notify_type=_TYPES[message.severity],
        )
        return Request("NOTIFY", self._endpoint.url, {}, msgspec.json.encode(note))

    def reply(self, response: Response, *, now_s: float) -> Reply:
        return by_status(response, now_s=now_s)


class AppriseTransport:
    """Hands a request to Apprise in a thread, for at most `timeout_s` real seconds.

    Apprise tells success from failure and no more; a timeout may mean that the message went out.
    """

    def __init__(self, *, timeout_s: float = 5.0) -> None:
        self._timeout_s = timeout_s

    async def send(self, request: Request) -> Response:
        note = msgspec.json.decode(request.body, type=Note)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await asyncio.to_thread(_notify, request.url, note)
        except TimeoutError:
            raise TransportError(Failure.TIMEOUT, sent=True, detail="after sending") from None
        return Response(_ANSWERS[answer], {}, b"")


def _notify(url: str, note: Note) -> bool | None:
    """Whether Apprise delivered it; None when it does not know the URL."""
    import apprise  # noqa: PLC0415 (optional: only who uses it needs it)

    # Its log lines can hold the URL, which is a credential; what matters of them is the answer below.
    logging.getLogger("apprise").disabled = True
    messenger = apprise.Apprise()
    if not messenger.add(url):
        return None
    for service in messenger:
        service.retry = 0
    return bool(messenger.notify(body=note.body, title=note.title, notify_type=note.notify_type))

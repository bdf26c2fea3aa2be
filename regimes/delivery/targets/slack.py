"""Slack incoming webhooks: blocks (api.slack.com/reference/block-kit); they cannot edit what they posted."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from regimes.alerting.message import Message
from regimes.delivery import markup
from regimes.delivery.base import Reply, Request, Response, Verdict
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.targets.answers import by_status

HEADER: Final = 150
SECTION: Final = 3000
FIELDS: Final = 10
FIELD: Final = 2000
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class SlackTarget:
    """One channel."""

    kind: ClassVar[str] = Kind.SLACK

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def request(
        self, message: Message, body: bytes, *, edit: str | None, memory: Mapping[str, str], now_s: int
    ) -> Request:
        del body, edit, memory, now_s
        payload = {
            "text": markup.fit(markup.headline(message), SECTION, escape),
            "blocks": list(blocks(message)),
        }
        return Request(
            "POST", self._endpoint.url, {"Content-Type": "application/json"}, msgspec.json.encode(payload)
        )

    def reply(self, response: Response, *, now_s: float) -> Reply:
        if response.status == 200 and response.body.strip() != b"ok":
            return Reply(verdict=Verdict.PERMANENT, note="HTTP 200, but the body is not ok")
        if response.status == 400:
            return Reply(verdict=Verdict.PERMANENT, note="HTTP 400: Slack does not accept this message")
        return by_status(response, now_s=now_s)


def escape(text: str) -> Iterator[str]:
    """Each character as Slack shows it plainly; it also keeps `<!channel>` from calling anybody."""
    return (_ENTITIES.get(char, char) for char in text)


def blocks(message: Message) -> Iterator[dict[str, Any]]:
    """The message as blocks, each within its limit."""
    title = markup.fit(markup.headline(message), HEADER)
    yield {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}}
    text = "\n".join(filter(None, [markup.clean(message.summary), *markup.notes(message)]))
    if text:
        yield {"type": "section", "text": _text(markup.fit(text, SECTION, escape))}
    facts = [
        _text(f"*{markup.fit(label, 200, escape)}*\n{markup.fit(value, FIELD - 300, escape)}")
        for label, value in markup.facts(message)[:FIELDS]
    ]
    if facts:
        yield {"type": "section", "fields": facts}
    links = [f"<{url}|{markup.fit(label, 200, escape)}>" for label, url in markup.links(message)]
    foot = markup.fit(markup.status_line(message), 500, escape)
    elements = [_text(text) for text in [foot, *links] if markup.utf16_units(text) <= SECTION]
    yield {"type": "context", "elements": elements[:FIELDS]}


def _text(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}

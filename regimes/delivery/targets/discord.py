"""Discord webhooks: one embed, edited in place as the episode goes on.

Limits and rate limits: discord.com/developers/docs/resources/message#embed-object-embed-limits, .../topics/rate-limits.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import msgspec

from regimes.alerting.message import Message
from regimes.delivery import markup
from regimes.delivery.base import Reply, Request, Response, Verdict
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.targets.answers import asked_hold_s, by_status, json_object, seconds
from regimes.events import Phase, Severity, iso_utc

TITLE: Final = 256
DESCRIPTION: Final = 4096
FIELDS: Final = 25
FIELD_NAME: Final = 256
FIELD_VALUE: Final = 1024
FOOTER: Final = 2048
TOTAL: Final = 6000

_COLOURS: Final = {Severity.INFO: 0x3498DB, Severity.WARNING: 0xE67E22, Severity.CRITICAL: 0xE74C3C}
_OVER: Final = 0x2ECC71
# Discord shows any sign after a backslash as itself. A dash, a plus or a number makes a list only at a line's begin.
_MARKDOWN: Final = frozenset("\\*_~`|[]<>#@")
_LIST: Final = re.compile(r"^[^\S\n]*(?:\d+(?P<dot>\.)|(?P<dash>[-+]))(?=\s)", re.MULTILINE)
_UNKNOWN_MESSAGE: Final = 10008
_NO_WAIT_NAMED_S: Final = 60.0
_SMALLEST_FIELD: Final = 16
_BESIDE: Final = 40
"""Longer values get a line of their own; three stand side by side."""


class DiscordTarget:
    """One webhook, perhaps one thread of its channel."""

    kind: ClassVar[str] = Kind.DISCORD

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def request(
        self, message: Message, body: bytes, *, edit: str | None, memory: Mapping[str, str], now_s: int
    ) -> Request:
        del body, now_s
        payload = {"embeds": [embed(message)], "allowed_mentions": {"parse": []}}
        changes = edit is not None and "fresh" not in memory
        path = f"/messages/{edit}" if changes else ""
        query = urlencode({**self._endpoint.params, **({} if changes else {"wait": "true"})})
        return Request(
            "PATCH" if changes else "POST",
            f"{self._endpoint.url}{path}" + (f"?{query}" if query else ""),
            {"Content-Type": "application/json"},
            msgspec.json.encode(payload),
        )

    def reply(self, response: Response, *, now_s: float) -> Reply:
        said = json_object(response)
        if response.status == 429:
            return _rate_limited(response, said, now_s)
        if 200 <= response.status < 300:
            message_id = (said or {}).get("id")
            known = message_id if isinstance(message_id, str) and message_id.isdecimal() else None
            return Reply(
                verdict=Verdict.DELIVERED, provider_message_id=known, hold_s=_empty_bucket_s(response)
            )
        code = (said or {}).get("code")
        if code == _UNKNOWN_MESSAGE:
            return Reply(verdict=Verdict.AGAIN, note="the message to edit was deleted", once={"fresh": "1"})
        if response.status == 400:
            return Reply(verdict=Verdict.PERMANENT, note=f"HTTP 400, Discord code {_number(code)}")
        return by_status(response, now_s=now_s)


def _rate_limited(response: Response, said: dict[str, Any] | None, now_s: float) -> Reply:
    """The body's wait is exact, the header's rounded up. Without a JSON body the block is on this address."""
    asked_s = seconds((said or {}).get("retry_after"))
    hold_s = asked_s if asked_s is not None else asked_hold_s(response, now_s=now_s)
    everyone = (
        said is None or said.get("global") is True or response.headers.get("x-ratelimit-scope") == "global"
    )
    return Reply(
        verdict=Verdict.RETRY,
        note="HTTP 429" + (", all of Discord" if everyone else ""),
        hold_s=hold_s if hold_s is not None else _NO_WAIT_NAMED_S,
        hold_kind=everyone,
    )


def _empty_bucket_s(response: Response) -> float | None:
    if response.headers.get("x-ratelimit-remaining") != "0":
        return None
    return seconds(response.headers.get("x-ratelimit-reset-after"))


def _number(code: Any) -> str:
    return str(code) if isinstance(code, int) else "none"


def escape(text: str) -> Iterator[str]:
    """Each character as Discord shows it plainly."""
    lists = {found.start("dot") if found["dot"] else found.start("dash") for found in _LIST.finditer(text)}
    for place, char in enumerate(text):
        yield f"\\{char}" if char in _MARKDOWN or place in lists else char


def embed(message: Message) -> dict[str, Any]:
    """The message as an embed within every limit; what does not fit the total is left out from the end."""
    left = _Budget(TOTAL)
    made: dict[str, Any] = {
        "title": left.take(markup.headline(message), TITLE, escape),
        "color": _OVER if message.phase is Phase.CLOSED else _COLOURS[message.severity],
        "timestamp": iso_utc(message.ts_ms),
        "footer": {"text": left.take(markup.status_line(message), FOOTER)},
    }
    if description := _description(message, left):
        made["description"] = description
    if fields := list(_fields(message, left)):
        made["fields"] = fields
    return made


class _Budget:
    """Characters left of the total over the whole embed."""

    def __init__(self, units: int) -> None:
        self.units = units

    def take(self, text: str, limit: int, escape: markup.Escape = list) -> str:
        """As much of a text as its own limit and the total allow."""
        fitted = markup.fit(text, min(limit, self.units), escape)
        self.units -= markup.utf16_units(fitted)
        return fitted


def _description(message: Message, left: _Budget) -> str:
    """Summary, notes and links; a link stands whole or not at all, so it takes its room first."""
    links = " · ".join(f"[{markup.fit(label, 80, escape)}]({url})" for label, url in markup.links(message))
    if markup.utf16_units(links) > DESCRIPTION // 2:
        links = ""
    room = DESCRIPTION
    if links:
        room -= markup.utf16_units(links) + 1
        left.units -= markup.utf16_units(links) + 1
    text = left.take(
        "\n".join(filter(None, [markup.clean(message.summary), *markup.notes(message)])), room, escape
    )
    return "\n".join(filter(None, [text, links]))


def _fields(message: Message, left: _Budget) -> Iterator[dict[str, Any]]:
    for label, value in markup.facts(message)[:FIELDS]:
        if left.units < _SMALLEST_FIELD:
            return
        name = left.take(label, min(FIELD_NAME, left.units // 2), escape)
        yield {"name": name, "value": left.take(value, FIELD_VALUE, escape), "inline": len(value) <= _BESIDE}

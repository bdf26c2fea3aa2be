"""Telegram bots: HTML text with link buttons, edited in place as the episode goes on (core.telegram.org/bots/api)."""

import html
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from regimes.alerting.message import Message
from regimes.delivery import markup
from regimes.delivery.base import Reply, Request, Response, Verdict
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.targets.answers import asked_hold_s, by_status, json_object, seconds

TEXT: Final = 4096
_TITLE: Final = 512
_FACT: Final = 300
_BUTTON: Final = 64

# What a 400 says, in lower case, and what helps.
_AGAIN_WITH: Final = (
    ("can't parse entities", "plain"),
    ("message to edit not found", "fresh"),
    ("message can't be edited", "fresh"),
    ("message_id_invalid", "fresh"),
    ("button_url_invalid", "no_buttons"),
    ("inline keyboard button", "no_buttons"),
)
_ENDPOINT_GONE: Final = (
    "chat not found",
    "peer_id_invalid",
    "chat_write_forbidden",
    "group chat was deactivated",
    "not enough rights",
    "have no rights to send",
    "message thread not found",
    "topic_closed",
)
_NOTHING_NEW: Final = "message is not modified"


class TelegramTarget:
    """One chat, perhaps one topic in it."""

    kind: ClassVar[str] = Kind.TELEGRAM

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def request(
        self, message: Message, body: bytes, *, edit: str | None, memory: Mapping[str, str], now_s: int
    ) -> Request:
        del body, now_s
        chat_id = memory.get("chat_id", self._endpoint.params["chat_id"])
        payload: dict[str, Any] = {"chat_id": chat_id, "link_preview_options": {"is_disabled": True}}
        payload |= (
            {"text": plain_text(message)}
            if "plain" in memory
            else {"text": html_text(message), "parse_mode": "HTML"}
        )
        if "no_buttons" not in memory and (buttons := _buttons(message)):
            payload["reply_markup"] = {"inline_keyboard": [buttons]}
        message_id = None if "fresh" in memory else _message_in(chat_id, edit)
        if message_id is not None:
            method, payload["message_id"] = "editMessageText", message_id
        else:
            method = "sendMessage"
            payload |= {
                key: int(value) for key, value in self._endpoint.params.items() if key == "message_thread_id"
            }
        return Request(
            "POST",
            f"{self._endpoint.url}/{method}",
            {"Content-Type": "application/json"},
            msgspec.json.encode(payload),
        )

    def reply(self, response: Response, *, now_s: float) -> Reply:
        said = json_object(response) or {}
        if response.status == 429:
            asked_s = seconds(_parameters(said).get("retry_after"))
            hold_s = asked_s if asked_s is not None else asked_hold_s(response, now_s=now_s)
            return Reply(
                verdict=Verdict.RETRY, note="HTTP 429", hold_s=hold_s if hold_s is not None else 60.0
            )
        if response.status == 400:
            return _bad_request(said)
        if 200 <= response.status < 300:
            return Reply(verdict=Verdict.DELIVERED, provider_message_id=_message_id(said))
        return by_status(response, now_s=now_s)


def _bad_request(said: Mapping[str, Any]) -> Reply:
    new_chat = _parameters(said).get("migrate_to_chat_id")
    if isinstance(new_chat, int):
        return Reply(verdict=Verdict.AGAIN, note="the group has a new id", memory={"chat_id": str(new_chat)})
    description = str(said.get("description", "")).lower()
    if _NOTHING_NEW in description:
        return Reply(verdict=Verdict.DELIVERED, note=_NOTHING_NEW)
    for words, way in _AGAIN_WITH:
        if words in description:
            return Reply(verdict=Verdict.AGAIN, note=words, once={way: "1"})
    for words in _ENDPOINT_GONE:
        if words in description:
            return Reply(verdict=Verdict.PARK, note=f"HTTP 400: {words}")
    return Reply(verdict=Verdict.PERMANENT, note="HTTP 400")


def _parameters(said: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = said.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def _message_id(said: Mapping[str, Any]) -> str | None:
    """Message ids count within a chat, so the chat is part of it; an edit of another chat's message is impossible."""
    result = said.get("result")
    if not isinstance(result, dict) or not isinstance(result.get("message_id"), int):
        return None
    chat = result.get("chat")
    return f"{chat['id']}/{result['message_id']}" if isinstance(chat, dict) and "id" in chat else None


def _message_in(chat_id: str, edit: str | None) -> int | None:
    chat, _, message_id = (edit or "").partition("/")
    # A channel may be configured by its @name; its messages come back with a number.
    same = chat == chat_id or chat_id.startswith("@")
    return int(message_id) if same and message_id.isdecimal() else None


def _escape(text: str) -> Iterator[str]:
    return (html.escape(char, quote=False) for char in text)


def html_text(message: Message) -> str:
    """Title, summary, facts and notes in Telegram's HTML, whole tags and entities only, within the limit."""
    left = TEXT
    lines: list[str] = []
    for before, text, after, limit in _lines(message):
        room = min(limit, left - len(before) - len(after) - 1)
        if room < len("&amp;") + 1:
            break
        line = f"{before}{markup.fit(text, room, _escape)}{after}"
        left -= markup.utf16_units(line) + 1
        lines.append(line)
    return "\n".join(lines)


def plain_text(message: Message) -> str:
    """The same without markup."""
    return markup.fit("\n".join(f"{_bare(before)}{text}" for before, text, _, _ in _lines(message)), TEXT)


def _bare(before: str) -> str:
    """Of what stands before a text, the words."""
    return html.unescape(before.removeprefix("<b>").removeprefix("<i>").replace("</b>", ""))


def _lines(message: Message) -> Iterator[tuple[str, str, str, int]]:
    """Markup before, text, markup after, and the most units the escaped text may take."""
    yield "<b>", markup.headline(message), "</b>", _TITLE
    if summary := markup.clean(message.summary):
        yield "", summary, "", TEXT // 2
    for label, value in markup.facts(message):
        yield f"<b>{markup.fit(label, 100, _escape)}</b>: ", value, "", _FACT
    for note in markup.notes(message):
        yield "<i>", note, "</i>", TEXT // 4
    yield "<i>", markup.status_line(message), "</i>", _FACT


def _buttons(message: Message) -> list[dict[str, str]]:
    """Only links a phone can open: Telegram refuses the whole message for one it cannot."""
    return [
        {"text": markup.fit(label, _BUTTON), "url": url}
        for label, url in markup.links(message)
        if markup.is_open_to_phones(url)
    ]

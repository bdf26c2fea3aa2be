from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given

from regimes.alerting.message import Link, Message
from regimes.delivery import markup
from regimes.delivery.base import Response, Verdict
from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.targets.telegram import TEXT, TelegramTarget, html_text, plain_text
from tests.delivery.messages import message, messages

(ENDPOINT,) = parse_endpoints(
    {"ALL": "https://api.telegram.org/bot42:token/sendMessage?chat_id=-100&message_thread_id=3"}
)
TARGET = TelegramTarget(ENDPOINT)
KNOWN_ENTITIES = {"amp", "lt", "gt"}


class TelegramReader(HTMLParser):
    """Reads HTML as strictly as Telegram does."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"b", "i"}
        assert not attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert "<" not in data
        assert "&" not in data
        self.text += data

    def handle_entityref(self, name: str) -> None:
        assert name in KNOWN_ENTITIES
        self.text += {"amp": "&", "lt": "<", "gt": ">"}[name]

    def handle_charref(self, name: str) -> None:
        raise AssertionError(f"unexpected &#{name};")

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"unexpected comment {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"unexpected declaration {decl!r}")


def read(text: str) -> str:
    reader = TelegramReader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader.text


def built(told: Message, **how: Any) -> tuple[str, dict[str, Any]]:
    request = TARGET.request(told, b"{}", **({"edit": None, "memory": {}, "now_s": 0} | how))
    return request.url.rsplit("/", 1)[1], msgspec.json.decode(request.body)


def answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def bad(description: str, **more: Any) -> Response:
    return answer(400, {"ok": False, "error_code": 400, "description": description, **more})


@given(messages)
def test_no_text_ever_breaks_the_limit_or_its_markup(told: Message) -> None:
    text = html_text(told)
    assert 0 < markup.utf16_units(text) <= TEXT
    assert read(text).strip()


@given(messages)
def test_the_plain_form_fits_and_has_no_markup_of_ours(told: Message) -> None:
    text = plain_text(told)
    assert 0 < markup.utf16_units(text) <= TEXT
    bare = msgspec.structs.replace(told, title="t", symbol="s", summary="", why="", facts=())
    assert "<" not in plain_text(bare)


@given(messages)
def test_every_button_has_a_label_and_a_web_address(told: Message) -> None:
    _, payload = built(told)
    for row in payload.get("reply_markup", {"inline_keyboard": []})["inline_keyboard"]:
        for button in row:
            assert button["text"].strip()
            assert button["url"].startswith(("http://", "https://"))


def test_a_cascade_reads_title_facts_why() -> None:
    text = read(html_text(message()))
    assert text.startswith("🔴 BTC/USDT liquidation cascade: 5.0 M USD in 10 h\n")
    assert "Velocity: 500,000 USD/h\n" in text
    assert "Why: velocity 500,000 USD/h >= 400,000\n" in text


def test_signs_of_html_in_an_event_are_read_as_themselves() -> None:
    text = html_text(message(title="</b><a href='x'>&amp;", symbol="A&B"))
    assert "</b><a href='x'>&amp;" in read(text)
    assert "A&B" in read(text)


def test_buttons_that_no_phone_opens_are_left_out() -> None:
    method, payload = built(message())
    assert method == "sendMessage"
    (row,) = payload["reply_markup"]["inline_keyboard"]
    assert [button["text"] for button in row] == ["View on dashboard", "More info"]
    local = msgspec.structs.replace(message(), links=(Link("Here", "http://localhost:8000/"),))
    assert "reply_markup" not in built(local)[1]


def test_a_first_message_is_sent_to_the_topic_and_a_later_one_edits_it() -> None:
    method, payload = built(message())
    assert (method, payload["chat_id"], payload["message_thread_id"]) == ("sendMessage", "-100", 3)
    assert payload["parse_mode"] == "HTML"
    method, payload = built(message(), edit="-100/8")
    assert (method, payload["message_id"]) == ("editMessageText", 8)
    assert "message_thread_id" not in payload


def test_a_message_of_the_chat_before_its_move_is_not_edited() -> None:
    method, payload = built(message(), edit="-100/8", memory={"chat_id": "-1009"})
    assert (method, payload["chat_id"]) == ("sendMessage", "-1009")


def test_the_published_rate_limit_is_obeyed(vectors: dict[str, Any]) -> None:
    case = vectors["telegram_429"]
    reply = TARGET.reply(answer(429, case["body"]), now_s=0)
    assert (reply.verdict, reply.hold_s, reply.hold_kind) == (Verdict.RETRY, case["wait_s"], False)


def test_the_published_migration_is_remembered_and_sent_again(vectors: dict[str, Any]) -> None:
    reply = TARGET.reply(answer(400, vectors["telegram_migrate"]["body"]), now_s=0)
    assert (reply.verdict, reply.memory) == (Verdict.AGAIN, {"chat_id": "-1001234567890"})


def test_entities_that_cannot_be_parsed_are_sent_plainly_and_only_this_once() -> None:
    reply = TARGET.reply(bad("Bad Request: can't parse entities: Unsupported start tag"), now_s=0)
    assert (reply.verdict, dict(reply.memory)) == (Verdict.AGAIN, {})
    _, payload = built(message(), memory=reply.once)
    assert "parse_mode" not in payload
    assert "<b>" not in payload["text"]


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (bad("Bad Request: message is not modified: specified new message content"), Verdict.DELIVERED),
        (bad("Bad Request: message to edit not found"), Verdict.AGAIN),
        (bad("Bad Request: inline keyboard button URL 'x' is invalid"), Verdict.AGAIN),
        (bad("Bad Request: chat not found"), Verdict.PARK),
        (bad("Bad Request: message is too long"), Verdict.PERMANENT),
        (answer(400, b"<html>"), Verdict.PERMANENT),
        (answer(403, {"ok": False, "description": "Forbidden: bot was kicked"}), Verdict.PARK),
        (answer(401, {"ok": False}), Verdict.PARK),
        (answer(404, {"ok": False}), Verdict.PARK),
        (answer(502, b"<html>Bad Gateway</html>"), Verdict.RETRY),
        (answer(429, b""), Verdict.RETRY),
    ],
)
def test_each_answer_has_its_verdict(response: Response, verdict: Verdict) -> None:
    assert TARGET.reply(response, now_s=0).verdict is verdict


def test_a_message_that_cannot_be_edited_is_sent_afresh_and_without_refused_buttons() -> None:
    gone = TARGET.reply(bad("Bad Request: message to edit not found"), now_s=0)
    assert built(message(), edit="-100/8", memory=gone.once)[0] == "sendMessage"
    refused = TARGET.reply(bad("Bad Request: BUTTON_URL_INVALID"), now_s=0)
    assert "reply_markup" not in built(message(), memory=refused.once)[1]


def test_success_gives_chat_and_message() -> None:
    ok = {"ok": True, "result": {"message_id": 8, "chat": {"id": -100}}}
    assert TARGET.reply(answer(200, ok), now_s=0).provider_message_id == "-100/8"
    for odd in ({"ok": True}, {"ok": True, "result": True}, {"ok": True, "result": {"message_id": "8"}}, b""):
        reply = TARGET.reply(answer(200, odd), now_s=0)
        assert (reply.verdict, reply.provider_message_id) == (Verdict.DELIVERED, None)


@pytest.mark.parametrize("kind", ["telegram_markdownv2", "telegram_markdownv2_code"])
def test_what_markdown_would_have_to_escape_is_read_as_it_was_written(
    kind: str, vectors: dict[str, Any]
) -> None:
    for text, _ in vectors[kind]:
        told = msgspec.structs.replace(message(), why=text)
        assert f"Why: {text.strip()}" in read(html_text(told))
        assert f"Why: {text.strip()}" in plain_text(told)


def test_an_address_with_brackets_and_backslashes_is_the_address_of_its_button(
    vectors: dict[str, Any],
) -> None:
    for address, _ in vectors["telegram_markdownv2_link"]:
        told = msgspec.structs.replace(message(), links=(Link("View on dashboard", address),))
        _, sent = built(told)
        ((button,),) = sent["reply_markup"]["inline_keyboard"]
        assert unquote(button["url"]) == address

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given

from regimes.alerting.message import Message
from regimes.delivery import markup
from regimes.delivery.base import Response, Verdict
from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.targets import slack
from regimes.delivery.targets.slack import SlackTarget
from tests.delivery.messages import message, messages

(ENDPOINT,) = parse_endpoints({"ALL": "https://hooks.slack.com/services/T0/B0/token"})
TARGET = SlackTarget(ENDPOINT)
LINK = re.compile(r"<https?://[^<>|\s]+\|[^<>]*>")


def built(told: Message) -> dict[str, Any]:
    request = TARGET.request(told, b"{}", edit=None, memory={}, now_s=0)
    payload: dict[str, Any] = msgspec.json.decode(request.body)
    return payload


def texts(payload: dict[str, Any]) -> list[str]:
    found = [payload["text"]]
    for block in payload["blocks"]:
        parts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        found += [part["text"] for part in parts if part and part["type"] == "mrkdwn"]
    return found


@given(messages)
def test_no_body_ever_breaks_a_limit(told: Message) -> None:
    payload = built(told)
    assert len(payload["blocks"]) <= 50
    for block in payload["blocks"]:
        if block["type"] == "header":
            assert 0 < markup.utf16_units(block["text"]["text"]) <= slack.HEADER
        elif block["type"] == "section":
            assert 0 < markup.utf16_units(block.get("text", {"text": "-"})["text"]) <= slack.SECTION
            assert len(block.get("fields", [])) <= slack.FIELDS
            assert all(
                0 < markup.utf16_units(field["text"]) <= slack.FIELD for field in block.get("fields", [])
            )
        else:
            assert block["type"] == "context"
            assert 0 < len(block["elements"]) <= 10
            assert all(0 < markup.utf16_units(part["text"]) <= slack.SECTION for part in block["elements"])


@given(messages)
def test_no_text_holds_a_bare_sign_that_slack_would_act_on(told: Message) -> None:
    for text in texts(built(told)):
        bare = LINK.sub("", text)
        assert not re.search(r"[<>]", bare)
        assert not re.search(r"&(?!amp;|lt;|gt;)", bare)


def test_a_cascade_shows_title_facts_and_links() -> None:
    payload = built(message())
    assert payload["blocks"][0]["text"]["text"] == "🔴 BTC/USDT liquidation cascade: 5.0 M USD in 10 h"
    shown = texts(payload)
    assert "*Velocity*\n500,000 USD/h" in shown
    assert "<https://example.com/docs|More info>" in shown
    assert any("velocity 500,000 USD/h &gt;= 400,000" in text for text in shown)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"ok", Verdict.DELIVERED),
        (200, b"invalid_payload", Verdict.PERMANENT),
        (400, b"invalid_blocks", Verdict.PERMANENT),
        (403, b"invalid_token", Verdict.PARK),
        (404, b"no_service", Verdict.PARK),
        (410, b"channel_is_archived", Verdict.PARK),
        (500, b"rollup_error", Verdict.RETRY),
    ],
)
def test_each_answer_has_its_verdict(status: int, body: bytes, verdict: Verdict) -> None:
    assert TARGET.reply(Response(status, {}, body), now_s=0).verdict is verdict


def test_a_rate_limit_holds_the_endpoint_as_long_as_asked() -> None:
    reply = TARGET.reply(Response(429, {"retry-after": "30"}, b""), now_s=0)
    assert (reply.verdict, reply.hold_s, reply.hold_kind) == (Verdict.RETRY, 30, False)

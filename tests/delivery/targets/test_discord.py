import re
from typing import Any

import msgspec
import pytest
from hypothesis import given

from regimes.alerting.message import Fact, Message
from regimes.delivery import markup
from regimes.delivery.base import Response, Verdict
from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.targets import discord
from regimes.delivery.targets.discord import DiscordTarget, embed
from tests.delivery.messages import event, message, messages

(ENDPOINT,) = parse_endpoints(
    {"CASCADE": "https://discord.com/api/webhooks/123456789012345678/token?thread_id=9"}
)
TARGET = DiscordTarget(ENDPOINT)
LINK = re.compile(r"\[(?:[^\\\[\]]|\\.)*\]\(https?://[^()\s<>]+\)")


def built(told: Message, **how: Any) -> tuple[str, str, dict[str, Any]]:
    request = TARGET.request(told, b"{}", **({"edit": None, "memory": {}, "now_s": 0} | how))
    return request.method, request.url, msgspec.json.decode(request.body)


def answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@given(messages)
def test_no_body_ever_breaks_a_limit(told: Message) -> None:
    _, _, payload = built(told)
    (made,) = payload["embeds"]
    size = markup.utf16_units
    fields = made.get("fields", [])
    assert 0 < size(made["title"]) <= discord.TITLE
    assert size(made.get("description", "")) <= discord.DESCRIPTION
    assert 0 < size(made["footer"]["text"]) <= discord.FOOTER
    assert len(fields) <= discord.FIELDS
    assert all(0 < size(field["name"].strip()) <= discord.FIELD_NAME for field in fields)
    assert all(0 < size(field["value"].strip()) <= discord.FIELD_VALUE for field in fields)
    texts = [made["title"], made.get("description", ""), made["footer"]["text"]]
    texts += [text for field in fields for text in (field["name"], field["value"])]
    assert sum(map(size, texts)) <= discord.TOTAL


@given(messages)
def test_no_text_is_ever_taken_for_markdown_and_no_escape_is_cut(told: Message) -> None:
    made = embed(told)
    description = made.get("description", "")
    texts = [made["title"], description[: _links_at(description)]]
    texts += [text for field in made.get("fields", []) for text in (field["name"], field["value"])]
    for text in texts:
        bare = re.sub(r"\\[^0-9A-Za-z\s]", "", text)
        assert not re.search(r"[\\*_~`|\[\]<>#@]", bare), text
        assert not re.search(r"^\s*([-+]|\d+\.)\s", text, re.MULTILINE), text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- a\n + b\n12. c\n5.0 M - 3", "\\- a\n \\+ b\n12\\. c\n5.0 M - 3"),
        ("-0.72", "-0.72"),
        ("HIGH_VOL", "HIGH\\_VOL"),
        ("# a\\", "\\# a\\\\"),
    ],
)
def test_only_what_makes_markdown_is_escaped(text: str, shown: str) -> None:
    assert "".join(discord.escape(text)) == shown


def _links_at(description: str) -> int:
    found = LINK.search(description)
    return found.start() if found else len(description)


@given(messages)
def test_nobody_is_ever_called(told: Message) -> None:
    assert built(told)[2]["allowed_mentions"] == {"parse": []}


def test_the_limits_are_the_published_ones(vectors: dict[str, Any]) -> None:
    limits = vectors["discord_limits"]
    assert limits["title"] == discord.TITLE
    assert limits["description"] == discord.DESCRIPTION
    assert limits["fields"] == discord.FIELDS
    assert limits["field_name"] == discord.FIELD_NAME
    assert limits["field_value"] == discord.FIELD_VALUE
    assert limits["footer"] == discord.FOOTER
    assert limits["total_all_embeds"] == discord.TOTAL


def test_a_long_value_has_a_line_of_its_own() -> None:
    words = "after 41 like this since 2023: 24 h volatility 1.7x usual"
    facts = (Fact("Track record", words), Fact("Severity", "4 of 5"))
    made = embed(msgspec.structs.replace(message(), facts=facts))
    assert [field["inline"] for field in made["fields"]] == [False, True]


def test_a_cascade_shows_colour_facts_why_and_links() -> None:
    made = embed(message())
    assert made["color"] == 0xE74C3C
    assert made["timestamp"] == "2024-02-03T15:01:00Z"
    assert {"name": "Velocity", "value": "500,000 USD/h", "inline": True} in made["fields"]
    assert "Why: velocity 500,000 USD/h \\>= 400,000" in made["description"]
    assert "[View on dashboard](https://example.com/?symbol=BTC/USDT)" in made["description"]
    assert "CRITICAL · opened · BTC/USDT" in made["footer"]["text"]


def test_a_first_message_is_posted_and_waited_for_and_a_later_one_edits_it() -> None:
    method, url, _ = built(message())
    assert method == "POST"
    assert url == "https://discord.com/api/v10/webhooks/123456789012345678/token?thread_id=9&wait=true"
    method, url, _ = built(message(phase="closed"), edit="55")
    assert method == "PATCH"
    assert url == "https://discord.com/api/v10/webhooks/123456789012345678/token/messages/55?thread_id=9"


def test_every_rate_limit_vector_is_held_as_long_and_as_wide_as_it_says(vectors: dict[str, Any]) -> None:
    for case in vectors["discord_429"]:
        headers = {name.lower(): value for name, value in case["headers"].items()}
        reply = TARGET.reply(Response(429, headers, msgspec.json.encode(case["body"])), now_s=0)
        assert reply.verdict is Verdict.RETRY
        assert reply.hold_s == case["wait_s"]
        assert reply.hold_kind is ("scope" in case)


@pytest.mark.parametrize("body", [b"<html>error 1015</html>", b"", b"[]", b"\xff"])
def test_a_rate_limit_that_is_no_json_holds_all_of_discord(body: bytes) -> None:
    reply = TARGET.reply(answer(429, body, retry_after="12.2"), now_s=0)
    assert (reply.hold_s, reply.hold_kind) == (13, True)
    silent = TARGET.reply(answer(429, body), now_s=0)
    assert silent.hold_s is not None
    assert silent.hold_s > 0


def test_success_gives_the_message_id_and_an_empty_bucket_a_hold() -> None:
    reply = TARGET.reply(answer(200, {"id": "77"}), now_s=0)
    assert (reply.verdict, reply.provider_message_id, reply.hold_s) == (Verdict.DELIVERED, "77", None)
    reply = TARGET.reply(
        answer(200, {"id": "77"}, x_ratelimit_remaining="0", x_ratelimit_reset_after="1.25"), now_s=0
    )
    assert (reply.verdict, reply.hold_s) == (Verdict.DELIVERED, 1.25)


@pytest.mark.parametrize("body", [{}, {"id": 7}, {"id": "../../x"}, b"", [1]])
def test_success_without_a_usable_id_is_success_and_edits_nothing(body: Any) -> None:
    reply = TARGET.reply(answer(204, body), now_s=0)
    assert (reply.verdict, reply.provider_message_id) == (Verdict.DELIVERED, None)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (404, {"code": 10015, "message": "Unknown Webhook"}, Verdict.PARK),
        (401, {"code": 50027}, Verdict.PARK),
        (403, b"", Verdict.PARK),
        (404, {"code": 10008, "message": "Unknown Message"}, Verdict.AGAIN),
        (400, {"code": 50035}, Verdict.PERMANENT),
        (500, b"", Verdict.RETRY),
        (302, b"", Verdict.RETRY),
    ],
)
def test_each_answer_has_its_verdict(status: int, body: Any, verdict: Verdict) -> None:
    assert TARGET.reply(answer(status, body), now_s=0).verdict is verdict


def test_a_deleted_message_is_posted_afresh() -> None:
    reply = TARGET.reply(answer(404, {"code": 10008}), now_s=0)
    method, url, _ = built(message(), edit="55", memory=reply.once)
    assert (method, "messages" in url) == ("POST", False)


def test_lone_surrogates_in_an_event_are_sent_as_replacement_characters() -> None:
    made = embed(message(title="a\ud800b", description=event().description))
    assert made["title"] == "🔴 a\N{REPLACEMENT CHARACTER}b"

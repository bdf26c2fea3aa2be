import aiohttp
import pytest

from regimes.alerting.message import pack, unpack
from regimes.alerting.render import render
from regimes.clock import SystemClock
from regimes.commands.receiver import SECRET, LocalReceiver, Received
from regimes.commands.webhooks.samples import sample
from regimes.delivery import signing
from regimes.delivery.exchange import exchange
from regimes.events import EventType, body
from regimes.storage.base import Outcome


async def answer(receiver: LocalReceiver, method: str, path: str, payload: object) -> tuple[int, object]:
    url = receiver.endpoints()[-1].url.removesuffix("/webhook") + path
    async with aiohttp.ClientSession() as session, session.request(method, url, json=payload) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.text()


@pytest.mark.parametrize("kind", EventType)
async def test_what_the_service_sends_is_taken_by_all_and_shown_in_one_line(kind: EventType) -> None:
    shown: list[Received] = []
    receiver = LocalReceiver(shown.append)
    whole = body(sample(kind, SystemClock().now_ms()), links={"dashboard": "https://example.com/"})
    async with receiver.serving(), receiver.channels() as channels:
        for channel in channels:
            parcel = unpack(pack(whole, render(whole)))
            tried = await exchange(
                channel.target, channel.transport, parcel, SystemClock(), edit=None, memory={}
            )
            assert tried.outcome is Outcome.DELIVERED
    assert [one.target for one in shown] == ["discord", "telegram", "slack", "http"]
    assert all(whole.title in one.shown and "\n" not in one.shown for one in shown[:3])
    assert "signature verified" in shown[3].shown
    assert receiver.refused == []


async def test_an_unsigned_body_is_refused() -> None:
    receiver = LocalReceiver()
    async with receiver.serving():
        status, _ = await answer(receiver, "POST", "/webhook", {"event_type": "X"})
    assert status == 400
    assert receiver.refused == ["http: header webhook-id is missing"]
    assert receiver.received == []


async def test_a_signed_body_that_is_no_event_is_refused() -> None:
    receiver = LocalReceiver()
    raw = b"{}"
    headers = signing.headers(
        signing.parse_secrets(SECRET), message_id="m", timestamp_s=SystemClock().now_ms() // 1000, body=raw
    )
    async with (
        receiver.serving(),
        aiohttp.ClientSession() as session,
        session.post(receiver.endpoints()[-1].url, data=raw, headers=headers) as response,
    ):
        assert response.status == 400
    assert "event_type" in receiver.refused[0]


async def test_discord_refuses_what_is_too_long_and_edits_only_what_it_has() -> None:
    receiver = LocalReceiver()
    embed = {"title": "t", "footer": {"text": "f"}}
    path = "/api/v10/webhooks/1/x"
    async with receiver.serving():
        assert (await answer(receiver, "POST", path, {"embeds": [embed | {"title": "t" * 257}]}))[0] == 400
        assert (await answer(receiver, "PATCH", f"{path}/messages/9", {"embeds": [embed]}))[0] == 404
        status, said = await answer(receiver, "POST", path, {"embeds": [embed]})
        assert (status, said) == (200, {"id": "1"})
        assert (await answer(receiver, "PATCH", f"{path}/messages/1", {"embeds": [embed]}))[0] == 200
    assert receiver.refused == ["discord: embed beyond a limit", "discord: unknown message"]
    assert [one.changes for one in receiver.received] == [False, True]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<b>open", "unclosed start tag"),
        ("a</b>", "unmatched end tag"),
        ("<b><i>a</b></i>", "unmatched end tag"),
        ("<script>a</script>", 'unsupported start tag "script"'),
        ("a" * 4097, "message is too long"),
    ],
)
async def test_telegram_refuses_text_it_cannot_parse_or_that_is_too_long(text: str, problem: str) -> None:
    receiver = LocalReceiver()
    payload = {"chat_id": "1", "text": text, "parse_mode": "HTML"}
    async with receiver.serving():
        status, _ = await answer(receiver, "POST", "/bot1:x/sendMessage", payload)
    assert status == 400
    assert problem in receiver.refused[0]


async def test_slack_refuses_a_message_without_text() -> None:
    receiver = LocalReceiver()
    async with receiver.serving():
        assert await answer(receiver, "POST", "/services/T/B/x", {"blocks": []}) == (400, "no_text")
    assert receiver.refused == ["slack: no text"]

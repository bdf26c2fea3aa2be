"""A receiver on loopback that stands for Discord, Telegram, Slack and a program of one's own."""

import html
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any, Final

import msgspec
from aiohttp import web

from regimes.clock import SystemClock
from regimes.delivery import signing
from regimes.delivery.channel import Channel, open_channels
from regimes.delivery.endpoints import Endpoint, parse_endpoints
from regimes.delivery.markup import utf16_units
from regimes.delivery.settings import DeliverySettings
from regimes.delivery.targets import discord, telegram
from regimes.events import EventBody

SECRET: Final = "whsec_bG9vcGJhY2sgcmVjZWl2ZXIgb25seQ=="  # noqa: S105  # signs nothing that leaves this machine
LOOPBACK: Final = "127.0.0.1/32"
_URLS: Final = (
    "https://discord.com/api/webhooks/1/loopback",
    "https://api.telegram.org/bot1:loopback/sendMessage?chat_id=1",
    "https://hooks.slack.com/services/T/B/loopback",
)
_SHOWN: Final = 200
_EVENT: Final = msgspec.json.Decoder(EventBody)


class Received(msgspec.Struct, frozen=True):
    """One message as it came. number: of the message at its target, the same in an edit, which `changes` marks.

    shown: what its reader sees, in one line.
    """

    target: str
    number: int
    changes: bool
    shown: str
    body: dict[str, Any]


class LocalReceiver:
    """Takes what the real ones would take and refuses what they would refuse; as fast as it comes.

    on_message: told of each message that was taken; runs before it is answered, so it must be quick.
    """

    def __init__(self, on_message: Callable[[Received], None] = lambda _received: None) -> None:
        self.received: list[Received] = []
        self.refused: list[str] = []
        """Why messages were refused, in words."""
        self._on_message = on_message
        self._clock = SystemClock()
        self._messages: dict[tuple[str, int], Any] = {}
        self._base = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["LocalReceiver"]:
        """Listen on a free port of 127.0.0.1 for as long as the block lasts."""
        app = web.Application()
        app.router.add_post("/api/v10/webhooks/{id}/{token}", self._discord)
        app.router.add_patch("/api/v10/webhooks/{id}/{token}/messages/{message}", self._discord)
        app.router.add_post("/{bot}/{method}", self._telegram)
        app.router.add_post("/services/{team}/{channel}/{token}", self._slack)
        app.router.add_post("/webhook", self._http)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port: int = runner.addresses[0][1]
            self._base = f"http://127.0.0.1:{port}"
            yield self
        finally:
            await runner.cleanup()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """One endpoint of each kind, which gets every event."""
        bases = dict.fromkeys(("discord", "telegram", "slack"), self._base)
        return parse_endpoints({"ALL": ",".join([*_URLS, f"{self._base}/webhook"])}, bases=bases)

    @asynccontextmanager
    async def channels(self) -> AsyncIterator[tuple[Channel, ...]]:
        """Channels to these endpoints, without the pace that the real ones ask for."""
        settings = DeliverySettings(allow_cidrs=(LOOPBACK,))
        async with open_channels(
            self.endpoints(), settings, secrets=signing.parse_secrets(SECRET)
        ) as channels:
            yield tuple(_unpaced(channel) for channel in channels)

    async def _discord(self, request: web.Request) -> web.Response:
        payload = await request.json()
        earlier = request.match_info.get("message")
        (embed,) = payload["embeds"]
        if problem := _discord_problem(embed):
            return self._refuse("discord", problem, {"code": 50035, "message": problem})
        if earlier is not None and ("discord", int(earlier)) not in self._messages:
            return self._refuse("discord", "unknown message", {"code": 10008}, status=404)
        number = self._keep("discord", payload, earlier)
        self._take("discord", number, payload, changes=earlier is not None, parts=_discord_parts(embed))
        return web.json_response({"id": str(number)})

    async def _telegram(self, request: web.Request) -> web.Response:
        payload = await request.json()
        text, earlier = payload["text"], payload.get("message_id")
        shown = _Plain(text) if payload.get("parse_mode") == "HTML" else None
        problem = shown.problem if shown else ""
        if utf16_units(text) > telegram.TEXT:
            problem = "message is too long"
        if earlier is not None and ("telegram", earlier) not in self._messages:
            problem = "message to edit not found"
        if problem:
            described = {"ok": False, "error_code": 400, "description": f"Bad Request: {problem}"}
            return self._refuse("telegram", problem, described)
        number = self._keep("telegram", payload, earlier)
        parts = _telegram_parts(shown, payload)
        self._take("telegram", number, payload, changes=earlier is not None, parts=parts)
        chat = {"id": int(payload["chat_id"])}
        return web.json_response({"ok": True, "result": {"message_id": number, "chat": chat}})

    async def _slack(self, request: web.Request) -> web.Response:
        payload = await request.json()
        if not payload.get("text") or not payload.get("blocks"):
            self.refused.append("slack: no text")
            return web.Response(status=400, text="no_text")
        number = self._keep("slack", payload, None)
        self._take("slack", number, payload, changes=False, parts=_slack_parts(payload["blocks"]))
        return web.Response(text="ok")

    async def _http(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            signing.verify(signing.parse_secrets(SECRET), headers, raw, now_s=self._clock.now_ms() / 1000)
            event = _EVENT.decode(raw)
        except (signing.SignatureError, msgspec.DecodeError) as error:
            return self._refuse("http", str(error), {"error": str(error)})
        kind = f"{event.severity} {event.event_type} {event.symbol} {event.phase}"
        parts = (kind, "signature verified", event.title)
        payload = msgspec.json.decode(raw)
        self._take("http", self._keep("http", payload, None), payload, changes=False, parts=iter(parts))
        return web.Response(status=204)

    def _keep(self, target: str, payload: Any, earlier: str | int | None) -> int:
        number = len(self._messages) + 1 if earlier is None else int(earlier)
        self._messages[target, number] = payload
        return number

    def _take(
        self, target: str, number: int, payload: dict[str, Any], *, changes: bool, parts: Iterator[str]
    ) -> None:
        shown = re.sub(r"\s+", " ", " | ".join(filter(None, parts)))
        short = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
        self.received.append(Received(target, number, changes, short, payload))
        self._on_message(self.received[-1])

    def _refuse(
        self, target: str, problem: str, answer: Mapping[str, Any], *, status: int = 400
    ) -> web.Response:
        self.refused.append(f"{target}: {problem}")
        return web.json_response(answer, status=status)


def _unpaced(channel: Channel) -> Channel:
    traits = msgspec.structs.replace(channel.traits, rates=())
    return msgspec.structs.replace(channel, traits=traits)


def _discord_problem(embed: Mapping[str, Any]) -> str:
    fields = embed.get("fields", [])
    texts = [embed["title"], embed.get("description", ""), embed["footer"]["text"]]
    limits = [discord.TITLE, discord.DESCRIPTION, discord.FOOTER]
    for field in fields:
        texts += [field["name"], field["value"]]
        limits += [discord.FIELD_NAME, discord.FIELD_VALUE]
    sizes = [utf16_units(text) for text in texts]
    if any(size > limit for size, limit in zip(sizes, limits, strict=True)) or len(fields) > discord.FIELDS:
        return "embed beyond a limit"
    return "embed beyond 6,000 characters" if sum(sizes) > discord.TOTAL else ""


def _discord_parts(embed: Mapping[str, Any]) -> Iterator[str]:
    yield _discord_text(embed["title"])
    yield _discord_text(embed.get("description", ""))
    fields = (f"{field['name']}: {field['value']}" for field in embed.get("fields", []))
    yield _discord_text(" · ".join(fields))


def _discord_text(markdown: str) -> str:
    """Links by their label, escaped signs as themselves."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", re.sub(r"\[([^]]*)\]\(https?://[^)]*\)", r"[\1]", markdown))


class _Plain(HTMLParser):
    """The text of a Telegram message without its tags. problem: why Telegram would not parse it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.problem = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        if self._open:
            self.problem = "can't parse entities: unclosed start tag"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"b", "i"} or attrs:
            self.problem = f'can\'t parse entities: unsupported start tag "{tag}"'
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problem = "can't parse entities: unmatched end tag"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _telegram_parts(shown: _Plain | None, payload: Mapping[str, Any]) -> Iterator[str]:
    text = "".join(shown.words) if shown else str(payload["text"])
    yield from text.split("\n")
    for row in payload.get("reply_markup", {}).get("inline_keyboard", []):
        yield " ".join(f"[{button['text']}]" for button in row)


def _slack_parts(blocks: list[dict[str, Any]]) -> Iterator[str]:
    for block in blocks:
        if "text" in block:
            yield _slack_text(block["text"]["text"])
        parts = [*block.get("fields", []), *block.get("elements", [])]
        yield " · ".join(_slack_text(part["text"]) for part in parts)


def _slack_text(mrkdwn: str) -> str:
    """Links and labels without their markup, entities as the signs they stand for."""
    plain = re.sub(r"<https?://[^|>]*\|([^>]*)>", r"[\1]", mrkdwn)
    return html.unescape(re.sub(r"^\*([^*]*)\*\n", r"\1: ", plain))

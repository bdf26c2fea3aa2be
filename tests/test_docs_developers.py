"""The samples of docs/developers.md do what the page says, against the real service and its real messages."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest

from regimes.alerting.message import pack, unpack
from regimes.alerting.render import render
from regimes.clock import SystemClock
from regimes.commands.webhooks.samples import sample
from regimes.delivery import signing
from regimes.delivery.base import Request, Response, Verdict
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.targets.http import HttpTarget
from regimes.engine import Engine
from regimes.events import EventType, Phase, body
from regimes.features.base import Feature, Status, Universe
from regimes.observations import Tick
from regimes.timeframe import HOUR_MS
from tests.deploy.conftest import free_ports
from tests.test_docs import ROOT, blocks, verify
from tests.web.service import BEGAN_MS, SYMBOLS, TOKEN, bar, event, service

PAGE = ROOT / "docs" / "developers.md"
SUFFIX = {"python": ".py", "javascript": ".js"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
languages = pytest.mark.parametrize("language", SUFFIX)


def code(language: str, words: str) -> str:
    (found,) = (block for block in blocks(PAGE, language) if words in block)
    return found


def namespace(words: str) -> dict[str, Any]:
    """What a Python sample defines."""
    names: dict[str, Any] = {"__name__": "sample"}
    exec(code("python", words), names)  # noqa: S102  # our own sample
    return names


@asynccontextmanager
async def program(
    folder: Path, language: str, text: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A sample that runs as a program of its own."""
    file = folder / f"sample{SUFFIX[language]}"
    file.write_text(text)
    (folder / f"verify{SUFFIX[language]}").write_text(verify(language))
    command = sys.executable if language == "python" else shutil.which("node")
    if command is None:
        pytest.skip("node is not on PATH")
    process = await asyncio.create_subprocess_exec(
        command, str(file), env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def says(process: asyncio.subprocess.Process) -> str:
    """The next line it prints."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().rstrip("\n")


# -- programs that listen -----------------------------------------------------------------------------------------


def request(url: str, kind: EventType, secret: str = SECRET) -> Request:
    """What a program is sent of an event."""
    endpoint = Endpoint(name="http-all-1", kind=Kind.HTTP, routes=frozenset({"ALL"}), url=url)
    now_ms = SystemClock().now_ms()
    told = body(sample(kind, now_ms))
    parcel = unpack(pack(told, render(told)))
    target = HttpTarget(endpoint, signing.parse_secrets(secret))
    return target.request(parcel.message, bytes(parcel.event), edit=None, memory={}, now_s=now_ms // 1000)


async def answer(client: aiohttp.ClientSession, sent: Request) -> int:
    """Send once it listens."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with client.post(sent.url, data=sent.body, headers=sent.headers) as answered:
                    return answered.status
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


@languages
async def test_the_receiver_takes_each_message_once_and_refuses_a_foreign_one(
    tmp_path: Path, language: str
) -> None:
    (port,) = free_ports(1)
    text = code(language, '"webhook-id"').replace("8080", str(port))
    first, second = (
        request(f"http://127.0.0.1:{port}/", kind)
        for kind in (EventType.LIQUIDATION_CASCADE, EventType.FUNDING_ANOMALY)
    )
    foreign = request(first.url, EventType.REGIME_SHIFT, "whsec_" + "A" * 32)
    async with (
        program(tmp_path, language, text, WEBHOOK_SECRET=SECRET) as process,
        aiohttp.ClientSession() as client,
    ):
        assert [await answer(client, each) for each in (first, first, foreign, second)] == [
            204,
            204,
            400,
            204,
        ]
        said = [await says(process), await says(process)]
    assert said[0].startswith("CRITICAL opened ")
    assert "liquidation cascade" in said[0]
    assert "funding" in said[1], "the double is passed over"


@languages
async def test_the_stream_client_gets_what_happened_while_its_line_was_cut(
    tmp_path: Path, language: str
) -> None:
    (port,) = free_ports(1)
    text = (
        code(language, "/api/stream").replace("2000", "100").replace("asyncio.sleep(2)", "asyncio.sleep(0.1)")
    )
    text = text.replace("8000", str(port))
    web = {"token": TOKEN, "port": port}
    async with program(tmp_path, language, text, DASHBOARD_TOKEN=TOKEN) as process:
        async with service(tmp_path, web=web) as running:
            async with asyncio.timeout(60):
                while not running.server.hub.clients:  # noqa: ASYNC110  # a count, set by the server's own loop
                    await asyncio.sleep(0.05)
            await running.emit(event(0, title="the first"))
            assert await says(process) == "WARNING opened the first"
        async with service(tmp_path, web=web, history=False) as running:
            await running.emit(event(1, title="the second"), event(2, title="the third"))
            assert await says(process) == "WARNING opened the second"
            assert await says(process) == "WARNING opened the third"


@languages
async def test_the_question_is_answered_for_each_symbol(tmp_path: Path, language: str) -> None:
    async with service(tmp_path, web={"token": TOKEN}) as running:
        text = code(language, "/api/volatility").replace("8000", str(running.port))
        async with program(tmp_path, language, text, DASHBOARD_TOKEN=TOKEN) as process:
            found = msgspec.json.decode((await says(process)).replace("'", '"'))
    assert found == dict.fromkeys(SYMBOLS, "HIGH_VOL")


# -- additions ----------------------------------------------------------------------------------------------------


def test_the_signal_is_computed_shown_and_goes_on_after_a_restart() -> None:
    sample_feature: type[Feature] = namespace("class Drawdown:")["Drawdown"]
    universe = Universe(("BTC/USDT",))
    engine = Engine.build((sample_feature,), universe)
    first_ms = BEGAN_MS // HOUR_MS * HOUR_MS - 200 * HOUR_MS
    closes = 100 + np.sin(np.arange(180) / 5)
    for number, close in enumerate(closes):
        at = first_ms + number * HOUR_MS
        engine.step(Tick(at + HOUR_MS))
        engine.step(bar("BTC/USDT", at, float(close)))
    told = engine.step(Tick(first_ms + 181 * HOUR_MS)).readings
    assert [one.status for one in told] == [Status.OK]
    wanted = 1 - closes[-1] / closes[-168:].max()
    shown = engine.package("BTC/USDT")["drawdown"]
    assert shown["drawdown"] == pytest.approx(wanted)
    again = sample_feature(sample_feature.settings_type(), universe)  # type: ignore[call-arg]
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(engine.features[0].snapshot())))
    assert list(again.readings()) == list(engine.features[0].readings())


def test_the_receiver_sends_plain_text_and_reads_answers() -> None:
    made = namespace("class NtfyTarget:")["NtfyTarget"]
    endpoint = Endpoint(
        name="ntfy-all-1", kind=Kind.HTTP, routes=frozenset({"ALL"}), url="https://ntfy.example.com/topic"
    )
    told = body(sample(EventType.LIQUIDATION_CASCADE, BEGAN_MS))
    message = unpack(pack(told, render(told))).message
    sent = made(endpoint).request(message, b"", edit=None, memory={}, now_s=0)
    assert sent.headers["Priority"] == "5"
    assert message.title in sent.body.decode()
    assert message.phase is Phase.OPENED
    for status, verdict in ((200, Verdict.DELIVERED), (503, Verdict.RETRY), (404, Verdict.PARK)):
        assert made(endpoint).reply(Response(status, {}, b""), now_s=0.0).verdict is verdict

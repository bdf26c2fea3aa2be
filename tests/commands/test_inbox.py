import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from regimes.commands.demo.inbox import KEPT, NEWS_PATH, PATH, Inbox
from regimes.commands.receiver import Received
from regimes.web.guard import SECURITY_HEADERS
from tests.web.service import service


def received(target: str, number: int, text: str, *, changes: bool = False) -> Received:
    return Received(target, number, changes, text, {"text": text})


def texts(inbox: Inbox, after: int = 0) -> list[tuple[str, int, str, int]]:
    return [(m.target, m.number, m.body["text"], m.edits) for m in inbox.since(after).messages]


def test_an_edit_replaces_what_a_message_says_and_is_counted() -> None:
    inbox = Inbox()
    inbox.take(received("discord", 1, "opened"))
    inbox.take(received("telegram", 1, "another"))
    inbox.take(received("discord", 1, "updated", changes=True))
    inbox.take(received("discord", 1, "closed", changes=True))
    assert texts(inbox) == [("telegram", 1, "another", 0), ("discord", 1, "closed", 2)]


def test_only_what_changed_after_a_revision_is_told() -> None:
    inbox = Inbox()
    inbox.take(received("slack", 1, "first"))
    seen = inbox.since(0).revision
    assert texts(inbox, seen) == []
    inbox.take(received("slack", 2, "second"))
    assert texts(inbox, seen) == [("slack", 2, "second", 0)]


def test_each_receiver_keeps_its_newest_messages() -> None:
    inbox = Inbox()
    inbox.take(received("http", 1, "kept"))
    for number in range(KEPT + 10):
        inbox.take(received("slack", number, "x"))
    kept = texts(inbox)
    assert [number for target, number, *_ in kept if target == "slack"] == list(range(10, KEPT + 10))
    assert ("http", 1, "kept", 0) in kept


@asynccontextmanager
async def served(inbox: Inbox) -> AsyncIterator[aiohttp.ClientSession]:
    app = web.Application()
    app.router.add_routes(inbox.beside().routes)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
        yield client
    await runner.cleanup()


async def news(client: aiohttp.ClientSession, after: object = 0) -> Any:
    async with client.get(NEWS_PATH, params={"after": str(after)}) as answer:
        return await answer.json()


async def test_who_knows_everything_waits_until_there_is_news() -> None:
    inbox = Inbox()
    inbox.take(received("http", 1, "first"))
    async with served(inbox) as client:
        first = await news(client)
        assert [message["body"] for message in first["messages"]] == [{"text": "first"}]
        waiting = asyncio.create_task(news(client, first["revision"]))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        inbox.take(received("http", 2, "second"))
        second = await waiting
    assert [message["number"] for message in second["messages"]] == [2]
    assert second["run"] == first["run"]


async def test_a_running_service_has_no_inbox(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        for path in (PATH, NEWS_PATH, "/demo/inbox.js"):
            status, _, headers = await running.get(path)
            assert status == 404
            assert headers["Content-Security-Policy"] == SECURITY_HEADERS["Content-Security-Policy"]
        _, status_now, _ = await running.get("/api/status")
    assert status_now["links"] == {}

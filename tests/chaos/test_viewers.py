"""Viewers that ask for the stream and read nothing of it, or whose machine stands still: nobody else notices."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from regimes.commands.load_test.children import Child, child
from regimes.commands.load_test.viewers import Heard
from tests.chaos import world

FIRST, SECOND = world.alike(2)
SYMBOLS = ("BTC/USDT", FIRST, SECOND)
READERS = 20
STATES = 3
"""A strike opens an episode and escalates it twice."""


@asynccontextmanager
async def viewers(address: str, *, reading: int = 0, stuck: int = 0) -> AsyncIterator[Child]:
    """A process of viewers, connected."""
    parts = urlsplit(address)
    arguments = [parts.hostname or "", str(parts.port), "/api/stream", str(reading), "--stuck", str(stuck)]
    async with child("regimes.commands.load_test.viewers", *arguments) as process:
        process.tell("")
        assert await process.hear(int) == reading
        yield process


@contextmanager
def standing_still(process: Child) -> Iterator[None]:
    """As if its machine were gone: connections stay, nobody answers."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def hear(process: Child, events: int) -> Heard:
    """All they got, once it holds so many states of events."""
    heard = await process.ask(None, Heard)
    async with asyncio.timeout(60):
        while heard.events < events:
            heard = heard.plus(await process.ask(None, Heard))
    return heard


async def test_viewers_that_do_not_read_hold_up_neither_others_nor_alerts_and_miss_nothing_when_they_are_back(
    tmp_path: Path,
) -> None:
    async with (
        world.exchange(SYMBOLS) as market,
        world.receivers(1) as hooks,
        world.service(
            tmp_path, world.variables(market, SYMBOLS, hooks, f"sqlite:///{tmp_path}/service.db")
        ) as service,
    ):
        (hook,) = hooks
        await service.is_live()
        (listens,) = service.heard("web_listens")
        async with (
            viewers(listens["address"], reading=READERS) as readers,
            viewers(listens["address"], reading=READERS) as sleepers,
            viewers(listens["address"], stuck=READERS),
        ):
            with standing_still(sleepers):
                for symbol in (FIRST, SECOND):
                    await market.strike(symbol)
                    await hook.hears(symbol=symbol, revision=STATES - 1, within_s=60)
                heard = await hear(readers, 2 * STATES * READERS)
            woken = await hear(sleepers, 2 * STATES * READERS)
        assert (heard.open, woken.open) == (READERS, READERS)
        assert await service.stop(within_s=100) == 0

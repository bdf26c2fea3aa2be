"""Processes that the benchmarks run beside themselves, and what they are told and asked."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.blaster import Done, Order
from regimes.commands.load_test.children import Child, child


class Exchanges:
    """Exchanges in one process that send what they are told to. urls: one each."""

    def __init__(self, process: Child, urls: Sequence[str]) -> None:
        self._process = process
        self.urls = urls

    async def send(self, order: Order) -> int:
        """Let one of them send; how many frames left."""
        return (await self._process.ask(order, Done)).frames


@asynccontextmanager
async def exchanges(symbols: int, count: int, *, running: bool = False) -> AsyncIterator[Exchanges]:
    """So many exchanges with the same symbols. running: event time passes in them."""
    options = ["--count", str(symbols), "--exchanges", str(count), *(["--running"] if running else [])]
    async with child("bench.blaster", *options) as process:
        yield Exchanges(process, await process.hear(list[str]))

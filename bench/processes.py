"""Processes that the benchmarks run beside themselves, and what they are told and asked."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from bench.blaster import Done, Order

Answer = TypeVar("Answer")


class Child:
    """A process of ours that answers each line on its standard input with one on its standard output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process

    async def hear(self, kind: type[Answer]) -> Answer:
        """The next line. Raises RuntimeError when the process has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"process {self.pid} has ended with code {await self._process.wait()}")
        return msgspec.json.decode(line, type=kind)

    async def ask(self, words: object, kind: type[Answer]) -> Answer:
        """Send a line, return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(words) + b"\n")
        return await self.hear(kind)


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[Child]:
    """`python -m module`; its standard input ends with the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    try:
        yield Child(process)
    finally:
        process.stdin.close()
        await process.wait()


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

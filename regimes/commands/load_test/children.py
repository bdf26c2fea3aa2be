"""Processes beside this one, and what they are told and asked: a line each way."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec

Answer = TypeVar("Answer")
LONGEST_LINE: Final = 2**24


class Child:
    """A process of ours that answers each line on its standard input with one on its standard output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a child is spoken to through pipes")
        self.pid = process.pid
        self._process = process
        self._input = process.stdin
        self._output = process.stdout

    async def hear(self, kind: type[Answer]) -> Answer:
        """The next line. Raises RuntimeError when the process has ended."""
        line = await self._output.readline()
        if not line:
            raise RuntimeError(f"process {self.pid} has ended with code {await self._process.wait()}")
        return msgspec.json.decode(line, type=kind)

    def tell(self, words: object) -> None:
        """Send a line that needs no answer."""
        self._input.write(msgspec.json.encode(words) + b"\n")

    async def ask(self, words: object, kind: type[Answer]) -> Answer:
        """Send a line, return the answer."""
        self.tell(words)
        return await self.hear(kind)

    async def end(self) -> None:
        """End its standard input, and wait until it has ended."""
        self._input.close()
        await self._process.wait()


@asynccontextmanager
async def child(module: str, *arguments: str) -> AsyncIterator[Child]:
    """`python -m module`; its standard input ends with the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe, limit=LONGEST_LINE
    )
    one = Child(process)
    try:
        yield one
    finally:
        await one.end()


def say(answer: Any) -> None:
    """What a child answers."""
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()

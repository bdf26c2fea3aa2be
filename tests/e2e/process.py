"""`python -m regimes ...` as its own process, the way a user starts it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
LONGEST_S = 100.0


class Done(NamedTuple):
    """How a process ended and what it said."""

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """A process that is up; its standard error is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def says(self, words: str, timeout_s: float = 60.0) -> str:
        """Wait for a line of the log that holds `words`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(timeout_s):
            while True:
                line = (await self.process.stderr.readline()).decode()
                assert line, f"ended without saying {words!r}; it said:\n{''.join(self.said)}"
                self.said.append(line)
                if words in line:
                    return line

    async def ends(self, timeout_s: float) -> int:
        """Wait for the end; the rest of what it says is kept."""
        assert self.process.stderr is not None
        async with asyncio.timeout(timeout_s):
            self.said.append((await self.process.stderr.read()).decode())
            return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)


def _environment(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    """This process's environment without anybody's settings; the package is found from any folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REGIMES", "BINANCE", "LOG_", "WEBHOOK", "DB_URL"))
    }
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    ours = {"PYTHONPATH": os.pathsep.join(paths), "HOME": str(folder), "REGIMES__WEB__PORT": "0"}
    return {**kept, **ours, **variables}


async def _start(
    folder: Path, arguments: tuple[str, ...], variables: dict[str, str]
) -> asyncio.subprocess.Process:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A job in the background ignores interrupts, and so would all that it starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "regimes",
        *arguments,
        cwd=folder,
        env=_environment(folder, variables),
        stdout=asyncio.subprocess.PIPE,
        process_group=0,  # as a shell starts it
        limit=2**24,  # a line of the debug log can be long
        stderr=asyncio.subprocess.PIPE,
    )


async def regimes(folder: Path, *arguments: str, **variables: str) -> Done:
    """Run one command to its end in `folder`, with these environment variables and nobody's settings."""
    process = await _start(folder, arguments, variables)
    try:
        async with asyncio.timeout(LONGEST_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def started(folder: Path, *arguments: str, **variables: str) -> AsyncIterator[Running]:
    """Start one command; it is killed at the end of the block if it is still there."""
    process = await _start(folder, arguments, variables)
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

"""`regimes run` and `regimes features` as their users start them, in a process of their own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bench.blaster import symbols


def configuration(folder: Path, url: str, count: int) -> Path:
    """A configuration file for so many symbols of an exchange on loopback, all else as shipped."""
    names = msgspec.json.encode(symbols(count)).decode()
    path = folder / f"{count}.toml"
    path.write_text(
        f'symbols = {names}\n[venues]\nspot_url = "{url}"\nderivatives_url = "{url}"\n'
        f'[storage]\ncache_dir = "{folder / "cache"}"\nurl = "sqlite:///{folder / f"{count}.db"}"\n'
    )
    return path


def _environment() -> Mapping[str, str]:
    """This environment without settings of the program, as each library chooses its threads by itself."""
    ours = ("REGIMES_", "BINANCE_", "LOG_", "DB_", "WEBHOOK", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def command(config: Path, *arguments: str) -> Sequence[str]:
    """The command line of the program."""
    return [sys.executable, "-m", "regimes", "--config", str(config), *arguments]


async def output(config: Path, *arguments: str) -> bytes:
    """What a command prints. Raises RuntimeError when it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command(config, *arguments), stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=_environment()
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with code {process.returncode}")
    return printed


class Service:
    """A running service, and its log."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process

    async def logs(self, event: str, times: int = 1) -> None:
        """Wait until an event has been logged so many times from now."""
        assert self._process.stderr is not None
        while times:
            line = await self._process.stderr.readline()
            if not line:
                raise RuntimeError(f"the service ended before it logged {event}")
            times -= f'"event": "{event}"'.encode() in line

    async def ignore_log(self) -> None:
        """Read on, so that the pipe never fills."""
        assert self._process.stderr is not None
        while await self._process.stderr.readline():
            pass


@asynccontextmanager
async def service(config: Path) -> AsyncIterator[Service]:
    """`regimes run` until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *command(config, "run"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
    )
    try:
        yield Service(process)
    finally:
        process.terminate()
        await process.communicate()

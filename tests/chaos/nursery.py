"""Programs that start in a moment: their modules are loaded once, in a process that forks one child for each."""

import asyncio
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

_LINE_BYTES: Final = 2**24
_forks = get_context("forkserver")
_forks.set_forkserver_preload(
    ["pytest", "regimes.service", "regimes.cli.app", "regimes.feeds.simulator", __name__]
)


class Child:
    """A program in a process of its own, which may be killed as any other."""

    def __init__(
        self, program: Sequence[str], *, folder: Path, environ: Mapping[str, str], read: int
    ) -> None:
        """Start `python -m *program` in a folder. read: what it writes there (1 or 2) is to be had from `output`."""
        self._reader, writer = _forks.Pipe(duplex=False)
        arguments = (tuple(program), str(folder), dict(environ), writer, read)
        self._process = _forks.Process(target=_live, args=arguments, daemon=True)
        self._process.start()
        writer.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it lives."""
        return self._process.exitcode

    async def output(self) -> asyncio.StreamReader:
        """What it writes; ends when it does."""
        stream = asyncio.StreamReader(limit=_LINE_BYTES)
        pipe = os.fdopen(os.dup(self._reader.fileno()), "rb")
        self._reader.close()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        return stream

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        await asyncio.to_thread(self._process.join)
        code = self.returncode
        assert code is not None
        return code


def _live(program: tuple[str, ...], folder: str, environ: dict[str, str], pipe: Connection, fd: int) -> None:
    os.dup2(pipe.fileno(), fd)
    pipe.close()
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.argv = [*program]
    runpy.run_module(program[0], run_name="__main__", alter_sys=True)

"""What our event stream is held against: nginx with nchan, and a bare send loop in C; and how all three are published to."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import msgspec
import psutil

from bench.sse_server import Counts
from regimes.commands.load_test.children import Child, child

OURS: Final = "regimes"
NCHAN: Final = "nginx+nchan"
BARE: Final = "C send loop"
_MODULES: Final = (Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),)
_READY_S: Final = 10.0
_CONFIG: Final = """\
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 32768; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 128M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{ nchan_publisher; nchan_channel_id one; nchan_message_buffer_length 20; }}
    location = /stream {{ nchan_subscriber eventsource; nchan_channel_id one; nchan_subscriber_first_message newest; }}
  }}
}}
"""


class Server(Protocol):
    """Something that sends what it is given to all who read `path`. pid: of the process that does the work."""

    @property
    def pid(self) -> int: ...
    @property
    def port(self) -> int: ...
    @property
    def path(self) -> str: ...

    async def publish(self, data: dict[str, Any]) -> None:
        """Give it one frame's data."""
        ...


class Ours:
    """The web server of the program."""

    path = "/api/stream?interval=1"

    def __init__(self, process: Child, port: int) -> None:
        self.pid = process.pid
        self.port = port
        self._process = process

    async def publish(self, data: dict[str, Any]) -> None:
        self._process.tell(data)

    async def counts(self) -> Counts:
        """What its hub has counted."""
        return await self._process.ask(None, Counts)


@asynccontextmanager
async def ours(folder: Path, streams: int) -> AsyncIterator[Ours]:
    """Our server until the block ends."""
    async with child("bench.sse_server", str(folder), str(streams)) as process:
        yield Ours(process, await process.hear(int))


class Bare:
    """`sse_send_loop.c`."""

    path = "/"

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.pid = process.pid
        self.port = port
        self._process = process

    async def publish(self, data: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(data) + b"\n")


@asynccontextmanager
async def bare(folder: Path) -> AsyncIterator[Bare]:
    """The loop in C, compiled now."""
    program = folder / "send_loop"
    source = Path(__file__).parent / "sse_send_loop.c"
    compiler = await asyncio.create_subprocess_exec("gcc", "-O2", "-o", str(program), str(source))
    if await compiler.wait():
        raise RuntimeError(f"gcc could not compile {source}")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(program), stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        yield Bare(process, int(await process.stdout.readline()))
    finally:
        process.kill()
        await process.wait()


class Nchan:
    """nginx with one worker."""

    path = "/stream"

    def __init__(self, client: aiohttp.ClientSession, port: int, pid: int) -> None:
        self.pid = pid
        self.port = port
        self._client = client

    async def publish(self, data: dict[str, Any]) -> None:
        async with self._client.post("/publish", data=msgspec.json.encode(data)) as answer:
            await answer.read()
            answer.raise_for_status()


@asynccontextmanager
async def nchan(folder: Path, port: int) -> AsyncIterator[Nchan]:
    """nginx until the block ends."""
    config = _configured(folder, port)
    log = str(folder / "error.log")
    process = await asyncio.create_subprocess_exec("nginx", "-e", log, "-p", str(folder), "-c", str(config))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            await _answers(client)
            yield Nchan(client, port, psutil.Process(process.pid).children()[0].pid)
    finally:
        process.terminate()
        await process.wait()


def _configured(folder: Path, port: int) -> Path:
    folder.chmod(0o755)
    (module,) = (path for path in _MODULES if path.exists())
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(module=module, folder=folder, port=port))
    return config


async def _answers(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            with suppress(aiohttp.ClientError):
                async with client.post("/publish", data=b"{}") as answer:
                    if answer.ok:
                        return
            await asyncio.sleep(0.05)


def missing() -> list[str]:
    """Peers that cannot be measured here, and what they need."""
    found = []
    if not (sys.platform == "linux" and shutil.which("nginx") and any(path.exists() for path in _MODULES)):
        found.append(f"{NCHAN}: needs nginx and its module (Debian: nginx-light libnginx-mod-nchan)")
    if not shutil.which("gcc"):
        found.append(f"{BARE}: needs gcc")
    return found

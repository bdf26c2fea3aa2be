"""PostgreSQL through a small pool. Every wait has an end, also when the server hangs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Final

import asyncpg

from regimes.errors import DataError, StorageError
from regimes.storage import servers
from regimes.storage.base import StorageAwayError
from regimes.storage.database import Database
from regimes.storage.migrate import Migration
from regimes.storage.servers import Way
from regimes.storage.session import Row, Session, Value, numbered
from regimes.storage.sole import SoleSession
from regimes.storage.store import ResultT, Work

POOL_SIZE: Final = 4
TRIES: Final = 4
_BAD_VALUE: Final = ("22", "23")
_UNDONE: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_UNREACHABLE: Final = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_TRANSLATED: Final = (*_UNREACHABLE, asyncpg.PostgresError, ValueError)
# By first letters of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), in this order.
_MEANINGS: Final[tuple[tuple[tuple[str, ...], type[StorageError], str], ...]] = (
    (("53100",), StorageAwayError, "cannot grow, its disk is full: nothing stored is lost; free space there"),
    (("28", "3D", "42501"), StorageError, "refuses us: check user, password, rights and name in DB_URL"),
    (("08", "25006", "40", "53", "57", "58"), StorageAwayError, "is not available now: it is tried again"),
)


class PostgresSession:
    """A connection as queries see it."""

    skip_locked: ClassVar[str] = " FOR UPDATE SKIP LOCKED"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, sql: str, *values: Value) -> int:
        status: str = await self._connection.execute(numbered(sql), *values)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        await self._connection.executemany(numbered(sql), rows)

    async def rows(self, sql: str, *values: Value) -> Sequence[Row]:
        found: Sequence[Row] = await self._connection.fetch(numbered(sql), *values)
        return found

    async def queue(self, lock: int) -> None:
        await self._connection.execute("SELECT pg_advisory_xact_lock($1)", lock)


class PostgresStorage(Database):
    """timeout_s: the longest that one transaction, or connecting, may take before the server counts as away.

    alone: opened by a service, which shares it with no other service.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        migrations: Sequence[Migration] | None = None,
        alone: bool = False,
    ) -> None:
        super().__init__(servers.target(url).place, migrations)
        self._url = url
        self._timeout_s = timeout_s
        self._pool: Any = None
        self._sole = SoleSession(url, timeout_s) if alone else None

    async def open(self) -> None:
        self.abandon()
        try:
            if self._sole is not None:
                self._pool = await self._connect(await self._sole.take(self.place))
            else:
                _, self._pool = await servers.first(self._url, self._connect)
            await self.upgrade()
        except BaseException as error:
            self.abandon()
            if isinstance(error, _TRANSLATED):
                raise self._explain(error) from None
            raise

    async def _connect(self, way: Way) -> Any:
        pool = asyncpg.create_pool(
            **way,
            min_size=1,
            max_size=POOL_SIZE,
            timeout=self._timeout_s,
            reset=_keep_as_is,
            init=_any_will_do if self._sole is None else self._sole.check,
            server_settings={"application_name": "regimes"},
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await pool
        except BaseException:
            pool.terminate()
            raise

    async def close(self) -> None:
        try:
            await self.buffer.close()
        finally:
            pool, self._pool = self._pool, None
            if pool is not None:
                try:
                    async with asyncio.timeout(self._timeout_s):
                        await pool.close()
                except _UNREACHABLE:
                    pool.terminate()
            self.abandon()

    async def look_after(self) -> None:
        """Notice that the connection which keeps other services away is gone. Raises StorageError."""
        if self._sole is not None:
            try:
                await self._sole.ask()
            except _TRANSLATED as error:
                raise self._explain(error) from None

    def abandon(self) -> None:
        """Drop every connection at once; whatever waits for one fails as away."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()
        if self._sole is not None:
            self._sole.drop()

    async def read(self, work: Work[ResultT]) -> ResultT:
        return await self._retry(work, self._plainly)

    async def write(self, work: Work[ResultT]) -> ResultT:
        return await self._retry(work, self._transact)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """A connection for a moment, the schema left as it is. Raises StorageError."""
        try:
            _, connection = await servers.first(
                self._url, lambda way: asyncpg.connect(**way, timeout=self._timeout_s)
            )
            try:
                yield connection
            finally:
                connection.terminate()
        except _TRANSLATED as error:
            raise self._explain(error) from None

    async def bytes_used(self) -> int:
        async def size(session: Session) -> int:
            return int((await session.rows("SELECT pg_database_size(current_database())"))[0][0])

        return await self.read(size)

    async def _retry(
        self, work: Work[ResultT], run: Callable[[Any, Work[ResultT]], Awaitable[ResultT]]
    ) -> ResultT:
        """Competing transactions may make the server undo one of them, which then simply runs again."""
        for left in reversed(range(TRIES)):
            try:
                async with self._connection() as connection:
                    return await run(connection, work)
            except _UNDONE as error:
                if not left:
                    raise self._explain(error) from None
            except _TRANSLATED as error:
                raise self._explain(error) from None
        raise AssertionError

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool, thrown away when it may have anything unfinished on it."""
        pool = self._pool
        if pool is None:
            raise StorageAwayError(f"{self.place} is not connected")
        if self._sole is not None and not self._sole.is_held:
            raise StorageAwayError(f"{self.place} has closed the connection that keeps other services away")
        async with asyncio.timeout(self._timeout_s):
            connection = await pool.acquire()
        try:
            async with asyncio.timeout(self._timeout_s):
                yield connection
        except BaseException:
            connection.terminate()
            raise
        finally:
            with suppress(*_UNREACHABLE):
                await pool.release(connection)

    async def _plainly(self, connection: Any, work: Work[ResultT]) -> ResultT:
        return await work(PostgresSession(connection))

    async def _transact(self, connection: Any, work: Work[ResultT]) -> ResultT:
        transaction = connection.transaction()
        await transaction.start()
        result = await work(PostgresSession(connection))
        await transaction.commit()
        return result

    def _explain(self, error: Exception) -> StorageError | DataError:
        """Say what is wrong and what to do, in our own words: the server's may quote data or addresses."""
        kind = type(error).__name__
        state = getattr(error, "sqlstate", None) or ""
        if isinstance(error, asyncpg.ClientConfigurationError):
            return StorageError(f"{self.place} cannot be connected to as DB_URL asks: check its parameters")
        if isinstance(error, ValueError) or state.startswith(_BAD_VALUE):
            return DataError(f"{self.place} takes no such value ({kind})")
        if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
            return StorageAwayError(f"{self.place} has no server that takes writes now: promote one ({kind})")
        if not state:
            return StorageAwayError(
                f"{self.place} cannot be reached: start it, or correct host and port in DB_URL ({kind})"
            )
        for states, raised, words in _MEANINGS:
            if state.startswith(states):
                return raised(f"{self.place} {words} ({kind})")
        return StorageError(f"{self.place} reports SQLSTATE {state} ({kind})")


async def _any_will_do(_connection: Any) -> None:
    """Who shares the database with others holds no lock that each connection must lead to."""


async def _keep_as_is(_connection: Any) -> None:
    """Our transactions leave nothing behind that a connection had to be cleaned of."""

"""One SQLite file: readable by its owner alone, durable at each commit, readers never wait for the writer."""

import asyncio
import errno
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from regimes.errors import DataError, StorageError
from regimes.storage import outbox
from regimes.storage.base import Delivery, StorageAwayError
from regimes.storage.database import Database
from regimes.storage.migrate import Migration
from regimes.storage.session import Session
from regimes.storage.sole import SoleFile
from regimes.storage.sqlite_thread import SqliteThread, run_through
from regimes.storage.store import ResultT, Work

BUSY_S: Final = 5.0
GROUP_LIMIT: Final = 64
_WRITER_PRAGMAS: Final = ("synchronous = FULL", "journal_size_limit = 67108864")
_READER_PRAGMAS: Final = ("query_only = ON",)
_TRANSLATED: Final = (sqlite3.Error, OverflowError, UnicodeEncodeError)
_AnyWork: TypeAlias = Callable[[Session], Awaitable[Any]]


class _Job(NamedTuple):
    """A transaction that waits. must_last: it is acknowledged only once the disk has it."""

    work: _AnyWork
    done: asyncio.Future[Any]
    must_last: bool


class SqliteStorage(Database):
    """Transactions that wait at the same moment share one commit, and so one flush of the disk.

    alone: opened by a service, which shares it with no other service.
    """

    def __init__(
        self, path: Path, migrations: Sequence[Migration] | None = None, *, alone: bool = False
    ) -> None:
        super().__init__(f"SQLite database {path}", migrations)
        self.path = path
        self._sole = SoleFile(path) if alone else None
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._writer: SqliteThread | None = None
        self._reader: SqliteThread | None = None
        self._serving: asyncio.Task[None] | None = None
        self._flushes = True

    async def open(self) -> None:
        try:
            self._protect()
            if self._sole is not None:
                await self._sole.take(self.place)
            self._writer = await self._connect(_WRITER_PRAGMAS)
            self._reader = await self._connect(_READER_PRAGMAS)
            self._serving = asyncio.create_task(self._serve(self._writer))
            await self.upgrade()
        except (OSError, sqlite3.Error) as error:
            await self._disconnect()
            raise self._explain(error) from None
        except BaseException:
            await self._disconnect()
            raise

    async def close(self) -> None:
        try:
            await self.buffer.close()
        finally:
            await self._disconnect()

    async def read(self, work: Work[ResultT]) -> ResultT:
        if self._reader is None:
            raise self._closed()
        try:
            return await self._reader.do(partial(run_through, work))
        except _TRANSLATED as error:
            raise self._explain(error) from None

    async def write(self, work: Work[ResultT]) -> ResultT:
        return await self._written(work, must_last=True)

    async def claim(self, endpoint: str, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[Delivery]:
        # A lease keeps other workers away. What cuts the machine's power ends all of them, so no flush is waited for.
        due = partial(outbox.claim, endpoint=endpoint, now_ms=now_ms, lease_ms=lease_ms, limit=limit)
        return await self._written(due, must_last=False)

    async def _written(self, work: Work[ResultT], *, must_last: bool) -> ResultT:
        if self._serving is None:
            raise self._closed()
        done: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait(_Job(work, done, must_last))
        return await done

    async def bytes_used(self) -> int:
        """Without pages that are free for reuse: a SQLite file never shrinks by itself."""

        async def used(session: Session) -> int:
            names = ("page_count", "freelist_count", "page_size")
            pages, free, size = [(await session.rows(f"PRAGMA {name}"))[0][0] for name in names]
            return int((pages - free) * size)

        return await self.read(used)

    def _protect(self) -> None:
        """Before SQLite opens it: the journal files get the mode of the database."""
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # A file that exists must not be opened here: closing it would drop the locks that SQLite may hold on it.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self.path.chmod(0o600)

    async def _connect(self, pragmas: Sequence[str]) -> SqliteThread:
        thread = SqliteThread(self.path, timeout_s=BUSY_S)
        await thread
        try:
            await self._use_log(thread)
            for pragma in pragmas:
                await thread.do(partial(_execute, f"PRAGMA {pragma}"))
        except BaseException:
            await thread.close()
            raise
        return thread

    async def _use_log(self, thread: SqliteThread) -> None:
        """Write ahead. Another process doing the same at this moment is waited for: SQLite itself does not."""
        deadline = asyncio.get_running_loop().time() + BUSY_S
        while True:
            try:
                ((mode,),) = await thread.do(partial(_execute, "PRAGMA journal_mode = WAL"))
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.02)
            else:
                break
        if mode != "wal":
            raise StorageError(
                f"{self.place} cannot keep a write-ahead log (journal mode {mode}): use a local disk"
            )

    async def _disconnect(self) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            await self._jobs.join()
            serving.cancel()
            await asyncio.wait([serving])
        connections = (self._reader, self._writer)
        self._reader = self._writer = None
        for connection in connections:
            if connection is not None:
                await connection.close()
        if self._sole is not None:
            self._sole.drop()

    async def _serve(self, writer: SqliteThread) -> None:
        while True:
            jobs = [await self._jobs.get()]
            while len(jobs) < GROUP_LIMIT and not self._jobs.empty():
                jobs.append(self._jobs.get_nowait())
            wanted = [job for job in jobs if not job.done.done()]
            await self._run_together(writer, wanted)
            for _ in jobs:
                self._jobs.task_done()

    async def _run_together(self, writer: SqliteThread, jobs: Sequence[_Job]) -> None:
        """One transaction for all; when one of them fails, one for each."""
        try:
            flushes = any(job.must_last for job in jobs)
            results = await writer.do(partial(self._transact, [job.work for job in jobs], flushes=flushes))
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to the caller who waits for it
            if len(jobs) == 1:
                _answer(jobs[0].done, error)
            else:
                for job in jobs:
                    await self._run_together(writer, [job])
        else:
            for job, result in zip(jobs, results, strict=True):
                if not job.done.done():
                    job.done.set_result(result)

    def _transact(
        self, works: Sequence[_AnyWork], connection: sqlite3.Connection, *, flushes: bool
    ) -> list[Any]:
        try:
            self._flush_if(connection, flushes=flushes)
            connection.execute("BEGIN IMMEDIATE")
            results = [run_through(work, connection) for work in works]
            connection.execute("COMMIT")
        except BaseException as error:
            # A full disk may already have rolled it back.
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            if isinstance(error, _TRANSLATED):
                raise self._explain(error) from None
            raise
        return results

    def _flush_if(self, connection: sqlite3.Connection, *, flushes: bool) -> None:
        """Whether the next commit waits for the disk; one that does brings those before it along."""
        if flushes is not self._flushes:
            connection.execute(f"PRAGMA synchronous = {'FULL' if flushes else 'NORMAL'}")
            self._flushes = flushes

    def _explain(self, error: Exception) -> StorageError | DataError:
        """Say what is wrong and what to do."""
        if isinstance(error, OSError):
            return StorageError(
                f"{self.place} cannot be opened ({error.strerror}): name a file in a folder that exists and can be written to"
            )
        code = getattr(error, "sqlite_errorcode", None)
        if code is None or isinstance(error, sqlite3.IntegrityError):
            return DataError(f"{self.place} takes no such value: {error}")
        temporary, words = _WORDS.get(
            code & 0xFF, (False, f"reports {getattr(error, 'sqlite_errorname', code)}")
        )
        return (StorageAwayError if temporary else StorageError)(f"{self.place} {words}")

    def _closed(self) -> StorageError:
        return StorageAwayError(f"{self.place} is not open")


_WORDS: Final = {
    sqlite3.SQLITE_FULL: (
        True,
        "cannot grow, the disk is full: nothing stored is lost; free space, it then goes on",
    ),
    sqlite3.SQLITE_IOERR: (True, "cannot be read or written: check the disk, its free space and its quota"),
    sqlite3.SQLITE_BUSY: (
        True,
        f"was locked for {BUSY_S:g} s by another process: let only one service use it",
    ),
    sqlite3.SQLITE_LOCKED: (True, "was locked by another connection: let only one service use it"),
    sqlite3.SQLITE_READONLY: (False, "is read-only: allow writing to the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: (False, "cannot be opened: allow writing to the file and its folder"),
    sqlite3.SQLITE_CORRUPT: (False, "is damaged: restore a backup, or move it away to start anew"),
    sqlite3.SQLITE_NOTADB: (False, "is not a SQLite database: point DB_URL to another file"),
}


def _execute(sql: str, connection: sqlite3.Connection) -> list[Any]:
    return connection.execute(sql).fetchall()


def _answer(done: asyncio.Future[Any], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)

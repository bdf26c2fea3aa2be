"""A connection of aiosqlite to whose thread work goes whole: a transaction changes threads once, not once a statement."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, TypeVar

import aiosqlite

from regimes.errors import DataError
from regimes.storage.session import Row, Value
from regimes.storage.store import Work

ResultT = TypeVar("ResultT")
_CHUNK: Final = 64
"""Rows at a time of a cursor of aiosqlite, of which none is used."""


class SqliteSession:
    """A connection as queries see it, in the connection's thread."""

    skip_locked: ClassVar[str] = ""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(self, sql: str, *values: Value) -> int:
        return self._connection.execute(sql, _storable(values)).rowcount

    async def many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        self._connection.executemany(sql, [_storable(row) for row in rows])

    async def rows(self, sql: str, *values: Value) -> Sequence[Row]:
        return self._connection.execute(sql, _storable(values)).fetchall()

    async def queue(self, lock: int) -> None:
        """Nothing to wait for: a write transaction of SQLite is alone."""


class SqliteThread(aiosqlite.Connection):
    """Await it to connect. What is asked for is done in turn, also when nobody waits for it any more."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__(partial(sqlite3.connect, path, timeout=timeout_s, isolation_level=None), _CHUNK)

    async def do(self, act: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Let the thread use the connection. Raises ValueError when it is closed."""
        done: ResultT = await self._execute(act, self._conn)  # type: ignore[no-untyped-call]
        return done


def run_through(work: Work[ResultT], connection: sqlite3.Connection) -> ResultT:
    """Do work of a session to its end. It may wait for its session only, and that never waits."""
    steps = work(SqliteSession(connection)).__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("a transaction may wait for nothing but its session")


def _storable(values: Sequence[Value]) -> Sequence[Value]:
    """Refuse what PostgreSQL would refuse, so that whatever was spooled here can flow there."""
    for value in values:
        if isinstance(value, str) and "\0" in value:
            raise DataError(f"text must not hold the character NUL (got {value[:80]!r})")
    return values

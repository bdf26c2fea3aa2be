"""One transaction, or one reading connection, as the queries see it: the same for both databases."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, Protocol, TypeAlias

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = Any
"""A tuple of column values, or what behaves as one."""


class Session(Protocol):
    """Runs SQL that both databases understand, parameters written `?`.

    skip_locked: what a SELECT adds to lock its rows and pass over those that another transaction holds; empty where
    there is only one writer.
    """

    skip_locked: ClassVar[str]

    async def run(self, sql: str, *values: Value) -> int:
        """Execute; rows changed."""
        ...

    async def many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Execute once a row."""
        ...

    async def rows(self, sql: str, *values: Value) -> Sequence[Row]:
        """Execute; all rows of the result."""
        ...

    async def queue(self, lock: int) -> None:
        """Wait until no other transaction holds this lock, and hold it to the end of this one."""
        ...


@lru_cache(maxsize=256)
def numbered(sql: str) -> str:
    """Write parameters as PostgreSQL does: each `?` in turn becomes $1, $2 ..."""
    head, *rest = sql.split("?")
    return head + "".join(f"${n}{part}" for n, part in enumerate(rest, start=1))


def marks(count: int) -> str:
    """Parameters for a list of values: `?, ?, ?`."""
    return ", ".join("?" * count)

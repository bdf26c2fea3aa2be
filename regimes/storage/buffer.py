"""Liquidations and readings wait in memory for a moment and are written together."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from regimes.errors import DataError, StorageError
from regimes.observations import Liquidation
from regimes.storage.base import ReadingRow
from regimes.storage.changes import AddRows

Item: TypeAlias = Liquidation | ReadingRow
BATCH_ROWS: Final = 1_000
"""Whatever else is to be written waits no longer than these take."""


class Buffer:
    """A bounded queue of rows that empties itself every `interval_s`, and at `close`.

    write: stores one batch, raises StorageError when it cannot. While it cannot, rows stay; when there are more than
    `capacity`, the oldest go. dropped: rows that were never stored, by reason: `full`, `refused` (no database takes
    such a value), `closed` (still here when the database was left).
    """

    def __init__(
        self, write: Callable[[AddRows], Awaitable[int]], *, interval_s: float = 0.25, capacity: int = 100_000
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._write = write
        self._interval_s = interval_s
        self._rows: deque[Item] = deque(maxlen=capacity)
        self._flushing = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: list[Item]) -> None:
        """Take rows; they are written within the interval."""
        self._count_full(len(rows))
        self._rows.extend(rows)
        if self._rows and (self._timer is None or self._timer.done()):
            self._timer = asyncio.create_task(self._keep_flushing())

    async def flush(self) -> None:
        """Write everything that waits, not what comes meanwhile. Raises StorageError; the rows stay then."""
        async with self._flushing:
            for left in range(len(self._rows), 0, -BATCH_ROWS):
                batch = [self._rows.popleft() for _ in range(min(BATCH_ROWS, left, len(self._rows)))]
                try:
                    await self._store(batch)
                except BaseException:
                    self._put_back(batch)
                    raise

    async def close(self) -> None:
        """Write what waits, or count it as dropped."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.wait([self._timer])
        try:
            await self.flush()
        except StorageError:
            self.dropped["closed"] += len(self._rows)
            self._rows.clear()
            raise

    async def _keep_flushing(self) -> None:
        while self._rows:
            await asyncio.sleep(self._interval_s)
            try:
                await self.flush()
            except StorageError:
                continue

    async def _store(self, batch: list[Item]) -> None:
        try:
            await self._write(_change(batch))
        except DataError:
            await self._store_singly(batch)

    async def _store_singly(self, batch: list[Item]) -> None:
        """One value that cannot be stored must not take its neighbours with it."""
        for row in batch:
            try:
                await self._write(_change([row]))
            except DataError:
                self.dropped["refused"] += 1

    def _put_back(self, batch: list[Item]) -> None:
        """Before what came meanwhile; where there is no room for all, the oldest go."""
        excess = self._count_full(len(batch))
        self._rows.extendleft(reversed(batch[excess:]))

    def _count_full(self, coming: int) -> int:
        excess = max(0, len(self._rows) + coming - (self._rows.maxlen or 0))
        if excess:
            self.dropped["full"] += excess
        return excess


def _change(rows: list[Item]) -> AddRows:
    return AddRows(
        [row for row in rows if isinstance(row, Liquidation)],
        [row for row in rows if isinstance(row, ReadingRow)],
    )

"""What is kept besides alerts: raw liquidations, readings now and then, snapshots, and for how long."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from regimes.clock import Clock
from regimes.errors import StorageError
from regimes.features.base import Reading
from regimes.features.deferred import Joined, places
from regimes.observations import Liquidation
from regimes.package import flatten
from regimes.pipeline.batch import Batch
from regimes.storage.base import ReadingRow, Storage
from regimes.storage.settings import StorageSettings
from regimes.timeframe import DAY_MS

_PURGE_EVERY_S: Final = 3600.0
_PURGE_ROWS: Final = 1_000
_BY_REAL_TIME: Final = {"deliveries", "webhook_logs"}
"""Tables of the outbox; the rows of all others carry event time."""
_log = structlog.get_logger(__name__)


class Archive:
    """Buffers rows in the engine's turn and writes them in batches of its own."""

    def __init__(self, storage: Storage, settings: StorageSettings, clock: Clock, real: Clock) -> None:
        self._storage = storage
        self._settings = settings
        self._clock = clock
        self._real = real
        self._rows: list[ReadingRow] = []
        self._liquidations: list[Liquidation] = []
        self._kept_ms: dict[tuple[str, str], int] = {}
        self._due = asyncio.Event()

    def take(self, batch: Batch) -> None:
        """Keep what this turn brought."""
        self._liquidations += batch.liquidations
        parts = batch.readings.parts if isinstance(batch.readings, Joined) else [batch.readings]
        for readings in parts:
            wanted = [index for index, place in enumerate(places(readings)) if self._wants(place, batch)]
            self._rows += [self._row(readings[index], batch.now_ms) for index in wanted]
        if self._liquidations or self._rows:
            self._due.set()

    def keep(self, liquidation: Liquidation) -> None:
        """Keep one that no turn has taken yet; when one does, it is a double that the storage knows."""
        self._liquidations.append(liquidation)
        self._due.set()

    async def run(self, save: Callable[[], None]) -> None:
        """Write until cancelled. save: writes a snapshot of the engine."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_handing_over())
            group.create_task(self._snapshots(save))
            group.create_task(self._purges())

    def _wants(self, place: tuple[str, str], batch: Batch) -> bool:
        last_ms = self._kept_ms.get(place)
        if last_ms is not None and batch.now_ms - last_ms < self._settings.readings_seconds * 1000:
            return False
        self._kept_ms[place] = batch.now_ms
        return True

    def _row(self, reading: Reading, now_ms: int) -> ReadingRow:
        return ReadingRow(now_ms, reading.feature, reading.symbol, msgspec.json.encode(flatten(reading)))

    async def hand_over(self) -> None:
        """Give the storage everything taken so far."""
        liquidations, self._liquidations = self._liquidations, []
        rows, self._rows = self._rows, []
        if liquidations:
            await self._storage.add_liquidations(liquidations)
        if rows:
            await self._storage.add_readings(rows)

    async def _keep_handing_over(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            await self.hand_over()

    async def _snapshots(self, save: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self._settings.snapshot_seconds)
            save()

    async def _purges(self) -> None:
        while True:
            try:
                await self.purge()
            except StorageError as error:
                _log.warning("purge_failed", error=str(error))
            await asyncio.sleep(_PURGE_EVERY_S)

    async def purge(self) -> None:
        """Delete what is older than it is to be kept. Raises StorageError."""
        for table, days in self._settings.retention_days.items():
            clock = self._real if table in _BY_REAL_TIME else self._clock
            before_ms = clock.now_ms() - int(days * DAY_MS)
            gone = 0
            while (purged := await self._storage.purge(table, before_ms, _PURGE_ROWS)) == _PURGE_ROWS:
                gone += purged
                await asyncio.sleep(0.05)
            if gone + purged:
                _log.info("purged", table=table, rows=gone + purged)

import asyncio

import pytest

from regimes.errors import DataError
from regimes.storage.base import ReadingRow, StorageAwayError
from regimes.storage.buffer import BATCH_ROWS, Buffer
from regimes.storage.changes import AddRows

from .samples import NOW_MS, liquidation


class Disk:
    """Takes batches while it has room; refuses rows of symbol `bad`."""

    def __init__(self) -> None:
        self.batches: list[AddRows] = []
        self.is_full = False
        self.written = asyncio.Event()

    async def write(self, rows: AddRows) -> int:
        if self.is_full:
            raise StorageAwayError("disk is full")
        if "bad" in {row.symbol for row in rows.liquidations}:
            raise DataError("no such symbol")
        self.batches.append(rows)
        self.written.set()
        return len(rows.liquidations) + len(rows.readings)

    @property
    def times(self) -> list[int]:
        return [row.ts_ms - NOW_MS for batch in self.batches for row in batch.liquidations]


@pytest.fixture
def disk() -> Disk:
    return Disk()


def buffer(disk: Disk, capacity: int = 1_000, interval_s: float = 3_600) -> Buffer:
    return Buffer(disk.write, interval_s=interval_s, capacity=capacity)


async def test_rows_of_a_moment_are_written_in_one_batch(disk: Disk) -> None:
    rows = buffer(disk, interval_s=0.01)
    rows.add([liquidation(NOW_MS + 1)])
    rows.add([ReadingRow(NOW_MS, "f", "s", b""), liquidation(NOW_MS + 2)])
    await asyncio.wait_for(disk.written.wait(), 5)
    (batch,) = disk.batches
    assert (len(batch.liquidations), len(batch.readings)) == (2, 1)
    await rows.close()


async def test_it_goes_on_after_it_was_empty(disk: Disk) -> None:
    rows = buffer(disk, interval_s=0.01)
    for n in range(2):
        disk.written.clear()
        rows.add([liquidation(NOW_MS + n)])
        await asyncio.wait_for(disk.written.wait(), 5)
    assert disk.times == [0, 1]
    await rows.close()


async def test_rows_stay_while_they_cannot_be_written_and_keep_their_order(disk: Disk) -> None:
    rows = buffer(disk)
    disk.is_full = True
    rows.add([liquidation(NOW_MS)])
    with pytest.raises(StorageAwayError):
        await rows.flush()
    rows.add([liquidation(NOW_MS + 1)])
    disk.is_full = False
    await rows.flush()
    assert disk.times == [0, 1]
    assert rows.dropped == {}
    await rows.close()


async def test_the_timer_tries_again_after_an_error(disk: Disk) -> None:
    rows = buffer(disk, interval_s=0.01)
    disk.is_full = True
    rows.add([liquidation(NOW_MS)])
    with pytest.raises(StorageAwayError):
        await rows.flush()
    disk.is_full = False
    await asyncio.wait_for(disk.written.wait(), 5)
    assert disk.times == [0]
    await rows.close()


async def test_the_oldest_go_when_it_is_full_and_are_counted(disk: Disk) -> None:
    rows = buffer(disk, capacity=3)
    rows.add([liquidation(NOW_MS + n) for n in range(2)])
    rows.add([liquidation(NOW_MS + n) for n in range(2, 5)])
    assert rows.dropped == {"full": 2}
    await rows.flush()
    assert disk.times == [2, 3, 4]
    await rows.close()


async def test_more_at_once_than_it_holds_keeps_the_newest(disk: Disk) -> None:
    rows = buffer(disk, capacity=3)
    rows.add([liquidation(NOW_MS + n) for n in range(10)])
    assert rows.dropped == {"full": 7}
    await rows.close()
    assert disk.times == [7, 8, 9]


async def test_a_value_no_database_takes_does_not_take_its_neighbours_with_it(disk: Disk) -> None:
    rows = buffer(disk)
    rows.add([liquidation(NOW_MS), liquidation(NOW_MS + 1, symbol="bad"), liquidation(NOW_MS + 2)])
    await rows.flush()
    assert disk.times == [0, 2]
    assert rows.dropped == {"refused": 1}
    await rows.close()


async def test_batches_are_bounded(disk: Disk) -> None:
    rows = buffer(disk, capacity=3 * BATCH_ROWS)
    rows.add([liquidation(NOW_MS + n) for n in range(BATCH_ROWS + 1)])
    await rows.flush()
    assert [len(batch.liquidations) for batch in disk.batches] == [BATCH_ROWS, 1]
    await rows.close()


async def test_what_cannot_be_written_at_close_is_counted(disk: Disk) -> None:
    rows = buffer(disk)
    rows.add([liquidation(NOW_MS), liquidation(NOW_MS + 1)])
    disk.is_full = True
    with pytest.raises(StorageAwayError):
        await rows.close()
    assert rows.dropped == {"closed": 2}
    assert len(rows) == 0

"""Writes the files of a tape: begun anew by size and age, packed when they are full, deleted when they are old."""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from regimes.errors import DataError
from regimes.history.tape.block import Meta, Page, Record, pack
from regimes.history.tape.scan import Damage, Place, read, scan
from regimes.history.tape.settings import TapeSettings
from regimes.timeframe import DAY_MS, HOUR_MS

_log = structlog.get_logger(__name__)

LIVE: Final = ".live"
"""A file that is being written, or was when its process was killed."""
DONE: Final = ".tape"
PACKED: Final = 4_000
"""Records in a block, where there are enough of them."""
_UNFINISHED: Final = ".packing"
_MB: Final = 1_000_000
_PACKED_AT_CLOSE: Final = 4 * _MB
_STAMP: Final = "%Y%m%dT%H%M%S"


def segment_files(folder: Path) -> list[Path]:
    """The files of a tape, by name; both of a file that was being packed when its process was killed."""
    return sorted([*folder.glob(f"*{LIVE}"), *folder.glob(f"*{DONE}")])


def segment_name(segment_ms: int, run: int) -> str:
    """`20250127T130000.000Z-0011223344556677`: in the order of time, and no other process's."""
    moment = datetime.fromtimestamp(segment_ms / 1000, tz=UTC)
    return f"{moment.strftime(_STAMP)}.{segment_ms % 1000:03}Z-{run:016x}"


def segment_began_ms(path: Path) -> int | None:
    """When a file was begun, by its name; None for a name that is not ours."""
    try:
        moment = datetime.strptime(path.name[:19] + "+0000", f"{_STAMP}.%f%z")
    except ValueError:
        return None
    return round(moment.timestamp() * 1000)


class Segments:
    """One run's files in a folder. Not for use by two threads at a time.

    now_ms: event time. run: a number no other process has. Every method that writes raises OSError when the disk does
    not take it; what was written before stays sound.
    """

    def __init__(self, settings: TapeSettings, meta: Meta, run: int, now_ms: Callable[[], int]) -> None:
        self.folder = settings.folder.expanduser()
        self.bytes = 0
        """Written so far, heads included."""
        self._settings = settings
        self.meta = meta
        self._run = run
        self._now_ms = now_ms
        self._path: Path | None = None
        self._file = -1
        self._began_ms = 0
        self._size = 0
        self._number = 0

    def write(self, records: Sequence[Record], dropped: int) -> None:
        """Write records as one block and flush it to the disk."""
        if self._path is not None and self._is_full():
            self.finish()
        if self._path is None:
            self._begin(records[0].received_ms)
        meta = None if self._size else self.meta
        page = Page(list(records), meta, dropped)
        self._append(pack(page, run=self._run, segment_ms=self._began_ms, number=self._number))
        self._number += 1

    def adopt(self) -> None:
        """Pack what runs before this one left behind, and delete what is too old or too much."""
        for path in self.folder.glob(f"*{LIVE}"):
            with _alone(path) as is_ours:
                if is_ours:
                    _close(path)
        self._retire()

    def finish(self, *, closing: bool = False) -> None:
        """End the file: pack it, and delete what is too old or too much. closing: leave a long packing to the next run."""
        path, self._path = self._path, None
        if path is None:
            return
        if not closing or self._size <= _PACKED_AT_CLOSE:
            _close(path)
        os.close(self._file)
        with suppress(OSError):
            self._retire()

    def _is_full(self) -> bool:
        age_ms = self._now_ms() - self._began_ms
        return (
            self._size >= self._settings.segment_mb * _MB or age_ms >= self._settings.segment_hours * HOUR_MS
        )

    def _begin(self, received_ms: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = segment_name(received_ms, self._run)
        # Two files of one run may begin at the same moment, never with the same name.
        while any((self.folder / f"{stem}{suffix}").exists() for suffix in (LIVE, DONE)):
            received_ms += 1
            stem = segment_name(received_ms, self._run)
        path = self.folder / f"{stem}{LIVE}"
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._path, self._began_ms, self._size = path, received_ms, 0
        _sync_folder(self.folder)

    def _append(self, block: bytes) -> None:
        try:
            left = memoryview(block)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(block)
        self.bytes += len(block)

    def _retire(self) -> None:
        """Delete the oldest files, never one that a process is writing."""
        files = segment_files(self.folder)
        known = [(began_ms, path) for path in files if (began_ms := segment_began_ms(path)) is not None]
        sizes = {path: path.stat().st_size for _, path in known}
        total = sum(sizes.values())
        for began_ms, path in sorted(known):
            is_old = self._now_ms() - began_ms > self._settings.keep_days * DAY_MS
            if not is_old and total <= self._settings.keep_gb * 1000 * _MB:
                break
            with _alone(path) as is_ours:
                if is_ours:
                    path.unlink(missing_ok=True)
                    total -= sizes[path]
                    _log.info("tape_segment_deleted", path=str(path), reason="age" if is_old else "size")


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold a file's lock; False where a process that is writing it has it, or the file is gone."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield path.exists()
    finally:
        os.close(handle)


def _close(path: Path) -> None:
    """Pack a live file; one that cannot be packed is kept as it is, and read as far as it can be."""
    done = path.with_suffix(DONE)
    try:
        repack(path, done)
        path.unlink(missing_ok=True)
    except DataError as error:
        _log.warning("tape_segment_damaged", path=str(path), error=str(error))
        path.replace(done)
    except OSError as error:
        _log.warning("tape_segment_not_packed", path=str(path), error=str(error))


def repack(path: Path, done: Path) -> None:
    """Write a file's many small blocks as few large ones. A reader sees a whole file or none.

    Raises DataError when there is any damage, OSError when the disk is full.
    """
    temporary = path.with_suffix(_UNFINISHED)
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            for block in _larger_blocks(path):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(done)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _larger_blocks(path: Path) -> Iterator[bytes]:
    damage: list[Damage] = []
    group: list[tuple[Place, Page]] = []
    for place in scan(path, damage):
        page = read(place)
        if group and sum(len(p.records) for _, p in group) + len(page.records) > PACKED:
            yield _joined(group)
            group = []
        group.append((place, page))
    if damage:
        raise DataError(str(damage[0]))
    if group:
        yield _joined(group)


def _joined(group: Sequence[tuple[Place, Page]]) -> bytes:
    """Blocks that follow each other as one."""
    first, last = group[0][0].head, group[-1][0].head
    page = Page(
        [record for _, page in group for record in page.records],
        next((page.meta for _, page in group if page.meta is not None), None),
        sum(page.dropped for _, page in group),
    )
    numbers = last.number + last.numbers - first.number
    return pack(page, run=first.run, segment_ms=first.segment_ms, number=first.number, numbers=numbers)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; not every platform lets a folder be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

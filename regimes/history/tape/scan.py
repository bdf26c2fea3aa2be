"""Finds the blocks of a file, whatever has happened to it, and names what is none."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from regimes.errors import DataError
from regimes.history.tape.block import HEAD_BYTES, MAGIC, Head, Page, unpack, unpack_head


class Damage(msgspec.Struct, frozen=True, order=True):
    """Bytes of a file that are not readable. reason: what is wrong with them."""

    path: Path
    offset: int
    size: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.size} bytes at offset {self.offset}: {self.reason}"


class Place(msgspec.Struct, frozen=True):
    """Where a block lies, and its head."""

    path: Path
    offset: int
    head: Head


def scan(path: Path, damage: list[Damage]) -> Iterator[Place]:
    """The blocks of a file by their heads, in the order in which they lie there; their bytes are not looked at.

    damage: gets what lies between them. After bytes that make no sense it goes on at the next head.
    Raises DataError for a file that cannot be opened.
    """
    try:
        size = path.stat().st_size
        if not size:
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _scan(path, data, damage)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _scan(path: Path, data: mmap.mmap, damage: list[Damage]) -> Iterator[Place]:
    offset, end = 0, len(data)
    while offset < end:
        head = unpack_head(data[offset : offset + HEAD_BYTES])
        if head is not None and offset + HEAD_BYTES + head.size <= end:
            yield Place(path, offset, head)
            offset += HEAD_BYTES + head.size
            continue
        found = _next_head(data, offset + 1)
        torn = found == end and (head is not None or _may_begin(data[offset : offset + HEAD_BYTES]))
        reason = "torn off at the end of the file" if torn else "no block"
        damage.append(Damage(path, offset, found - offset, reason))
        offset = found


def _may_begin(data: bytes) -> bool:
    """Whether these few bytes at the end of a file are the beginning of a head."""
    return len(data) < HEAD_BYTES and data[: len(MAGIC)] == MAGIC[: len(data)]


def _next_head(data: mmap.mmap, offset: int) -> int:
    """Where the next sound head stands; the file's end when there is none."""
    while (offset := data.find(MAGIC, offset)) >= 0:
        if unpack_head(data[offset : offset + HEAD_BYTES]) is not None:
            return offset
        offset += 1
    return len(data)


def read(place: Place) -> Page:
    """The records of a block. Raises DataError, without the file's name, when it is damaged."""
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset + HEAD_BYTES)
            return unpack(place.head, file.read(place.head.size))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from error

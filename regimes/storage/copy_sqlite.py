"""A SQLite database as one file that can be carried away, and back."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from regimes.errors import StorageError

MAGIC: Final = b"SQLite format 3\x00"
_BUSY_S: Final = 5.0
_VERSION: Final = "SELECT coalesce(max(version), 0) FROM schema_version"


def back_up(database: Path, to: Path) -> int:
    """Copy a database that may be in use to a new file; the version of its schema.

    The copy is one moment of the database. It appears under its name when it is whole and checked, and its owner
    alone may read it. Raises StorageError.
    """
    part = to.with_name(f".{to.name}.part")
    with _explained(database), closing(_open(database)) as source:
        try:
            os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
            with closing(_open(part)) as copy:
                source.backup(copy)  # in one step: in several it begins anew whenever the service writes
                copy.execute("PRAGMA journal_mode = DELETE")
                version = _checked(copy, database)
            part.rename(to)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    return version


def version_of(database: Path) -> int:
    """Version of the schema of a database or a copy of one. Raises StorageError where it is none, or damaged."""
    with _explained(database), closing(_open(database, "ro")) as found:
        return _checked(found, database)


def is_empty(database: Path) -> bool:
    """Whether nothing would be lost. Raises StorageError."""
    if not database.exists() or not database.stat().st_size:
        return True
    with _explained(database), closing(_open(database)) as found:
        return not found.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def restore(copy: Path, database: Path) -> None:
    """Put a copy in the place of a database, all or nothing. Raises StorageError, also where the database is in use."""
    with _explained(database):
        with suppress(FileExistsError):
            os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_open(copy, "ro")) as source, closing(_open(database)) as target:
            _let_nobody_in(target, database)
            source.backup(target)


def _let_nobody_in(target: sqlite3.Connection, database: Path) -> None:
    """SQLite gives its write-ahead log up only where no other connection is open."""
    try:
        (mode,) = target.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        mode = "wal"
    if mode != "delete":
        raise StorageError(f"SQLite database {database} is in use: stop the service first")


def _checked(connection: sqlite3.Connection, place: Path) -> int:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StorageError(f"{place} is damaged ({found}): take an older backup")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "schema_version" not in tables:
        raise StorageError(f"{place} is a SQLite file, but none of this program")
    return int(connection.execute(_VERSION).fetchone()[0])


def _open(path: Path, mode: str = "rw") -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None)


@contextmanager
def _explained(database: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{error.filename or database}: {error.strerror}") from None
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise StorageError(f"{database} cannot be copied ({name}: {error})") from None

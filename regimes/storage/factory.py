"""Picks the storage that DB_URL asks for."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from regimes.clock import Clock
from regimes.errors import ConfigError
from regimes.storage.base import Storage
from regimes.storage.failover import FailoverStorage, OnState, OnTaken
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql://", "postgres://")


def storage_for(
    url: str,
    *,
    clock: Clock,
    spool: Path = Path("spool.db"),
    on_state: OnState | None = None,
    on_taken: OnTaken | None = None,
    timeout_s: float = 5.0,
) -> Storage:
    """The storage of a service, which shares it with no other service.

    url: `sqlite:///local.db`, `sqlite:////absolute/path.db` or `postgresql://user:password@host:port/database`.

    spool: file that takes everything while PostgreSQL is away; its folder is made if need be. on_state: told when
    PostgreSQL goes (since when, ms UTC) and when it is back (None). on_taken: told when another service has PostgreSQL by then.
    timeout_s: how long PostgreSQL may take before it counts as away.
    Raises ConfigError for anything else; its text never holds the URL, which may hold a password.
    """
    database = database_for(url, timeout_s=timeout_s, alone=True)
    if isinstance(database, PostgresStorage):
        with suppress(OSError):  # what is wrong with it is said when the file is opened
            spool.parent.mkdir(parents=True, exist_ok=True)
        local = SqliteStorage(spool, alone=True)
        return FailoverStorage(database, local, clock, on_state=on_state, on_taken=on_taken)
    return database


def database_for(url: str, *, timeout_s: float = 5.0, alone: bool = False) -> SqliteStorage | PostgresStorage:
    """The database without a spool: for a second process, which must leave the service's spool to it.

    Raises ConfigError as `storage_for` does.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return SqliteStorage(Path(url.removeprefix(_SQLITE)), alone=alone)
    if url.startswith(_POSTGRES):
        return PostgresStorage(url, timeout_s=timeout_s, alone=alone)
    scheme = url.partition(":")[0] if ":" in url else ""
    raise ConfigError(
        "DB_URL must be sqlite:///file.db, sqlite:////absolute/file.db or "
        f"postgresql://user:password@host:port/database (got scheme {scheme[:20]!r})"
    )

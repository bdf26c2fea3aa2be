"""`regimes backup` and `regimes restore`: the database as one file, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import typer

from regimes.config import Settings
from regimes.config.sources import environment
from regimes.errors import ConfigError, StorageError
from regimes.storage import copy_postgres, copy_sqlite, migrate
from regimes.storage.copy_postgres import PostgresTools
from regimes.storage.factory import database_for
from regimes.storage.sqlite import SqliteStorage

_KINDS: Final = {copy_sqlite.MAGIC: "SQLite", copy_postgres.MAGIC: "PostgreSQL"}


def back_up(settings: Settings, to: Path, *, environ: Mapping[str, str] | None = None) -> None:
    """Write the database, which may be in use, to a new file. Raises ConfigError, StorageError."""
    if to.exists():
        raise ConfigError(f"{to} is there already; name a new file")
    if not to.parent.is_dir():
        raise ConfigError(f"{to.parent} is not a folder; make it first")
    place = _sqlite(settings) or _postgres(settings, environ)
    if isinstance(place, Path):
        if not place.exists():
            raise StorageError(
                f"there is no database {place.absolute()} yet: start `regimes run` once, or set DB_URL"
            )
        version = copy_sqlite.back_up(place, to)
    else:
        version = place.back_up(to)
    typer.echo(f"{to}: {to.stat().st_size / 1e6:,.1f} MB, schema version {version}")


def restore(
    settings: Settings, copy: Path, *, replace: bool, environ: Mapping[str, str] | None = None
) -> None:
    """Put a backup in the place of the database. Raises ConfigError, StorageError; then nothing is changed."""
    place = _sqlite(settings) or _postgres(settings, environ)
    wanted, found = "SQLite" if isinstance(place, Path) else "PostgreSQL", _kind(copy)
    if wanted != found:
        raise ConfigError(f"{copy} is a backup of {found}, and DB_URL names a {wanted} database")
    version = copy_sqlite.version_of(copy) if isinstance(place, Path) else place.version_of(copy)
    newest = migrate.shipped()[-1].version
    if version > newest:
        raise StorageError(
            f"{copy} has schema version {version}, newer than the {newest} this release knows: install a newer release"
        )
    if isinstance(place, Path):
        if not (replace or copy_sqlite.is_empty(place)):
            _refuse(f"SQLite database {place}")
        copy_sqlite.restore(copy, place)
    else:
        _into_postgres(place, copy, newest, replace=replace)
    typer.echo(f"restored {copy}, schema version {version}; the next start brings it up to date")


def _into_postgres(tools: PostgresTools, copy: Path, newest: int, *, replace: bool) -> None:
    present = tools.look()
    if present.version > newest:
        raise StorageError(
            f"{tools.place} has schema version {present.version}, newer than the {newest} this release knows: "
            "restore with the release that wrote it, then install this one"
        )
    if present.in_use:
        raise StorageError(f"{tools.place} is in use: stop the service first")
    if present.tables and not replace:
        _refuse(tools.place)
    tools.restore(copy, present.schema)


def _refuse(place: str) -> NoReturn:
    raise StorageError(f"{place} holds data already: back it up, then restore with --replace")


def _sqlite(settings: Settings) -> Path | None:
    database = database_for(settings.storage.url.get_secret_value())
    return database.path if isinstance(database, SqliteStorage) else None


def _postgres(settings: Settings, environ: Mapping[str, str] | None) -> PostgresTools:
    return PostgresTools(
        settings.storage.url.get_secret_value(), environment() if environ is None else environ
    )


def _kind(copy: Path) -> str:
    """Raises ConfigError where it is no backup at all."""
    try:
        with copy.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise ConfigError(f"{copy} cannot be read ({error.strerror})") from error
    found = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
    if found is None:
        raise ConfigError(f"{copy} is no backup of `regimes backup`")
    return found

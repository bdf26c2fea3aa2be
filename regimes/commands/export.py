"""`regimes export`: the database as Parquet."""

from collections.abc import Sequence
from pathlib import Path

import typer

from regimes.commands.database import with_database
from regimes.commands.output import console, rows_table
from regimes.config import Settings
from regimes.errors import ConfigError
from regimes.history.backfill.table import Span
from regimes.history.export import Exported, export
from regimes.storage.base import Storage
from regimes.storage.database import Database
from regimes.storage.dump import DUMPED, dump_table


def execute(settings: Settings, folder: Path, names: Sequence[str], span: Span) -> None:
    """Write tables, all where none is named. Raises ConfigError for a wrong name or folder, StorageError."""
    tables = [dump_table(name) for name in names or DUMPED]

    async def work(storage: Storage) -> list[Exported]:
        assert isinstance(storage, Database)  # noqa: S101  # a command opens no spool
        return [await export(storage, table, folder, span, progress=_say) for table in tables]

    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = with_database(settings, work)
    except OSError as error:
        raise ConfigError(f"--to {folder}: cannot be written ({error.strerror})") from error
    table = rows_table("table", "rows", "file", whole=("file",))
    for one in done:
        table.add_row(one.table, f"{one.rows:,}", str(one.path))
    console().print(table)


def _say(name: str, rows: int) -> None:
    typer.echo(f"{name}: {rows:,} rows", err=True)

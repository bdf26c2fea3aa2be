"""Tables of the database as Parquet, a file each."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from regimes.history.backfill.table import Span, replace_file
from regimes.storage.database import Database
from regimes.storage.dump import DumpTable, page

PAGE_ROWS: Final = 20_000
_TYPES: Final = {str: pl.String, int: pl.Int64, float: pl.Float64}
_PARTS: Final = ".export"


class Exported(msgspec.Struct, frozen=True):
    """A table that was exported, how many rows, and where to."""

    table: str
    rows: int
    path: Path


async def export(
    database: Database,
    table: DumpTable,
    folder: Path,
    span: Span,
    *,
    progress: Callable[[str, int], None] | None = None,
    page_rows: int = PAGE_ROWS,
) -> Exported:
    """Write the rows of a span to `folder`; an older file of the same table is replaced when all of them are there.

    Only a page of rows is in memory at a time. progress: told the table and the rows so far. Raises StorageError, and
    OSError when the disk is full.
    """
    path = folder / f"{table.name}.parquet"
    parts = folder / _PARTS / table.name
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir(parents=True)
    try:
        count, after = 0, None
        while rows := await page(database, table, span.from_ms, span.to_ms, after, page_rows):
            _frame(table, rows).write_parquet(parts / f"{count:012}.parquet")
            count, after = count + len(rows), rows[-1]
            if progress is not None:
                progress(table.name, count)
            if len(rows) < page_rows:
                break
        if not count:
            _frame(table, []).write_parquet(parts / "0.parquet")
        # In a stream of small groups: without a size, polars gathers 100,000 rows and more before it writes any.
        whole = pl.scan_parquet(parts / "*.parquet")
        replace_file(path, lambda temporary: whole.sink_parquet(temporary, row_group_size=page_rows))
    finally:
        shutil.rmtree(folder / _PARTS, ignore_errors=True)
    return Exported(table.name, count, path)


def _frame(table: DumpTable, rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    schema = {name: _TYPES[kind] for name, kind in table.columns.items()}
    return pl.DataFrame(rows, schema=schema, orient="row")

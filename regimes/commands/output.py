"""Where tables go: as wide as the terminal, or wide enough to be read in a file."""

from collections.abc import Collection
from typing import Final

from rich.console import Console
from rich.table import Table

FILE_WIDTH: Final = 160


def console() -> Console:
    """Return a console on standard output."""
    shown = Console()
    return shown if shown.is_terminal else Console(width=FILE_WIDTH)


def rows_table(*columns: str, title: str | None = None, whole: Collection[str] = ()) -> Table:
    """A table of plain rows. whole: columns that are never broken, because people copy from them."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in whole, overflow="fold")
    return table

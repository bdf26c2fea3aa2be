"""Where tables go: as wide as the terminal, or wide enough to be read in a file."""

from typing import Final

from rich.console import Console

FILE_WIDTH: Final = 160


def console() -> Console:
    """Return a console on standard output."""
    shown = Console()
    return shown if shown.is_terminal else Console(width=FILE_WIDTH)

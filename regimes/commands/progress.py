"""A bar for what takes a while, on standard error and in a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def bar(words: str, begin: float, end: float | None) -> Iterator[Callable[[float], None]]:
    """Show how far something is between two values; gives a function to be told the present one. end: None if unknown."""
    shown = Console(stderr=True)
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task(words, total=None if end is None else end - begin)
        yield lambda value: progress.update(task, completed=value - begin)

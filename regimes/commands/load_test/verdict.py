"""What was measured, held against the bars; how it is shown and kept."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from regimes import __version__
from regimes.clock import SystemClock
from regimes.commands.load_test.tiers import Load
from regimes.events import iso_utc


class Line(msgspec.Struct, frozen=True):
    """One number. most: its bar, None where it is only told."""

    what: str
    value: float
    unit: str
    most: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it keeps to its bar."""
        return self.most is None or self.value <= self.most


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run as it is kept. title: which one."""

    title: str
    at: str
    machine: str
    version: str
    load: Load | None
    lines: Sequence[Line]
    passed: bool


def outcome(title: str, load: Load | None, lines: Sequence[Line]) -> Outcome:
    """Sum up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Outcome(
        title=title,
        at=iso_utc(SystemClock().now_ms()),
        machine=f"{cores} cores, {platform.machine()}, Python {platform.python_version()}",
        version=__version__,
        load=load,
        lines=lines,
        passed=all(line.passed for line in lines),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Without values infinite: what never came is not early."""
    return float(np.quantile(values, share)) if values else float("inf")


_SHOWN: Final = {True: "[green]pass[/]", False: "[red]FAIL[/]"}


def show(done: Outcome, console: Console) -> None:
    """Print it."""
    table = Table(title=done.title, title_justify="left", caption=done.machine)
    table.add_column("measured")
    table.add_column("", justify="right")
    table.add_column("at most", justify="right")
    table.add_column("")
    for line in done.lines:
        most = "" if line.most is None else f"{line.most:,g} {line.unit}"
        judged = "" if line.most is None else _SHOWN[line.passed]
        table.add_row(line.what, f"{line.value:,.5g} {line.unit}", most, judged)
    console.print(table)
    console.print(_SHOWN[done.passed])


def keep(done: Outcome, file: Path) -> None:
    """Add it to a file of JSON lines."""
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(done) + b"\n")

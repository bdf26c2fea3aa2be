"""What a benchmark found, and the table it is shown as."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Aim(msgspec.Struct, frozen=True):
    """An upper bound, in the unit of what was measured, or as a multiple of the peer `times`."""

    most: float
    times: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One number of ours beside the same number of others, all in `unit`, less is better."""

    what: str
    unit: str
    ours: float
    peers: Mapping[str, float] = {}
    aim: Aim | None = None

    def ratio(self, peer: str) -> float:
        """Ours over the peer's."""
        return self.ours / self.peers[peer]

    @property
    def passed(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        if self.aim is None:
            return None
        value = self.ours if self.aim.times is None else self.ratio(self.aim.times)
        return value <= self.aim.most


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that one benchmark found. notes: what a reader must know to read the numbers right."""

    name: str
    title: str
    results: Sequence[Result]
    notes: Sequence[str] = ()


def machine() -> str:
    """Return the kind of machine, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{cores} cores, {_processor()}, Python {platform.python_version()}{load}"


def _processor() -> str:
    """Model of the processor where Linux tells it, else the kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(models, '')} {platform.machine()}".strip()


def markdown(report: Report) -> str:
    """The table of one benchmark as Markdown, with its notes."""
    peers = _peers(report)
    rows = [
        ["measured", "regimes", *peers, "aim", ""],
        ["---", *["---:"] * (len(peers) + 2), "---"],
        *(_cells(result, peers) for result in report.results),
    ]
    table = "\n".join(f"| {' | '.join(cell.strip() for cell in row)} |" for row in rows)
    notes = "\n".join(f"- {note}" for note in report.notes)
    return f"### {report.name}\n\n{report.title}\n\n{table}\n\n{notes}\n"


def _peers(report: Report) -> list[str]:
    return list(dict.fromkeys(peer for result in report.results for peer in result.peers))


def _cells(result: Result, peers: Sequence[str]) -> list[str]:
    return [
        result.what,
        f"{number(result.ours)} {result.unit}",
        *(_beside(result, peer) for peer in peers),
        _aim(result),
        {True: "pass", False: "missed", None: ""}[result.passed],
    ]


def show(report: Report, console: Console) -> None:
    """Print the table of one benchmark."""
    peers = _peers(report)
    table = Table(title=f"{report.name}: {report.title}", title_justify="left", caption=machine())
    table.add_column("measured")
    table.add_column("regimes", justify="right")
    for peer in peers:
        table.add_column(peer, justify="right")
    table.add_column("aim", justify="right")
    table.add_column("")
    for result in report.results:
        *cells, verdict = _cells(result, peers)
        table.add_row(*cells, {"pass": "[green]pass[/]", "missed": "[red]missed[/]"}.get(verdict, verdict))
    console.print(table)
    for note in report.notes:
        console.print(f"- {note}", highlight=False)


def _beside(result: Result, peer: str) -> str:
    if peer not in result.peers:
        return ""
    value = result.peers[peer]
    return f"{number(value)} ({result.ratio(peer):.2f}x)" if value else number(value)


def _aim(result: Result) -> str:
    if result.aim is None:
        return ""
    if result.aim.times is not None:
        return f"<= {result.aim.most:g}x {result.aim.times}"
    return f"<= {result.aim.most:g} {result.unit}"


def number(value: float) -> str:
    """As a table shows it: three digits or so."""
    if value and abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"

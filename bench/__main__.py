"""`python -m bench` lists the benchmarks, `python -m bench NAME ...` runs some, `python -m bench all` every one."""

import os
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from bench.report import Report, machine, markdown, show

WIDTH: Final = 140
POOLS: Final = ("OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
BENCHMARKS: Final = {
    "wire": "message to engine: CPU of our feed, of a bare client, of awaited ccxt.pro",
    "features": "all five signals for 500 symbols x 720 h, and one closed bar; numpy, polars, pandas",
    "engine": "an observation through the engine, by type",
    "cascade": "500 symbols, 10,000 liquidations a second, one core: CPU, lag, losses",
    "memory": "resident memory of `regimes run` with 3 and 500 symbols, and over a million messages",
    "sizing": "what a day of a symbol takes on the disk, SQLite and PostgreSQL",
    "start": "start of the process to the first full package, cache cold and warm",
    "page": "the page in Chromium: first paint, answers, work of an update, memory, bytes",
    "alerts_latency": "liquidation on the wire to webhook received, 1,000 liquidations a second, SQLite",
    "alerts_delivery": "deliveries a second to fast receivers, durable; bare aiohttp POSTs",
    "replay": "two years of hours, a million liquidations: CPU and memory; a pandas loop",
    "alerts_storage": "events stored a second, SQLite and PostgreSQL; plain executemany",
    "soak": "a day of market in minutes, every fault at random: nothing lost, nothing grows",
    "sse": "the event stream to 100, 1,000 and 10,000 readers: CPU, delay, memory; nginx+nchan, a send loop in C",
    "api": "/api/features with 100 keep-alive clients, /metrics with 500 symbols, CPU of an idle `regimes run`",
}


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which to run, or `all`; lists them if empty.")
    ] = None,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Run as long as the aims say, not under a minute each.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, as in docs/performance.md.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the numbers to this file.")] = None,
) -> None:
    """Run benchmarks one after the other and print a table for each."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    if not names:
        for name, what in BENCHMARKS.items():
            console.print(f"{name:10}{what}", highlight=False)
        return
    chosen = list(BENCHMARKS) if names == ["all"] else names
    unknown = set(chosen) - BENCHMARKS.keys()
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: choose of {', '.join(BENCHMARKS)}")
    # One core for everybody; these pools of threads are made when their libraries are imported.
    os.environ |= dict.fromkeys(POOLS, "1")
    reports: list[Report] = []
    if as_markdown:
        sys.stdout.write(f"Measured on {datetime.now(tz=UTC):%Y-%m-%d}: {machine()}.\n\n")
    for name in chosen:
        report: Report = import_module(f"bench.{name}").run(full=full)
        if as_markdown:
            sys.stdout.write(markdown(report) + "\n")
            sys.stdout.flush()
        else:
            show(report, console)
        reports.append(report)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": machine(), "reports": reports})))


if __name__ == "__main__":
    typer.run(main)

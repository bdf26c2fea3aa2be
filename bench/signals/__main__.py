"""`python -m bench.signals` judges the calibrated signals on recorded data beside the usual models."""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from bench.signals.market import spot_candles
from bench.signals.peers import lacking
from bench.signals.score import Row

DATA: Final = Path(__file__).parents[2] / "../shared/data"
PARTS: Final = {
    "volatility": "next-24h volatility, its probabilities, the calibrated state",
    "regimes": "p_persist_24h, seasonal volume",
    "funding": "p_revert_24h, p_revert_72h",
    "correlation": "correlations that break",
    "leadership": "who moves first, by minutes",
    "cascade": "bursts of liquidations, in a simulated market",
}
FROZEN: Final = Path(__file__).parents[2] / "regimes/maths/forecast_frozen.py"
FIT_UNTIL: Final = "2025-02-01"


def main(
    *,
    data: Annotated[Path, typer.Option(help="Folder with candles/, as recorded.")] = DATA,
    only: Annotated[str, typer.Option(help=f"One of {', '.join(PARTS)}; all if empty.")] = "",
    start: Annotated[str, typer.Option(help="First day that is judged.")] = "2023-01-01",
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Judge the shipped numbers; use it on data after 2025-02 only.")
    ] = False,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit what is shipped on data before 2025-02, and write it.")
    ] = False,
) -> None:
    """Print a table for each part, ours beside the others, or fit what is shipped."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if fit:
        _fit(data)
        return
    console = Console(width=None if Console().is_terminal else 150)
    if absent := lacking():
        console.print(
            f"Not installed, so not compared with: {', '.join(absent)}. The extra `bench` brings them."
        )
    for name in [only] if only else PARTS:
        if name not in PARTS:
            raise typer.BadParameter(f"{name}: choose of {', '.join(PARTS)}")
        span, rows = import_module(f"bench.signals.{name}").evaluate(data, start=start, shipped=shipped)
        console.print(_table(f"{name}: {span}", rows))


def _fit(data: Path) -> None:
    fits = import_module("bench.signals.volatility_fit")
    candles = spot_candles(data)
    until = min(candles.place(FIT_UNTIL), candles.hours)
    fits.write(
        fits.freeze(candles, until),
        FROZEN,
        day=FIT_UNTIL,
        symbols=len(candles.symbols),
        first_day=candles.day(0),
    )
    regimes = import_module("bench.signals.regimes")
    regimes.write(candles, until, regimes.FROZEN, day=FIT_UNTIL)
    funding = import_module("bench.signals.funding")
    found = funding.walk(data)
    until = min(found.place(FIT_UNTIL), found.z.shape[1])
    funding.write(found, until, funding.FROZEN, day=FIT_UNTIL)
    cascade = import_module("bench.signals.cascade")
    cascade.write(cascade.FROZEN)


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("measured", "regimes", "others", "must", "aim", ""):
        table.add_column(name)
    for row in rows:
        error = "" if row.error is None else f" ± {row.error:.3f}"
        others = ", ".join(f"{name} {value:.3f}" for name, value in row.peers.items())
        must, aim = ("", "") if row.asked is None else (f"{bound:g}" for bound in row.asked)
        table.add_row(row.what, f"{row.ours:.3f}{error}", others, must, aim, row.verdict)
    return table


if __name__ == "__main__":
    typer.run(main)

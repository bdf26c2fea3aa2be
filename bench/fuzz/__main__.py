"""`python -m bench.fuzz frames --count 10_000_000`: broken input for one target, or for all."""

import sys
from typing import Annotated

import typer

from bench.fuzz import TARGETS, fuzz, guided


def main(
    targets: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(TARGETS)}; all if empty.")
    ] = None,
    *,
    count: Annotated[int, typer.Option(min=1, help="Inputs for each.")] = 100_000,
    seed: Annotated[int, typer.Option(help="The same seed draws the same inputs.")] = 1,
    explore: Annotated[
        bool,
        typer.Option(
            "--guided", help="Let atheris guide one target by coverage instead (pip install atheris)."
        ),
    ] = False,
) -> None:
    """Give broken input to what reads it. The first defect ends it with a traceback; its input is kept in build/fuzz."""
    chosen = targets or list(TARGETS)
    unknown = set(chosen) - set(TARGETS)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: choose of {', '.join(TARGETS)}")
    if explore:
        guided(chosen[0], count)
    for name in chosen:
        done = fuzz(name, count, seed)
        seen = "" if done.observed is None else f", {done.observed:,} observations"
        sys.stdout.write(f"{name}: {done.given:,} inputs in {done.seconds:.0f} s{seen}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)

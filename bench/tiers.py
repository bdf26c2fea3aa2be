"""All tiers of `regimes load-test`, one after the other, as the table of docs/load-test.md.

`python -m bench.tiers` runs each tier and prints the table; with `--write` it also puts it into the page. Leave the
machine alone meanwhile. `--show` prints the table of what was measured before.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from bench.report import machine, number
from regimes.commands.load_test.tiers import TIERS
from regimes.commands.load_test.verdict import Line, Outcome

PAGE: Final = Path(__file__).parent.parent / "docs" / "load-test.md"
KEPT: Final = Path("build/load-test.jsonl")
_MARKS: Final = ("<!-- measured -->", "<!-- end of measured -->")
_TITLE: Final = "load test, tier "


def newest(file: Path) -> Mapping[str, Outcome]:
    """The last outcome of each tier in a file of JSON lines."""
    lines = file.read_bytes().splitlines() if file.exists() else []
    done = [msgspec.json.decode(line, type=Outcome) for line in lines]
    return {one.title.removeprefix(_TITLE): one for one in done}


def markdown(done: Mapping[str, Outcome]) -> str:
    """A column a tier, a row a number; what missed its bar is bold, with the bar."""
    tiers = [tier for tier in TIERS if tier in done]
    by_tier = {tier: {line.what: line for line in done[tier].lines} for tier in tiers}
    rows = [
        ["tier", *tiers],
        ["---", *["---:"] * len(tiers)],
        *([what, *(_cell(by_tier[tier].get(what)) for tier in tiers)] for what in _whats(by_tier)),
        ["verdict", *("pass" if done[tier].passed else "**missed**" for tier in tiers)],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def put(table: str, page: str, about: str) -> str:
    """A page with the table in the place of the one it has. Raises ValueError where it has no such place."""
    begin, end = _MARKS
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"no place for the table: the page needs {begin} and {end}")
    return f"{before}{begin}\n{about}\n\n{table}\n{end}{after}"


def _run(tier: str, duration: int) -> int:
    command = [sys.executable, "-m", "regimes", "load-test", "--tier", tier]
    ours = ["--duration", str(duration), "--to", str(KEPT)]
    return subprocess.run([*command, *ours], check=False).returncode  # noqa: S603  # our own program


def _whats(by_tier: Mapping[str, Mapping[str, Line]]) -> Sequence[str]:
    return list(dict.fromkeys(what for lines in by_tier.values() for what in lines))


def _cell(line: Line | None) -> str:
    if line is None:
        return ""
    told = f"{number(line.value)} {line.unit}".strip()
    return told if line.passed else f"**{told}** (at most {line.most:g})"


def main(
    tiers: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(TIERS)}; all if empty.")] = None,
    *,
    show: Annotated[bool, typer.Option("--show", help="Measure nothing.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the table into docs/load-test.md.")] = False,
    duration: Annotated[int, typer.Option(min=10, help="Seconds of load a tier.")] = 60,
) -> None:
    """Measure the tiers and print their table; exit code 1 when one missed a bar."""
    KEPT.parent.mkdir(exist_ok=True)
    codes = [] if show else [_run(tier, duration) for tier in tiers or TIERS]
    done = newest(KEPT)
    table = markdown(done)
    typer.echo(table)
    if write:
        day = max((one.at for one in done.values()), default="")[:10]
        PAGE.write_text(put(table, PAGE.read_text(), f"{day}, {machine()}:"))
    raise typer.Exit(any(codes) or not all(one.passed for one in done.values()))


if __name__ == "__main__":
    typer.run(main)

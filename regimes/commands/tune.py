"""`regimes tune`: which settings the past would choose, and how that choice did where it was not made."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from regimes.commands.output import console, rows_table
from regimes.commands.running import ExitCode
from regimes.config import Settings
from regimes.errors import ConfigError
from regimes.events import iso_utc
from regimes.history import Source, open_source
from regimes.history.backfill.table import replace_file
from regimes.study.grid import DEFAULT, Values, parse
from regimes.study.merit import Merit
from regimes.study.tune import Tried, Tuned, tune
from regimes.wording import percent

_SHOWN: Final = 20


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    source: Path
    start_ms: int | None = None
    end_ms: int | None = None
    symbols: tuple[str, ...] | None = None
    grid: Sequence[str] = ()
    budget: float
    folds: int
    jobs: int | None = None
    write: Path | None = None
    as_json: bool = False


def execute(settings: Settings, options: Options) -> None:
    """Sweep, print, and write what was chosen. Raises ConfigError and DataError."""
    _refuse_unwritable(options.write)
    source = open_source(options.source)
    found = _tuned(source, settings, options)
    if options.as_json:
        _print_lines(found)
    else:
        _print(console(), found, options.budget)
    if options.write is not None:
        _write(options.write, found)


def _tuned(source: Source, settings: Settings, options: Options) -> Tuned:
    ready, wanted = 0, 0

    def count(done: int, of: int) -> None:
        nonlocal ready, wanted
        ready, wanted = done, of
        shown(done, of)

    try:
        with _progress() as shown:
            return tune(
                source,
                settings,
                parse(options.grid) if options.grid else DEFAULT,
                options.start_ms,
                options.end_ms,
                symbols=options.symbols,
                budget=options.budget,
                folds=options.folds,
                workers=options.jobs or _cores(),
                done=count,
            )
    except KeyboardInterrupt:
        how_far = f"after {ready} of {wanted} runs" if wanted else "before the first run was done"
        typer.echo(f"interrupted {how_far}: nothing was chosen, nothing was written", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refuse_unwritable(path: Path | None) -> None:
    """Say so before the work, not after it."""
    if path is not None and (path.exists() or not path.absolute().parent.is_dir()):
        why = "is there already" if path.exists() else "is in no folder that exists"
        raise ConfigError(f"--write {path}: {why}; name a new file")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    shown = Console(stderr=True)
    columns = (TextColumn("running the past"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _print(shown: Console, found: Tuned, budget: float) -> None:
    span = found.stretch
    shown.print(
        f"{', '.join(span.universe.symbols)}, {iso_utc(span.from_ms)} to {iso_utc(span.to_ms)}: "
        f"{found.present.moves} large moves, {found.present.deleveragings} hours of deleveraging; "
        f"of messages at random times {percent(found.by_chance, 0)} would be useful",
        highlight=False,
        soft_wrap=True,
    )
    best = sorted((one for one in found.tried if one.is_best), key=lambda one: one.merit.a_week)
    title = "Frontier: nothing tried rings less and catches as much"
    shown.print(
        _table(title, [("in effect", found.present), *((_words(o.values), o.merit) for o in best[:_SHOWN])])
    )
    shown.print(
        _table(
            "One value changed, all else as in effect",
            [(_words(one.values), one.merit) for one in found.alone],
        )
    )
    rows = [(f"{iso_utc(fold.from_ms)[:10]} {_words(fold.values)}", fold.merit) for fold in found.folds]
    sums = [("all of these", found.unseen), ("in effect, same time", found.unseen_present)]
    shown.print(
        _table("Out of sample: chosen by all that was before, judged by what came then", [*rows, *sums])
    )
    shown.print(
        f"chosen by the whole span, at most {budget:g} messages a week: {_words(found.chosen)}",
        highlight=False,
        soft_wrap=True,
    )


def _table(title: str, rows: Sequence[tuple[str, Merit]]) -> Table:
    table = rows_table(
        "settings",
        "messages a week",
        "large moves caught",
        "useful",
        "median delay",
        "deleveraging caught",
        title=title,
    )
    for words, one in rows:
        table.add_row(*map(Text, (words, *_cells(one))))
    return table


def _cells(one: Merit) -> tuple[str, ...]:
    return (
        f"{one.a_week:.2f}",
        "-" if one.recall is None else f"{one.caught} of {one.moves} ({percent(one.recall, 0)})",
        "-" if one.precision is None else percent(one.precision, 0),
        "-" if one.delay_hours is None else f"{one.delay_hours:.1f} h",
        f"{one.deleveragings_caught} of {one.deleveragings}" if one.deleveragings else "-",
    )


def _words(values: Values) -> str:
    return ", ".join(f"{path} = {_toml(value)}" for path, value in values.items()) or "as in effect"


def _print_lines(found: Tuned) -> None:
    lines: list[Mapping[str, Any]] = [{"what": "in effect", **_numbers(found.present)}]
    lines += [{"what": "tried", "best": one.is_best, **_row(one)} for one in found.tried]
    lines += [{"what": "alone", **_row(one)} for one in found.alone]
    lines += [
        {
            "what": "out of sample",
            "from": iso_utc(fold.from_ms),
            "to": iso_utc(fold.to_ms),
            "values": fold.values,
            **_numbers(fold.merit),
            "in_effect": _numbers(fold.present),
        }
        for fold in found.folds
    ]
    lines.append(
        {
            "what": "chosen",
            "values": found.chosen,
            "out_of_sample": _numbers(found.unseen),
            "in_effect": _numbers(found.unseen_present),
            "useful_by_chance": found.by_chance,
        }
    )
    for line in lines:
        typer.echo(msgspec.json.encode(line))


def _row(one: Tried) -> Mapping[str, Any]:
    return {"values": one.values, **_numbers(one.merit)}


def _numbers(one: Merit) -> Mapping[str, Any]:
    return {
        "messages": one.messages,
        "messages_a_week": one.a_week,
        "large_moves": one.moves,
        "caught": one.caught,
        "useful": one.useful,
        "median_delay_hours": one.delay_hours,
        "deleveragings": one.deleveragings,
        "deleveragings_caught": one.deleveragings_caught,
    }


def _write(path: Path, found: Tuned) -> None:
    span = found.stretch
    head = (
        f"# Chosen by `regimes tune` on {', '.join(span.universe.symbols)},\n"
        f"# {iso_utc(span.from_ms)} to {iso_utc(span.to_ms)}. Out of sample: {found.unseen.a_week:.2f} messages a week,\n"
        f"# {found.unseen.caught} of {found.unseen.moves} large moves; the settings before: "
        f"{found.unseen_present.a_week:.2f} and {found.unseen_present.caught}.\n"
    )
    sections: dict[str, list[str]] = {}
    for key, value in found.chosen.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name} = {_toml(value)}\n")
    body = "".join(f"\n[{section}]\n{''.join(lines)}" for section, lines in sections.items())
    replace_file(path, lambda whole: whole.write_text(head + body))


def _toml(value: Any) -> str:
    """A value as the configuration file has it: numbers, words and lists are written as in JSON."""
    if isinstance(value, float) and value.is_integer() and abs(value) >= 1000:
        return f"{value:_.0f}"
    return msgspec.json.encode(value).decode()

"""The commands about the past: replay it, and choose settings by it."""

from pathlib import Path
from typing import Annotated

import typer

from regimes.cli.invocation import settings_of
from regimes.cli.panels import Panel
from regimes.clock import SystemClock
from regimes.commands.moments import moment_ms


def _moment(text: str) -> int:
    try:
        return moment_ms(text, SystemClock().now_ms())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


SourceAt = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="Folder of recordings, a tape, or an archive.")
]
From = Annotated[
    int | None, typer.Option("--from", parser=_moment, metavar="TIME", help="Begin; or 90d: so long ago.")
]
To = Annotated[int | None, typer.Option("--to", parser=_moment, metavar="TIME", help="End.")]
Symbols = Annotated[
    str | None, typer.Option(metavar="A,B", help="Only these symbols, instead of the configured ones.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel=Panel.PAST)(replay)
    app.command(rich_help_panel=Panel.PAST)(tune)


def replay(
    context: typer.Context,
    source: SourceAt,
    start: From = None,
    end: To = None,
    symbols: Symbols = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Replay with these settings.")
    ] = None,
    as_json: Json = False,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff",
            help="Only what differs from the database, or with --config from the settings in effect.",
        ),
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", help="Write events and decisions to the database.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List all events, not only those sent.")] = False,
) -> None:
    """Say what the settings would have told of the past."""
    from regimes.commands import replay as command  # noqa: PLC0415  # keeps --help and --version quick

    options = command.Options(
        source=source,
        start_ms=start,
        end_ms=end,
        symbols=_names(symbols),
        config=config,
        as_json=as_json,
        diff=diff,
        store=store,
        everything=everything,
    )
    command.execute(settings_of(context), options)


def tune(
    context: typer.Context,
    source: SourceAt,
    start: From = None,
    end: To = None,
    symbols: Symbols = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=A,B", help="Values to try for a setting; may be given often."),
    ] = None,
    budget: Annotated[
        float, typer.Option(min=0.1, help="Messages a week that are not to be exceeded.")
    ] = 10.0,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Parts of the span for the walk forward.")] = 6,
    jobs: Annotated[int | None, typer.Option(min=1, max=256, help="Processes; as many as cores.")] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the chosen values as configuration.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Try settings on the past: how often they ring, and what they catch."""
    from regimes.commands import tune as command  # noqa: PLC0415

    options = command.Options(
        source=source,
        start_ms=start,
        end_ms=end,
        symbols=_names(symbols),
        grid=tuple(grid or ()),
        budget=budget,
        folds=folds,
        jobs=jobs,
        write=write,
        as_json=as_json,
    )
    command.execute(settings_of(context), options)

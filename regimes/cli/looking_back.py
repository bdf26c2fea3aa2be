"""The commands that look back: score and report."""

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


Source = Annotated[
    Path | None, typer.Argument(metavar="[SOURCE]", help="Recordings to replay; the database when left out.")
]
Since = Annotated[
    int | None,
    typer.Option("--since", parser=_moment, metavar="TIME", help="From then on; or 7d: so long ago."),
]
Until = Annotated[int | None, typer.Option("--until", parser=_moment, metavar="TIME", help="Up to then.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel=Panel.PAST)(score)
    app.command(rich_help_panel=Panel.PAST)(report)


def score(
    context: typer.Context,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table there and store nothing.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="What the table calls its source, instead of its path."),
    ] = None,
) -> None:
    """Measure what followed each kind of event, against matched times without one."""
    from regimes.commands import score as command  # noqa: PLC0415  # keeps --help and --version quick

    command.execute(
        settings_of(context), source, since_ms=since, until_ms=until, as_json=as_json, out=out, name=name
    )


def report(
    context: typer.Context,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the HTML goes.")] = Path("report.html"),
) -> None:
    """Write one HTML file about a span: states, events, messages, deliveries, data, score."""
    from regimes.commands import report as command  # noqa: PLC0415

    command.execute(settings_of(context), source, since_ms=since, until_ms=until, as_json=as_json, out=out)

"""The commands that keep the data safe: `backup`, `restore`."""

from pathlib import Path
from typing import Annotated

import typer

from regimes.cli.invocation import settings_of
from regimes.cli.panels import Panel


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(rich_help_panel=Panel.DATA)(backup)
    app.command(rich_help_panel=Panel.DATA)(restore)


def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
) -> None:
    """Write the database to one file, while the service runs or not."""
    from regimes.commands import backup as command  # noqa: PLC0415  # keeps --help and --version quick

    command.back_up(settings_of(context), to)


def restore(
    context: typer.Context,
    copy: Annotated[Path, typer.Argument(metavar="FILE", help="What `regimes backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where there is data already, which is lost.")
    ] = False,
) -> None:
    """Put a backup in the place of the database; stop the service first."""
    from regimes.commands import backup as command  # noqa: PLC0415

    command.restore(settings_of(context), copy, replace=replace)

"""The command that puts load on a service."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from regimes.cli.panels import Panel


class Size(StrEnum):
    """A tier by its number of symbols."""

    THREE = "3"
    TEN = "10"
    FIFTY = "50"
    FIVE_HUNDRED = "500"


def register(app: typer.Typer) -> None:
    """Add it to the command line."""
    app.command("load-test", rich_help_panel=Panel.CHECK)(load_test)


def load_test(
    tier: Annotated[Size, typer.Option(help="Load and bars: symbols watched.")] = Size.THREE,
    symbols: Annotated[
        int | None, typer.Option(min=1, max=500, help="Symbols, instead of the tier's.")
    ] = None,
    per_second: Annotated[
        int | None, typer.Option(min=0, max=20_000, help="Liquidations a second, all the time.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option(min=0, max=100_000, help="Liquidations at once, every 10 s.")
    ] = None,
    viewers: Annotated[
        int | None, typer.Option(min=1, max=20_000, help="Readers of the event stream.")
    ] = None,
    shown: Annotated[
        int | None, typer.Option(min=0, max=500, help="Symbols each viewer asks for; 0 = all.")
    ] = None,
    endpoints: Annotated[int | None, typer.Option(min=1, max=200, help="Webhook endpoints.")] = None,
    duration: Annotated[
        int | None, typer.Option(min=10, max=86_400, metavar="SECONDS", help="How long (60).")
    ] = None,
    url: Annotated[
        str,
        typer.Option(metavar="URL", help="Only viewers, on this running service (token: DASHBOARD_TOKEN)."),
    ] = "",
    to: Annotated[
        Path, typer.Option(metavar="FILE", help="Add the outcome to this file of JSON lines.")
    ] = Path("load-test.jsonl"),
) -> None:
    """Put load on a private instance, or viewers on a running one, and say whether it keeps up."""
    from regimes.commands.load_test import run as command  # noqa: PLC0415  # keeps --help quick
    from regimes.commands.load_test.tiers import TIERS  # noqa: PLC0415

    known = TIERS[tier.value]
    given = {
        "symbols": symbols,
        "per_second": per_second,
        "burst": burst,
        "viewers": viewers,
        "shown": shown,
        "endpoints": endpoints,
        "seconds": duration,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    options = command.Options(
        title=f"load test, tier {tier.value}" + (f" on {url}" if url else ""),
        tier=known.changed(**changed),
        url=url.rstrip("/"),
        token=os.environ.get("DASHBOARD_TOKEN", ""),
        file=to,
    )
    raise typer.Exit(command.execute(options))

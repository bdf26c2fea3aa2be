"""The commands about history: `record`, `backfill`, `export`."""

from pathlib import Path
from typing import Annotated, Final, get_args

import typer

from regimes.cli.invocation import settings_of
from regimes.cli.panels import Panel
from regimes.clock import SystemClock
from regimes.commands.moments import moment_ms
from regimes.observations import DataKind

_END_MS: Final = 4_102_444_800_000
_TIMEFRAMES: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")


def _moment(text: str) -> int:
    try:
        return moment_ms(text, SystemClock().now_ms())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _each_of(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    found = _several(text)
    wrong = [part for part in found if part not in known]
    if wrong or not found:
        raise typer.BadParameter(f"{', '.join(wrong) or 'nothing'} is none of {', '.join(known)}")
    return found


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (record, backfill, export):
        app.command(rich_help_panel=Panel.DATA)(command)


def record(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Folder of the tape (tape.folder).")
    ] = None,
    kinds: Annotated[
        str, typer.Option(metavar="KINDS", help="Kinds of data, separated by commas, or all (tape.kinds).")
    ] = "",
    symbols: Annotated[
        str, typer.Option(metavar="SYMBOLS", help="Symbols, separated by commas (symbols).")
    ] = "",
) -> None:
    """Record what the exchange sends until SIGTERM or Ctrl-C: no engine, no database, no alerts."""
    from regimes.commands import record as command  # noqa: PLC0415  # keeps --help and --version quick

    known: tuple[DataKind, ...] = get_args(DataKind)
    chosen = known if kinds == "all" else _each_of(kinds, known) if kinds else ()
    command.execute(
        settings_of(context), folder, [kind for kind in known if kind in chosen], _several(symbols)
    )


def backfill(
    context: typer.Context,
    start: Annotated[
        int | None,
        typer.Option("--from", parser=_moment, metavar="TIME", help="Begin; or 730d: so long ago (365d)."),
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", parser=_moment, metavar="TIME", help="End (now).")
    ] = None,
    symbols: Annotated[
        str, typer.Option(metavar="SYMBOLS", help="Symbols, separated by commas, or top:N (symbols).")
    ] = "",
    folder: Annotated[Path, typer.Option("--to-dir", metavar="DIR", help="Folder to fill.")] = Path(
        "history"
    ),
    timeframes: Annotated[
        str, typer.Option(metavar="LIST", help="Bar lengths, separated by commas; replays need 1h.")
    ] = "1h",
    markets: Annotated[
        str, typer.Option(metavar="LIST", help="spot, um (USD-M perpetuals), or both.")
    ] = "spot,um",
    funding: Annotated[bool, typer.Option(help="Settled funding rates of the perpetuals too.")] = True,
    archive: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Read the exchange's public archive in this folder, no network."),
    ] = None,
) -> None:
    """Fill a folder with candles and funding; goes on where it stopped before."""
    from regimes.commands import backfill as command  # noqa: PLC0415
    from regimes.history.backfill.table import Span  # noqa: PLC0415

    now_ms = SystemClock().now_ms()
    first = start if start is not None else 0 if archive else moment_ms("365d", now_ms)
    last = end if end is not None else _END_MS if archive else now_ms
    if first >= last:
        raise typer.BadParameter("--from must be before --to")
    wanted = command.Wanted(
        folder,
        Span(first, last),
        _several(symbols),
        _each_of(timeframes, _TIMEFRAMES),
        _each_of(markets, ("spot", "um")),
        funding,
        archive,
    )
    raise typer.Exit(command.execute(settings_of(context), wanted))


def export(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder for the files, one a table.")],
    start: Annotated[
        int | None,
        typer.Option(
            "--from", parser=_moment, metavar="TIME", help="Rows from then on; or 30d: so long ago."
        ),
    ] = None,
    end: Annotated[
        int | None, typer.Option("--until", parser=_moment, metavar="TIME", help="Rows before.")
    ] = None,
    tables: Annotated[str, typer.Option(metavar="LIST", help="Tables, separated by commas (all).")] = "",
) -> None:
    """Write the tables of the database as Parquet."""
    from regimes.commands import export as command  # noqa: PLC0415
    from regimes.history.backfill.table import Span  # noqa: PLC0415

    span = Span(start or 0, _END_MS if end is None else end)
    command.execute(settings_of(context), folder, _several(tables), span)

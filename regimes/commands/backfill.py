"""`regimes backfill`: history from the exchange, or from its public archive, into a folder of recordings."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regimes.clock import MarketClock
from regimes.commands.output import console, rows_table
from regimes.commands.running import ExitCode, run_to_end
from regimes.config import Settings
from regimes.errors import ConfigError, VenueError
from regimes.events import iso_utc
from regimes.feeds.rest import RestFailedError
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.symbols import check_known
from regimes.feeds.top import resolve_symbols
from regimes.feeds.venue import Venue
from regimes.history.archive.convert import Conversion
from regimes.history.backfill.fetch import Backfill, Market, OnProgress, jobs_of
from regimes.history.backfill.report import FileReport
from regimes.history.backfill.table import Span
from regimes.logs import LogSettings, configure
from regimes.redact import Redactor

_log = structlog.get_logger(__name__)
_LONGEST_PAUSE_S: Final = 3600.0
_GAPS_SHOWN: Final = 5


class Wanted(msgspec.Struct, frozen=True):
    """What is asked for. symbols: empty for the configured ones, or all of an archive. markets: spot, um."""

    folder: Path
    span: Span
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    markets: tuple[str, ...]
    funding: bool = True
    archive: Path | None = None


def execute(settings: Settings, wanted: Wanted) -> ExitCode:
    """Fill the folder and say what it holds; CHECK_FAILED when something could not be had.

    Raises ConfigError, and VenueError when the exchange cannot be reached.
    """
    configure(LogSettings(level="WARNING"), redact=Redactor.of(settings))
    try:
        wanted.folder.mkdir(parents=True, exist_ok=True)
        with _progress() as progress:
            if wanted.archive is not None:
                return _convert(wanted, wanted.archive, progress)
            return run_to_end(_fetch(settings, wanted, progress))
    except OSError as error:
        raise ConfigError(f"{wanted.folder}: cannot be written ({error})") from error


def _convert(wanted: Wanted, archive: Path, progress: OnProgress) -> ExitCode:
    done = Conversion(
        archive,
        wanted.folder,
        wanted.span,
        symbols=wanted.symbols or None,
        timeframes=wanted.timeframes,
        markets=wanted.markets,
        funding=wanted.funding,
        progress=progress,
    ).run()
    if not done.files:
        raise ConfigError(
            f"--archive {archive}: no zip of the archive with these symbols and this time there"
        )
    _show(done.files)
    for words in done.refused:
        typer.echo(f"refused: {words}", err=True)
    if done.unverified:
        typer.echo(f"{done.unverified} files came without a checksum", err=True)
    return ExitCode.CHECK_FAILED if done.refused else ExitCode.OK


async def _fetch(settings: Settings, wanted: Wanted, progress: OnProgress) -> ExitCode:
    clock = MarketClock()
    # A backfill has time: it waits for whatever the exchange asks for.
    venues = settings.venues.model_copy(update={"rest_wait_max_seconds": _LONGEST_PAUSE_S})
    symbols = await resolve_symbols(wanted.symbols or settings.symbols, venues, clock)
    async with _markets(venues, wanted.markets, symbols, clock) as markets:
        jobs = jobs_of(markets, symbols, wanted.timeframes, funding=wanted.funding)
        backfill = Backfill(
            wanted.folder,
            wanted.span,
            clock,
            concurrency=min(4, venues.rest_concurrency),
            progress=progress,
        )
        reports = await backfill.run(jobs)
    _show(reports)
    failed = [report for report in reports if report.failed]
    for report in failed:
        typer.echo(f"not complete: {report.name}: {report.failed}", err=True)
    if failed:
        typer.echo("the same command again goes on where this one stopped", err=True)
    return ExitCode.CHECK_FAILED if failed else ExitCode.OK


@asynccontextmanager
async def _markets(
    settings: VenuesSettings, kinds: Sequence[str], symbols: Sequence[str], clock: MarketClock
) -> AsyncIterator[list[Market]]:
    """The markets of the configured venues, closed at the end. Raises VenueError, ConfigError for an unknown symbol."""
    names = {"spot": settings.spot, "um": settings.derivatives}
    venues = {
        kind: Venue(names[kind], settings, clock, sets_clock=kind == "spot") for kind in kinds if names[kind]
    }
    if not venues:
        raise ConfigError(
            f"--markets {','.join(kinds)}: no such venue is configured ([venues] spot, derivatives)"
        )
    try:
        for venue in venues.values():
            try:
                await venue.load()
            except RestFailedError as error:
                raise VenueError(
                    f"{venue.name} cannot be reached ({error}); check the network, or run `regimes doctor`"
                ) from error
        check_known(symbols, {venue.name: venue.symbols for venue in venues.values()})
        yield [
            Market("spot" if kind == "spot" else "um", venue.rest, venue.market_ids(symbols))
            for kind, venue in venues.items()
        ]
    finally:
        for venue in venues.values():
            await venue.close()


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar on a terminal, else a line each tenth; both on standard error."""
    if not sys.stderr.isatty():
        yield _tenths()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("history", total=None)

        def show(done: int, total: int, label: str) -> None:
            bar.update(task, completed=done, total=total, description=label)

        yield show


def _tenths() -> Callable[[int, int, str], None]:
    said = 0

    def say(done: int, total: int, label: str) -> None:
        nonlocal said
        if done * 10 // total > said:
            said = done * 10 // total
            typer.echo(f"{done} of {total} parts, {label}", err=True)

    return say


def _show(reports: Sequence[FileReport]) -> None:
    table = rows_table("file", "rows", "from", "to", "missing", "gaps", whole=("file",))
    for one in reports:
        shown = [f"{iso_utc(gap.from_ms)}..{iso_utc(gap.to_ms)}" for gap in one.gaps[:_GAPS_SHOWN]]
        more = len(one.gaps) - len(shown)
        words = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
        ends = ["" if ts is None else iso_utc(ts) for ts in (one.first_ms, one.last_ms)]
        table.add_row(one.name, f"{one.rows:,}", *ends, str(one.missing), words)
    console().print(table)

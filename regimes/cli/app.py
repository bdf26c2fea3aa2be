"""The commands that run, show and check; and every way in which one can fail."""

import sys
import traceback
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from regimes import __version__
from regimes.cli import alerts, load, looking_back, recordings, study, upkeep
from regimes.cli.invocation import Invocation, invocation_of, settings_of
from regimes.cli.panels import EXIT_CODES, Panel
from regimes.commands.running import ExitCode
from regimes.errors import ConfigError, DataError, StorageError, VenueError

app = typer.Typer(
    name="regimes",
    help="Tells, in seconds, what regime the crypto market is in.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Component(StrEnum):
    """What `selftest` can check by itself."""

    CASCADES = "cascades"
    FUNDING = "funding"
    VOLATILITY = "volatility"
    REGIMES = "regimes"
    CORRELATION = "correlation"
    WEBHOOKS = "webhooks"
    STORAGE = "storage"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"regimes {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (REGIMES_CONFIG).")
    ] = None,
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Tells, in seconds, what regime the crypto market is in."""
    invocation_of(context).config = config


@app.command(rich_help_panel=Panel.RUN)
def run(context: typer.Context) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    from regimes.commands import run as command  # noqa: PLC0415  # keeps --help and --version quick

    settings = settings_of(context)
    command.execute(settings, lambda: settings_of(context))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("a moment is written like 2025-01-27T13:00Z") from error
    return moment.replace(tzinfo=moment.tzinfo or UTC)


@app.command(rich_help_panel=Panel.RUN)
def demo(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Replay recorded data from this folder.")
    ] = None,
    start: Annotated[
        datetime | None, typer.Option("--from", parser=_moment, metavar="TIME", help="Begin of the replay.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", parser=_moment, metavar="TIME", help="End of the replay.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.1, max=3600, help="Seconds of market time in one second (60).")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="End after so much market time.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another synthetic market.")] = 6,
    scenario: Annotated[
        str, typer.Option(help="calm, cascade, funding-spike, vol-explosion, correlation-break or mixed.")
    ] = "mixed",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the dashboard; 0 = any free one (8000).")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one full combined package and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Run the whole service against an exchange on loopback; no key, no network."""
    from regimes.commands import demo as command  # noqa: PLC0415

    options = command.Options(
        data=data,
        start=start,
        end=end,
        speed=speed,
        duration_s=duration,
        seed=seed,
        scenario=scenario,
        port=port,
        once=once,
        as_json=as_json,
    )
    raise typer.Exit(command.execute(settings_of(context), options))


@app.command(rich_help_panel=Panel.RUN)
def features(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compute the combined package once for the configured symbols and print it."""
    from regimes.commands import features as command  # noqa: PLC0415

    command.execute(settings_of(context), as_json=as_json)


@app.command("check-config", rich_help_panel=Panel.CHECK)
def check_config(context: typer.Context) -> None:
    """Print the values in effect, where each came from, and what the start will cost."""
    from regimes.commands import check_config as command  # noqa: PLC0415

    command.execute(settings_of(context))


@app.command(rich_help_panel=Panel.CHECK)
def doctor(context: typer.Context) -> None:
    """Say what is wrong with configuration, network, clock, disk, database and endpoints, and what to do."""
    from regimes.commands import doctor as command  # noqa: PLC0415

    raise typer.Exit(command.execute(invocation_of(context).config))


@app.command(rich_help_panel=Panel.CHECK)
def selftest(
    full: Annotated[
        bool, typer.Option("--full", help="Also the whole pipeline, a burst and a broken connection.")
    ] = False,
    component: Annotated[Component | None, typer.Option(help="Check one part only.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show each value.")] = False,
) -> None:
    """Check this installation; exit code 1 on any failure."""
    from regimes.commands import selftest as command  # noqa: PLC0415

    raise typer.Exit(command.execute(component.value if component else None, full=full, verbose=verbose))


alerts.register(app)
recordings.register(app)
study.register(app)
looking_back.register(app)
load.register(app)
upkeep.register(app)


def main() -> None:
    """Run the command line; every way to fail has its exit code and its words on standard error."""
    invocation = Invocation()
    try:
        app(obj=invocation)
    except ConfigError as error:
        _fail("configuration", str(error), ExitCode.CONFIG, invocation)
    except VenueError as error:
        _fail("exchange", str(error), ExitCode.VENUE, invocation)
    except StorageError as error:
        _fail("database", str(error), ExitCode.STORAGE, invocation)
    except DataError as error:
        _fail("data", str(error), ExitCode.CONFIG, invocation)
    except Exception:  # noqa: BLE001  # the last place: a bug is shown whole and has its own exit code
        _fail("bug", traceback.format_exc(), ExitCode.BUG, invocation)


def _fail(about: str, words: str, code: ExitCode, invocation: Invocation) -> None:
    for line in invocation.redact(words).splitlines():
        typer.echo(line if code is ExitCode.BUG else f"{about}: {line}", err=True)
    sys.exit(code)

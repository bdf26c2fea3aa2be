"""The commands about alerts: events, deliveries, endpoints, silences, test messages."""

from enum import StrEnum
from typing import Annotated

import typer

from regimes.cli.invocation import settings_of
from regimes.cli.panels import Panel
from regimes.clock import SystemClock
from regimes.commands.moments import moment_ms, span_ms
from regimes.events import EventType, Severity
from regimes.storage.base import DeliveryStatus, EventQuery


class Level(StrEnum):
    """A severity by its name."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


def _moment(text: str) -> int:
    try:
        return moment_ms(text, SystemClock().now_ms())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _span(text: str) -> int:
    try:
        return span_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _group(name: str, help_text: str) -> typer.Typer:
    return typer.Typer(name=name, help=help_text, invoke_without_command=True, pretty_exceptions_enable=False)


events = _group("events", "List what was seen; `show ID` tells all about one.")
deliveries = _group("deliveries", "List every message to every endpoint; `replay` sends some again.")
endpoints = _group("endpoints", "List the endpoints and how each stands; `enable NAME` sends to one again.")
silence = _group("silence", "Hold alerts back for a while; lists what is held back.")

Type = typer.Option("--type", metavar="TYPE", case_sensitive=False, help="Only this type of event.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Show so many at most.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for group in (events, deliveries, endpoints, silence):
        app.add_typer(group, rich_help_panel=Panel.ALERTS)
    app.command("test-webhooks", rich_help_panel=Panel.CHECK)(try_webhooks)


@events.callback()
def list_events(
    context: typer.Context,
    kind: Annotated[EventType | None, Type] = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol, such as BTC/USDT or ALL.")] = None,
    severity: Annotated[
        Level | None,
        typer.Option(metavar="LEVEL", case_sensitive=False, help="Only INFO, WARNING or CRITICAL."),
    ] = None,
    start: Annotated[
        int | None,
        typer.Option("--from", parser=_moment, metavar="TIME", help="Begun at or after; or 4h: so long ago."),
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", parser=_moment, metavar="TIME", help="Begun before.")
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List what was seen, the newest first; `show ID` tells all about one."""
    if context.invoked_subcommand is not None:
        return
    from regimes.commands import events as command  # noqa: PLC0415  # keeps --help and --version quick

    query = EventQuery(
        event_type=kind,
        symbol=symbol,
        severity=severity,
        from_ms=start,
        to_ms=end,
        limit=limit,
    )
    command.execute(settings_of(context), query, as_json=as_json)


@events.command("show")
def show_event(
    context: typer.Context,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="As `regimes events` shows it.")],
    as_json: Json = False,
) -> None:
    """Show one event with every decision, delivery and attempt."""
    from regimes.commands import events as command  # noqa: PLC0415

    raise typer.Exit(command.show(settings_of(context), event_id, as_json=as_json))


@events.command("schema")
def schema() -> None:
    """Print the JSON Schema of the event that webhooks carry."""
    from regimes.commands import events as command  # noqa: PLC0415

    command.schema()


@deliveries.callback()
def list_deliveries(
    context: typer.Context,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only those that stand so.")] = None,
    event: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this event.")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List every message to every endpoint, the newest first; `replay` sends some again."""
    if context.invoked_subcommand is not None:
        return
    from regimes.commands import deliveries as command  # noqa: PLC0415

    command.execute(settings_of(context), event_id=event, status=status, limit=limit, as_json=as_json)


@deliveries.command("replay")
def replay(
    context: typer.Context,
    delivery: Annotated[str | None, typer.Argument(metavar="[ID]", help="This one.")] = None,
    since: Annotated[
        int | None,
        typer.Option(parser=_moment, metavar="TIME", help="All made since then; or 4h: so long ago."),
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
) -> None:
    """Send deliveries again: one, all since a time, or all that were given up."""
    if [delivery is not None, since is not None, dead].count(True) != 1:
        raise typer.BadParameter("name one thing to send again: a delivery's ID, --since TIME, or --dead")
    from regimes.commands import deliveries as command  # noqa: PLC0415

    raise typer.Exit(command.replay(settings_of(context), delivery_id=delivery, since_ms=since))


@endpoints.callback()
def list_endpoints(context: typer.Context, as_json: Json = False) -> None:
    """List the endpoints and how each stands; `enable NAME` sends to one again."""
    if context.invoked_subcommand is not None:
        return
    from regimes.commands import endpoints as command  # noqa: PLC0415

    command.execute(settings_of(context), as_json=as_json)


@endpoints.command("enable")
def enable(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `regimes endpoints` shows it.")],
) -> None:
    """Send to a disabled or failing endpoint again."""
    from regimes.commands import endpoints as command  # noqa: PLC0415

    command.enable(settings_of(context), name)


@silence.callback()
def list_silences(context: typer.Context) -> None:
    """Hold alerts back for a while; without more it lists what is held back."""
    if context.invoked_subcommand is None:
        silence_list(context)


@silence.command("list")
def silence_list(
    context: typer.Context,
    expired: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: Json = False,
) -> None:
    """List the silences in force."""
    from regimes.commands import silences as command  # noqa: PLC0415

    command.show(settings_of(context), expired=expired, as_json=as_json)


@silence.command("add")
def silence_add(
    context: typer.Context,
    length: Annotated[
        int, typer.Option("--for", parser=_span, metavar="SPAN", help="How long, such as 30m, 4h or 2d.")
    ],
    kind: Annotated[EventType | None, Type] = None,
    symbol: Annotated[str, typer.Option(help="Only this symbol, such as BTC/USDT or ALL.")] = "",
    up_to: Annotated[
        Level,
        typer.Option(
            "--up-to", metavar="LEVEL", case_sensitive=False, help="More severe events are sent all the same."
        ),
    ] = Level.CRITICAL,
    comment: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "",
) -> None:
    """Hold matching events back: they are stored and shown but not sent. Without a matcher, all of them."""
    from regimes.commands import silences as command  # noqa: PLC0415

    command.add(
        settings_of(context),
        event_type=kind or "",
        symbol=symbol,
        up_to=Severity[up_to],
        for_ms=length,
        comment=comment,
    )


@silence.command("remove")
def silence_remove(
    context: typer.Context,
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="As `regimes silence list` shows it.")],
) -> None:
    """End a silence now."""
    from regimes.commands import silences as command  # noqa: PLC0415

    raise typer.Exit(command.remove(settings_of(context), silence_id))


def try_webhooks(
    context: typer.Context,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one, as `regimes endpoints` names it.")
    ] = None,
    kind: Annotated[EventType | None, Type] = None,
) -> None:
    """Send one of each event, marked as a test, and show each answer; exit code 1 when one was not delivered."""
    from regimes.commands import webhooks as command  # noqa: PLC0415

    raise typer.Exit(command.execute(settings_of(context), endpoint=endpoint, kind=kind))

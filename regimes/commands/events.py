"""`regimes events`: what was seen, what was decided about it, and what became of each message."""

import json
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from regimes.commands.database import with_database
from regimes.commands.deliveries import attempt_row, delivery_row, told_table
from regimes.commands.output import console, rows_table
from regimes.commands.running import ExitCode
from regimes.config import Settings, render
from regimes.events import EventBody, iso_utc
from regimes.storage.base import EventPage, EventQuery, Storage

_STYLES = {"INFO": "cyan", "WARNING": "yellow", "CRITICAL": "bold red"}
_DELIVERIES_SHOWN = 100


def execute(settings: Settings, query: EventQuery, *, as_json: bool) -> None:
    """List episodes by their newest state, the newest episode first."""
    page: EventPage = with_database(settings, lambda storage: storage.events(query))
    if as_json:
        for event in page.events:
            typer.echo(msgspec.json.encode(event))
        return
    shown = console()
    if not page.events:
        shown.print("no events")
        return
    shown.print(_table(page))
    if page.cursor is not None:
        shown.print(
            f"There are more: --limit shows more, --to {page.events[-1].started} those before.",
            highlight=False,
        )


def show(settings: Settings, event_id: str, *, as_json: bool) -> ExitCode:
    """Show one event with every decision, delivery and attempt; CHECK_FAILED when there is none."""
    whole = with_database(settings, lambda storage: _whole(storage, event_id))
    if whole is None:
        typer.echo(
            f"there is no event {event_id} (any more): `regimes events` lists those there are", err=True
        )
        return ExitCode.CHECK_FAILED
    if as_json:
        typer.echo(msgspec.json.encode(whole))
    else:
        _print(console(), whole)
    return ExitCode.OK


def schema() -> None:
    """Print the JSON Schema of an event's body."""
    typer.echo(render.schema(), nl=False)


async def _whole(storage: Storage, event_id: str) -> dict[str, Any] | None:
    event = await storage.event(event_id)
    if event is None:
        return None
    deliveries = await storage.deliveries(event_id=event_id, status=None, limit=_DELIVERIES_SHOWN)
    return {
        "event": event,
        "decisions": await storage.decisions(event_id),
        "deliveries": [
            {**delivery_row(one), "attempts": [attempt_row(a) for a in await storage.attempts(one.id)]}
            for one in reversed(deliveries)
        ],
    }


def _table(page: EventPage) -> Table:
    table = rows_table("started", "severity", "type", "symbol", "phase", "what", "id", whole=("id", "type"))
    for event in page.events:
        cells = (event.started, event.severity, event.event_type, event.symbol, event.phase, event.title)
        style = "dim" if event.phase == "closed" else _STYLES.get(event.severity, "")
        table.add_row(*(Text(cell) for cell in (*cells, event.id)), style=style)
    return table


def _print(shown: Console, whole: dict[str, Any]) -> None:
    event: EventBody = whole["event"]
    shown.print(Text(f"{event.severity} {event.event_type} {event.symbol} {event.phase}: {event.title}"))
    for words in (
        event.description,
        f"why: {event.why}",
        f"from {event.started} to {event.timestamp}, state {event.revision}, {event.id}",
    ):
        shown.print(Text(words))
    shown.print(Text(json.dumps(event.data, ensure_ascii=False)), style="dim")
    decisions = rows_table("decided", "endpoint", "action", "reason", "in words", title="Decisions")
    for one in whole["decisions"]:
        cells = (iso_utc(one.ts_ms), one.endpoint, one.action.value, one.reason.value, one.words)
        decisions.add_row(*(Text(cell) for cell in cells))
    shown.print(decisions if whole["decisions"] else "No decision: no endpoint takes events of this kind.")
    if whole["deliveries"]:
        shown.print(told_table(whole["deliveries"]))

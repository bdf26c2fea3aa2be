"""`regimes deliveries`: every message to every endpoint, and sending some of them again."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from regimes.clock import SystemClock
from regimes.commands.database import with_database
from regimes.commands.endpoints import parked
from regimes.commands.output import console, rows_table
from regimes.commands.running import ExitCode
from regimes.config import Settings
from regimes.events import iso_utc
from regimes.storage.base import Attempt, Delivery, DeliveryStatus, Storage
from regimes.timeframe import HOUR_MS, MINUTE_MS

_STYLES = {"delivered": "green", "dead": "bold red", "expired": "red", "superseded": "dim"}


def execute(
    settings: Settings, *, event_id: str | None, status: str | None, limit: int, as_json: bool
) -> None:
    """List deliveries with the answer to the last attempt of each, the newest first."""

    async def listed(storage: Storage) -> list[dict[str, Any]]:
        found = await storage.deliveries(event_id=event_id, status=status, limit=limit)
        return [
            {**delivery_row(one), "attempts": [attempt_row(a) for a in await storage.attempts(one.id)]}
            for one in found
        ]

    rows = with_database(settings, listed)
    if as_json:
        for row in rows:
            typer.echo(msgspec.json.encode(row))
        return
    console().print(_table(rows) if rows else "no deliveries")


def replay(settings: Settings, *, delivery_id: str | None, since_ms: int | None) -> ExitCode:
    """Send one delivery, all since a time, or (neither given) all dead ones again; CHECK_FAILED where none was found.

    The running service takes them up within seconds, a stopped one when it starts.
    """
    now_ms = SystemClock().now_ms()
    delivery = settings.delivery
    longest_ms = max(delivery.chat_expiry_minutes * MINUTE_MS, delivery.json_expiry_hours * HOUR_MS)

    async def again(storage: Storage) -> tuple[int, Mapping[str, str]]:
        found = await storage.replay(
            now_ms=now_ms,
            delivery_id=delivery_id,
            since_ms=since_ms,
            expires_at_ms=now_ms + round(longest_ms),
        )
        return found, await parked(settings, storage)

    found, disabled = with_database(settings, again)
    if not found:
        which = "to send again" if delivery_id is None else f"{delivery_id}, or it is being sent just now"
        typer.echo(f"there is no delivery {which}", err=True)
        return ExitCode.CHECK_FAILED
    typer.echo("1 delivery is sent again" if found == 1 else f"{found:,} deliveries are sent again")
    for name, reason in disabled.items():
        typer.echo(f"{name} is disabled ({reason}): run `regimes endpoints enable {name}` first", err=True)
    return ExitCode.OK


def delivery_row(delivery: Delivery) -> dict[str, Any]:
    """A delivery as people and programs see it: all but the message itself."""
    row: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(delivery, message=b""))
    del row["message"]
    return row


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """An attempt without what its delivery says already."""
    row: dict[str, Any] = msgspec.to_builtins(attempt)
    return {key: value for key, value in row.items() if key not in {"delivery_id", "endpoint"}}


def answer(attempt: Mapping[str, Any]) -> str:
    """Say how one try ended."""
    code = attempt["status_code"]
    note = attempt["note"] or ("" if code is None else f"HTTP {code}")
    again = " (replay)" if attempt["is_replay"] else ""
    return ", ".join(filter(None, [attempt["outcome"], note, f"{attempt['duration_ms']} ms"])) + again


def told_table(deliveries: Sequence[Mapping[str, Any]]) -> Table:
    """Deliveries of one event, a row for each attempt."""
    table = rows_table("delivery", "status", "try", "at", "answer", title="Deliveries", whole=("delivery",))
    for delivery in deliveries:
        attempts = delivery["attempts"] or [None]
        for place, attempt in enumerate(attempts):
            head = (delivery["id"], delivery["status"]) if not place else ("", "")
            tail = (
                (str(attempt["attempt"]), iso_utc(attempt["started_ms"]), answer(attempt))
                if attempt
                else ("-", "-", _waiting(delivery))
            )
            table.add_row(*(Text(cell) for cell in (*head, *tail)), style=_STYLES.get(delivery["status"], ""))
    return table


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = rows_table("created", "endpoint", "status", "tries", "last answer", "id", whole=("id",))
    for row in rows:
        said = answer(row["attempts"][-1]) if row["attempts"] else ""
        words = "; ".join(filter(None, [said, _waiting(row)]))
        cells = (
            iso_utc(row["created_ms"]),
            row["endpoint"],
            row["status"],
            str(len(row["attempts"])),
            words,
            row["id"],
        )
        table.add_row(*(Text(cell) for cell in cells), style=_STYLES.get(row["status"], ""))
    return table


def _waiting(delivery: Mapping[str, Any]) -> str:
    if delivery["status"] != DeliveryStatus.PENDING:
        return ""
    return f"next try {iso_utc(delivery['next_at_ms'])}"

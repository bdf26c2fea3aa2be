"""`regimes silence`: what is stored and shown but not sent for a while."""

from uuid import uuid4

import msgspec
import typer
from rich.text import Text

from regimes.alerting.records import Silence
from regimes.clock import SystemClock
from regimes.commands.database import with_database
from regimes.commands.output import console, rows_table
from regimes.commands.running import ExitCode
from regimes.config import Settings
from regimes.events import Severity, iso_utc
from regimes.storage.base import Storage


def add(
    settings: Settings, *, event_type: str, symbol: str, up_to: Severity, for_ms: int, comment: str
) -> None:
    """Hold matching events back from now on; an empty matcher matches everything."""
    now_ms = SystemClock().now_ms()
    silence = Silence(
        id=f"sil_{uuid4().hex[:12]}",
        created_ms=now_ms,
        until_ms=now_ms + for_ms,
        comment=comment,
        event_type=event_type,
        symbol=symbol,
        up_to=up_to,
    )
    with_database(settings, lambda storage: storage.put_silence(silence))
    typer.echo(f"{silence.id}: {matched(silence)} is not sent until {iso_utc(silence.until_ms)}")


def show(settings: Settings, *, expired: bool, as_json: bool) -> None:
    """List the silences in force; expired: also those that are over."""
    now_ms = SystemClock().now_ms()

    async def listed(storage: Storage) -> list[Silence]:
        return [one for one in await storage.silences() if expired or one.until_ms > now_ms]

    silences = with_database(settings, listed)
    if as_json:
        for silence in silences:
            typer.echo(msgspec.json.encode({**msgspec.to_builtins(silence), "up_to": silence.up_to.name}))
        return
    if not silences:
        typer.echo("no silences")
        return
    table = rows_table("id", "what is not sent", "until", "comment", whole=("id",))
    for silence in silences:
        cells = (silence.id, matched(silence), iso_utc(silence.until_ms), silence.comment)
        table.add_row(*(Text(cell) for cell in cells), style="" if silence.until_ms > now_ms else "dim")
    console().print(table)


def remove(settings: Settings, silence_id: str) -> ExitCode:
    """End a silence now; CHECK_FAILED when there is none of this id."""
    if with_database(settings, lambda storage: storage.delete_silence(silence_id)):
        typer.echo(f"{silence_id} is over")
        return ExitCode.OK
    typer.echo(f"there is no silence {silence_id}: `regimes silence list` shows those there are", err=True)
    return ExitCode.CHECK_FAILED


def matched(silence: Silence) -> str:
    """Say what a silence holds back."""
    what = " ".join(
        filter(None, [silence.event_type or "everything", silence.symbol and f"of {silence.symbol}"])
    )
    return what if silence.up_to is Severity.CRITICAL else f"{what} up to {silence.up_to.name}"

"""Measures what followed events, prints it, and keeps it for the events to come."""

from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.text import Text

from regimes.alerting.track_record import FEW, POOLED, Effect, Group, ScoreTable
from regimes.clock import SystemClock
from regimes.commands.database import with_database
from regimes.commands.output import console, rows_table
from regimes.commands.progress import bar
from regimes.config import Settings
from regimes.errors import DataError, StorageError
from regimes.events import iso_utc
from regimes.history import open_source
from regimes.storage.base import ScoreRow
from regimes.study.past import Past, replayed, stored
from regimes.study.score.table import onsets, score
from regimes.timeframe import DAY_MS

STORED_DAYS: Final = 730
_SHOWN_H: Final = 24
_SHOWN: Final = (
    ("volatility", "volatility"),
    ("return", "return"),
    ("drawdown", "drawdown"),
    ("funding", "funding"),
)


def execute(
    settings: Settings,
    source: Path | None,
    *,
    since_ms: int | None,
    until_ms: int | None,
    as_json: bool,
    out: Path | None,
    name: str | None = None,
) -> None:
    """Score the stored events, or those of a replay.

    out: write the table there and store nothing. name: what the table calls its source.

    Raises ConfigError, DataError and StorageError.
    """
    past = past_of(settings, source, since_ms=since_ms, until_ms=until_ms)
    table = table_of(past)
    if past.states and not table.is_measured:
        raise DataError(
            f"{table.source}: there are events, but no prices of their times, so nothing can be measured: `run` keeps "
            f"candles in {settings.storage.cache_dir} (storage.cache_dir) from some months before its first start on. Score "
            "recordings instead: `regimes backfill`, then `regimes score FOLDER`"
        )
    if name is not None:
        table = msgspec.structs.replace(table, source=name)
    if as_json:
        typer.echo(msgspec.json.encode(table))
    else:
        _print(table)
    if out is not None:
        out.write_bytes(msgspec.json.encode(table) + b"\n")
        return
    _keep(settings, table, must=source is None)


def past_of(settings: Settings, source: Path | None, *, since_ms: int | None, until_ms: int | None) -> Past:
    """The span to look at: of a source all of it, of the database two years, where nothing else is asked."""
    if source is not None:
        opened = open_source(source)
        first_ms, end_ms = opened.span()
        with bar("replaying", since_ms or first_ms, until_ms or end_ms) as told:
            return replayed(opened, settings, since_ms, until_ms, told)
    to_ms = until_ms or SystemClock().now_ms()
    from_ms = to_ms - STORED_DAYS * DAY_MS if since_ms is None else since_ms
    return with_database(settings, lambda storage: stored(storage, settings, from_ms, to_ms))


def table_of(past: Past) -> ScoreTable:
    """What followed the events of a span."""
    with bar("measuring", 0, None) as told:
        return score(
            onsets(past.states, past.symbols),
            past.series,
            source=past.source,
            settings=past.settings,
            from_ms=past.from_ms,
            to_ms=past.to_ms,
            progress=lambda done, _of: told(done),
        )


def _keep(settings: Settings, table: ScoreTable, *, must: bool) -> None:
    """Store the table. must: whether it is an error that there is no database."""
    row = ScoreRow(
        made_ms=SystemClock().now_ms(),
        from_ms=table.from_ms,
        to_ms=table.to_ms,
        source=table.source,
        settings=table.settings,
        body=msgspec.json.encode(table),
    )
    try:
        with_database(settings, lambda storage: storage.put_score(row))
    except StorageError as error:
        if must:
            raise
        typer.echo(f"not stored: {error}", err=True)


def _print(table: ScoreTable) -> None:
    shown = console()
    shown.print(
        f"{table.events} events from {iso_utc(table.from_ms)} to {iso_utc(table.to_ms)}, {table.source}, settings {table.settings}",
        highlight=False,
    )
    rows = rows_table("events like", "symbol", "n", "weeks", *(f"{_SHOWN_H} h {name}" for name, _ in _SHOWN))
    for group in table.groups:
        rows.add_row(*(Text(cell) for cell in _row(group)))
    shown.print(rows)
    shown.print(
        f"Against matched times without such an event; * = beyond chance in the whole table (false discovery rate 5 %). "
        f"Fewer than {FEW} events show nothing. docs/scoring.md says how.",
        highlight=False,
    )


def _row(group: Group) -> list[str]:
    told = [group.effect(outcome, _SHOWN_H) for _, outcome in _SHOWN]
    first = next((effect for effect in told if effect is not None), None)
    counted = (str(first.n), str(first.weeks)) if first else ("0", "0")
    name = f"{group.event_type} {group.variant}".strip()
    return [name, group.symbol if group.symbol != POOLED else "any", *counted, *map(cell, told)]


def cell(effect: Effect | None) -> str:
    """An effect as it stands in a table."""
    if effect is None or effect.effect is None or effect.ci is None:
        return "too few" if effect is not None and effect.n else "-"
    low, high = effect.ci
    star = "*" if effect.is_evident else ""
    if effect.scale == "ratio":
        return f"{effect.effect:.2f}x ({low:.2f} to {high:.2f}){star}"
    return f"{effect.effect:+.3%} ({low:+.3%} to {high:+.3%}){star}"

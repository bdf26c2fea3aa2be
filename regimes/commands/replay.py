"""`regimes replay`: what the settings would have said of the past."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from regimes.alerting.records import Action, Decision
from regimes.commands.database import with_database
from regimes.commands.moments import moment_ms
from regimes.commands.output import console, rows_table
from regimes.commands.running import run_to_end
from regimes.config import Settings, load
from regimes.events import Event, EventBody, EventType, Severity, body, iso_utc
from regimes.history import Source, open_source
from regimes.pipeline.alerts import endpoints_of, routes
from regimes.storage.base import EventQuery, Step, Storage
from regimes.storage.factory import database_for
from regimes.study.compare import Alert, Difference, alerts, compare
from regimes.study.replay import BEFORE_MS, Replay, choose_span, replay
from regimes.timeframe import WEEK_MS

_STYLES: Final = {"INFO": "cyan", "WARNING": "yellow", "CRITICAL": "bold red"}
_SIGNS: Final = {"added": "+", "lost": "-", "moved": "~"}
_CHANGED: Final = {"added": "green", "lost": "red", "moved": "yellow"}
_PAGE: Final = 500


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    source: Path
    start_ms: int | None = None
    end_ms: int | None = None
    symbols: tuple[str, ...] | None = None
    config: Path | None = None
    as_json: bool = False
    diff: bool = False
    store: bool = False
    everything: bool = False


def execute(settings: Settings, options: Options) -> None:
    """Replay and print; or compare, or store. Raises ConfigError, DataError and StorageError."""
    source = open_source(options.source)
    chosen = settings if options.config is None else load(options.config)
    done = _replayed(source, chosen, options)
    if options.store:
        _store(chosen, done)
    if options.diff:
        if options.config is None:
            before = with_database(settings, lambda storage: _stored(storage, done))
        else:
            before = alerts(_replayed(source, settings, options).messages)
        _print_differences(compare(before, alerts(done.messages)), before, as_json=options.as_json)
    elif options.as_json:
        _print_lines(done)
    else:
        _print_tables(console(), source, done, everything=options.everything)


def _replayed(source: Source, settings: Settings, options: Options) -> Replay:
    from_ms, to_ms = choose_span(source, options.start_ms, options.end_ms)
    endpoints = endpoints_of(settings)
    with shown_progress(from_ms, to_ms) as progress:
        return replay(
            source,
            settings,
            from_ms,
            to_ms,
            symbols=options.symbols,
            routes=routes(endpoints, settings) or None,
            progress=progress,
        )


@contextmanager
def shown_progress(from_ms: int, to_ms: int) -> Iterator[Callable[[int], None]]:
    """Show a bar over market time on standard error, where that is a terminal."""
    shown = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("warming up", total=to_ms - from_ms)

        def progress(now_ms: int) -> None:
            words = iso_utc(now_ms)[:10] if now_ms >= from_ms else "warming up"
            bar.update(task, completed=max(0, now_ms - from_ms), description=words)

        yield progress


def _print_lines(done: Replay) -> None:
    answers = _answers(done)
    for item in done.events:
        line = {
            **msgspec.to_builtins(body(item.event)),
            "at": iso_utc(item.ts_ms),
            "decisions": [
                {"endpoint": one.endpoint, "action": one.action, "reason": one.reason, "words": one.words}
                for one in answers[item.event.id, item.event.revision]
            ],
        }
        typer.echo(msgspec.json.encode(line))


def _print_tables(shown: Console, source: Source, done: Replay, *, everything: bool) -> None:
    answers = _answers(done)
    table = rows_table(
        "time", "severity", "type", "symbol", "phase", "what", "answer", whole=("time", "type")
    )
    for item in done.events:
        own = answers[item.event.id, item.event.revision]
        if everything or any(one.action is Action.SEND for one in own):
            _add_row(table, item.ts_ms, item.event, own)
    shown.print(table if table.row_count else "no alerts")
    shown.print(_summary(done))
    weeks = (done.to_ms - done.from_ms) / WEEK_MS
    shown.print(
        f"{source.name}, {', '.join(done.symbols)}, {iso_utc(done.from_ms)} to {iso_utc(done.to_ms)}: "
        f"{done.observations:,} observations, {len(done.events):,} events, {len(done.messages):,} messages "
        f"({len(done.messages) / weeks:.1f} a week)",
        highlight=False,
        soft_wrap=True,
    )
    for (kind, reason), count in sorted(done.rejected.items()):
        shown.print(f"refused: {count} {kind} ({reason})", highlight=False)


def _add_row(table: Table, ts_ms: int, event: Event, answers: Sequence[Decision]) -> None:
    said = ", ".join(dict.fromkeys(f"{one.action} ({one.reason})" for one in answers))
    cells = (
        iso_utc(ts_ms),
        event.severity.name,
        event.type.value,
        event.symbol,
        event.phase,
        event.title,
        said,
    )
    table.add_row(*map(Text, cells), style=_STYLES[event.severity.name])


def _summary(done: Replay) -> Table:
    """How many events of each type there were, and what became of them."""
    table = rows_table("type", "episodes", "events", "sent", "edited", "held back", "why")
    kinds = {item.event.id: item.event.type for item in done.events}
    for kind in EventType:
        events = [item.event for item in done.events if item.event.type is kind]
        if not events:
            continue
        actions = Counter(one.action for one in done.decisions if kinds.get(one.event_id) is kind)
        reasons = Counter(
            one.reason.value
            for one in done.decisions
            if kinds.get(one.event_id) is kind and one.action in {Action.SUPPRESS, Action.DIGEST, Action.HOLD}
        )
        held = actions[Action.SUPPRESS] + actions[Action.DIGEST] + actions[Action.HOLD]
        numbers = (
            len({event.id for event in events}),
            len(events),
            actions[Action.SEND],
            actions[Action.EDIT],
            held,
        )
        words = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        table.add_row(kind.value, *(f"{number:,}" for number in numbers), words)
    return table


def _answers(done: Replay) -> Mapping[tuple[str, int], list[Decision]]:
    found: dict[tuple[str, int], list[Decision]] = defaultdict(list)
    for one in done.decisions:
        found[one.event_id, one.revision].append(one)
    return found


def _print_differences(found: Sequence[Difference], before: Sequence[Alert], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            typer.echo(
                msgspec.json.encode(
                    {"change": one.change, "before": _row(one.before), "after": _row(one.after)}
                )
            )
        return
    shown = console()
    table = rows_table("", "sent", "severity", "type", "symbol", "what", "before", whole=("sent", "type"))
    for one in found:
        alert, was = one.alert, one.before if one.change == "moved" else None
        cells = (
            _SIGNS[one.change],
            iso_utc(alert.sent_ms),
            alert.severity.name,
            alert.event_type,
            alert.symbol,
            alert.title,
            "" if was is None else f"{iso_utc(was.sent_ms)} {was.severity.name}",
        )
        table.add_row(*map(Text, cells), style=_CHANGED[one.change])
    shown.print(table if found else "no difference")
    counts = Counter(one.change for one in found)
    words = ", ".join(f"{counts[change]} {change}" for change in ("added", "lost", "moved"))
    shown.print(f"{words}; {len(before)} alerts before", highlight=False)


def _row(alert: Alert | None) -> Mapping[str, Any] | None:
    if alert is None:
        return None
    row: dict[str, Any] = msgspec.structs.asdict(alert)
    times = {"started": iso_utc(row.pop("started_ms")), "sent": iso_utc(row.pop("sent_ms"))}
    return {**row, "severity": alert.severity.name, **times}


async def _stored(storage: Storage, done: Replay) -> list[Alert]:
    """The alerts of the same span in the database; those about the service itself are no part of a replay."""
    found: list[Alert] = []
    cursor: str | None = None
    while True:
        query = EventQuery(from_ms=done.from_ms - BEFORE_MS, to_ms=done.to_ms, limit=_PAGE, cursor=cursor)
        page = await storage.events(query)
        for event in page.events:
            sent = [
                one.ts_ms
                for one in await storage.decisions(event.id)
                if one.action is Action.SEND and done.from_ms <= one.ts_ms <= done.to_ms
            ]
            if sent and event.source != "SYSTEM":
                found.append(_alert(event, min(sent)))
        cursor = page.cursor
        if cursor is None:
            return found


def _alert(event: EventBody, sent_ms: int) -> Alert:
    started_ms = moment_ms(event.started, 0)
    severity = Severity[event.severity]
    return Alert(event.id, event.event_type, event.symbol, started_ms, sent_ms, severity, event.title)


def _store(settings: Settings, done: Replay) -> None:
    run_to_end(_commit(database_for(settings.storage.url.get_secret_value()), done))


async def _commit(database: Storage, done: Replay) -> None:
    answers = _answers(done)
    events = [item.event for item in done.events]
    known = {(event.id, event.revision) for event in events}
    # What the policy says of its own (bursts, digests) is an event as well.
    own = {(m.event.id, m.event.revision): m.event for m in done.messages}
    events += [event for key, event in own.items() if key not in known]
    await database.open()
    try:
        for first in range(0, len(events), _PAGE):
            part = events[first : first + _PAGE]
            decisions = [one for event in part for one in answers[event.id, event.revision]]
            await database.commit(Step(events=[body(event) for event in part], decisions=decisions))
    finally:
        await database.close()

"""`python -m bench.alert_load`: messages a week on recorded markets, with raw thresholds and as shipped.

The engine runs once; the policy then answers the same events with several settings.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from regimes.alerting.records import Reason
from regimes.alerting.settings import AlertingSettings
from regimes.config.settings import settings_type
from regimes.events import EventType, Phase, Severity, iso_utc
from regimes.features.base import Feature
from regimes.features.liquidation_cascade import LiquidationCascade
from regimes.history import ParquetSource
from regimes.study import Message, Replay, judge, replay
from regimes.study.verdicts import one_for_all
from regimes.timeframe import DAY_MS, HOUR_MS


class Span(NamedTuple):
    """A stretch of time, the end not in it."""

    start_ms: int
    end_ms: int


SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
JUDGED: Final = Span(1_672_531_200_000, 1_738_368_000_000)
"""2023-01-01 to the end of 2025-01."""
LIQUIDATIONS: Final = Span(1_718_830_800_000, 1_721_865_600_000)
"""2024-06-19 21:00 to 2024-07-25, of which hourly sums of liquidations are known."""
CRISES: Final = {
    "2024-08-05": Span(1_722_729_600_000, 1_722_988_800_000),
    "2024-12": Span(1_733_011_200_000, 1_735_689_600_000),
    "2025-01-27": Span(1_737_936_000_000, 1_738_022_400_000),
}
WEEK_MS: Final = 7 * DAY_MS
RAW: Final[Mapping[str, Any]] = {
    "minimum_severity": "INFO",
    "cascade_basis": "absolute",
    "cooldown_minutes": 0,
    "funding_cooldown_minutes": 0,
    "system_cooldown_minutes": 0,
    "repeat_hours": 0,
    "daily_cap": 0,
    "burst_count": 1000,
}
"""Every event that opens or grows worse becomes a message."""
VARIANTS: Final[Sequence[Mapping[str, Any]]] = (
    {"cooldown_minutes": 720},
    {"cooldown_minutes": 2880},
    {"funding_cooldown_minutes": 1440},
    {"funding_cooldown_minutes": 10080},
    {"repeat_hours": 6},
    {"repeat_hours": 12},
    {"repeat_hours": 0},
    {"cascade_relative_severity": 4},
    {"cascade_relative_severity": 3},
)


def replayed(
    source: ParquetSource,
    span: Span,
    features: Sequence[type[Feature]] | None = None,
    sections: Mapping[str, Any] | None = None,
) -> Replay:
    """Run the engine, with all features unless some are named, over a span; `sections` of the settings are changed."""
    return replay(source, settings_type()(**(sections or {})), *span, symbols=SYMBOLS, features=features)


def messages(done: Replay, settings: AlertingSettings) -> Sequence[Message]:
    """What one endpoint for everything would have been sent."""
    return judge(done.events, settings, one_for_all(settings), done.to_ms).messages


def weekly(told: Sequence[Message], span: Span) -> list[int]:
    """How many fell into each whole week of the span."""
    weeks = (span.end_ms - span.start_ms) // WEEK_MS
    counts = Counter((item.ts_ms - span.start_ms) // WEEK_MS for item in told)
    return [counts[week] for week in range(weeks)]


def rate(told: Sequence[Message], span: Span, least: Severity = Severity.INFO, *, skip_ms: int = 0) -> float:
    """Messages a week; those about liquidations by the weeks of which sums are known, without the first `skip_ms`.

    The recorded sessions are left out of it: some were recorded because something was going on.
    """
    severe = [item for item in told if item.event.severity >= least]
    others = [item for item in severe if not _is_cascade(item)]
    found = WEEK_MS * len(others) / _length(span)
    summed = Span(max(LIQUIDATIONS.start_ms, span.start_ms), min(LIQUIDATIONS.end_ms, span.end_ms))
    if _length(summed) > skip_ms:
        counted = Span(summed.start_ms + skip_ms, summed.end_ms)
        cascades = [item for item in within(severe, counted) if _is_cascade(item)]
        found += WEEK_MS * len(cascades) / _length(counted)
    return found


def within(told: Sequence[Message], span: Span) -> list[Message]:
    """Those of a span."""
    return [item for item in told if span.start_ms <= item.ts_ms < span.end_ms]


def _length(span: Span) -> int:
    return span.end_ms - span.start_ms


def _is_cascade(told: Message) -> bool:
    return told.event.type is EventType.LIQUIDATION_CASCADE


def _table(span: Span, raw: Sequence[Message], shipped: Sequence[Message]) -> Table:
    table = Table("type", "severity", "raw", "as shipped", "of these reminders", title="Messages a week")
    for kind in EventType:
        for severity in Severity:
            rows = [
                [t for t in told if (t.event.type, t.event.severity) == (kind, severity)]
                for told in (raw, shipped)
            ]
            reminders = [t for t in rows[1] if t.decision.reason is Reason.REPEAT]
            if any(rows):
                cells = (f"{rate(row, span):.2f}" for row in (*rows, reminders))
                table.add_row(kind.value, severity.name, *cells)
    table.add_section()
    for name, least in (("all", Severity.INFO), ("WARNING and above", Severity.WARNING)):
        table.add_row(name, "", f"{rate(raw, span, least):.2f}", f"{rate(shipped, span, least):.2f}", "")
    return table


def _variants(done: Replay) -> Table:
    """WARNING and above. Liquidations have nothing to be compared with on the first day."""
    table = Table("changed from the defaults", "a week", "after the first day", title="How stable that is")
    for change in ({}, *VARIANTS):
        told = messages(done, AlertingSettings(**change))
        words = ", ".join(f"{key} = {value}" for key, value in change.items()) or "nothing"
        counts = (rate(told, JUDGED, Severity.WARNING, skip_ms=skip_ms) for skip_ms in (0, DAY_MS))
        table.add_row(words, *(f"{count:.2f}" for count in counts))
    return table


def _spread(told: Sequence[Message], span: Span) -> str:
    weeks = sorted(weekly(told, span))
    marks = {name: weeks[int(len(weeks) * share)] for name, share in (("half", 0.5), ("nine in ten", 0.9))}
    words = ", ".join(f"{name} have at most {count}" for name, count in marks.items())
    return f"{len(weeks)} weeks, {sum(weeks) / len(weeks):.2f} on average; {words}; the busiest {weeks[-3:]}"


def _list(told: Sequence[Message]) -> Iterator[str]:
    for item in told:
        event, since = item.event, (item.ts_ms - item.event.started_ms) / HOUR_MS
        yield (
            f"{iso_utc(item.ts_ms)} {event.severity.name:8} {event.type.value:19} {event.symbol:8} "
            f"{item.decision.reason.value:9} {since:5.1f} h after onset: {event.why}"
        )


def _cascades(data_dir: Path) -> Table:
    """Messages about cascades alone, for other guesses at how the hour's liquidations came."""
    table = Table("the hour's sums are", "raw", "as shipped", "after the first day", title="Cascades a week")
    for words, source in (
        ("spread by the squared range of its quarters", ParquetSource(data_dir)),
        ("spread evenly", ParquetSource(data_dir, even=True)),
        ("a tenth, by squared range", ParquetSource(data_dir, scale=0.1)),
    ):
        done = replayed(source, LIQUIDATIONS, [LiquidationCascade])
        raw, shipped = (messages(done, AlertingSettings(**s)) for s in (RAW, {}))
        later = rate(shipped, LIQUIDATIONS, skip_ms=DAY_MS)
        table.add_row(
            words, f"{rate(raw, LIQUIDATIONS):.2f}", f"{rate(shipped, LIQUIDATIONS):.2f}", f"{later:.2f}"
        )
    return table


def _bases(data_dir: Path) -> Table:
    """Messages about cascades, WARNING and above, after the first day, for each basis; and for smaller markets."""
    scales = {"as they are": 1.0, "a tenth": 0.1, "a hundredth": 0.01}
    table = Table("cascade_basis", "cascade_relative_severity", *scales, title="Cascades a week by basis")
    markets = [ParquetSource(data_dir, scale=scale) for scale in scales.values()]
    replays: dict[int | None, list[Replay]] = {}
    for basis, least in (
        ("absolute", 5),
        *((basis, n) for basis in ("both", "burst", "relative") for n in (5, 4, 3)),
    ):
        events_from = least if basis == "relative" else None
        if events_from not in replays:
            chosen = {"liquidation": {"alert_from_relative": events_from}}
            replays[events_from] = [
                replayed(one, LIQUIDATIONS, [LiquidationCascade], chosen) for one in markets
            ]
        policy = AlertingSettings.model_validate({"cascade_basis": basis, "cascade_relative_severity": least})
        told = (messages(done, policy) for done in replays[events_from])
        counts = (rate(sent, LIQUIDATIONS, Severity.WARNING, skip_ms=DAY_MS) for sent in told)
        table.add_row(basis, str(least), *(f"{count:.2f}" for count in counts))
    return table


def main(data_dir: Path) -> None:
    """Print everything for the recordings in a folder."""
    console = Console(width=150)
    done = replayed(ParquetSource(data_dir), JUDGED)
    raw, shipped = messages(done, AlertingSettings(**RAW)), messages(done, AlertingSettings())
    grown = sum(item.event.phase is not Phase.CLOSED for item in done.events)
    console.print(
        f"{iso_utc(JUDGED.start_ms)} to {iso_utc(JUDGED.end_ms)}: {done.observations} observations, "
        f"rejected {dict(done.rejected)}, {grown} events opened or grown worse"
    )
    console.print(_table(JUDGED, raw, shipped))
    console.print(_variants(done))
    console.print(_cascades(data_dir))
    console.print(_bases(data_dir))
    quiet = [item for item in shipped if not _is_cascade(item)]
    console.print(f"without cascades: {_spread(quiet, JUDGED)}")
    console.print(f"with cascades: {_spread(within(shipped, LIQUIDATIONS), LIQUIDATIONS)}")
    for name, crisis in CRISES.items():
        console.rule(name)
        for line in _list(within(shipped, crisis)):
            console.print(line, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("REGIMES_TEST_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=default, help="folder of recordings")
    main(parser.parse_args().data)

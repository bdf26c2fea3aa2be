"""Writes a report about a span of the past."""

from pathlib import Path

import msgspec
import typer

from regimes.alerting.track_record import ScoreTable
from regimes.clock import SystemClock
from regimes.commands.score.run import past_of, table_of
from regimes.config import Settings
from regimes.errors import ConfigError
from regimes.features.volatility_regime.settings import VolatilitySettings
from regimes.pipeline.telling import shipped_table
from regimes.study.past import Past
from regimes.study.report.model import Report, make
from regimes.study.report.page import html
from regimes.timeframe import DAY_MS

DEFAULT_DAYS = 7
LEAST_SCORED_MS = 60 * DAY_MS
"""A shorter span shows nothing of what follows events: the record that came with the program is shown instead."""


def execute(
    settings: Settings,
    source: Path | None,
    *,
    since_ms: int | None,
    until_ms: int | None,
    as_json: bool,
    out: Path,
) -> None:
    """Report on the database, or on a replay of a source. as_json: print the values and write no file.

    Raises ConfigError, DataError and StorageError.
    """
    if source is None and since_ms is None:
        since_ms = (until_ms or SystemClock().now_ms()) - DEFAULT_DAYS * DAY_MS
    report = report_of(past_of(settings, source, since_ms=since_ms, until_ms=until_ms), settings)
    if as_json:
        typer.echo(msgspec.json.encode(report))
        return
    try:
        out.write_text(html(report), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"--out {out}: cannot be written ({error.strerror}); name a file in a folder that is there"
        ) from error
    typer.echo(f"{out}: {len(report.episodes)} episodes, {report.load.total} messages")


def report_of(past: Past, settings: Settings) -> Report:
    """Everything a report says of a span."""
    rules = settings.section("volatility")
    if not isinstance(rules, VolatilitySettings):
        raise ConfigError("the volatility regime is not installed, and a report needs its thresholds")
    return make(past, rules, _score(past))


def _score(past: Past) -> ScoreTable | None:
    if past.to_ms - past.from_ms >= LEAST_SCORED_MS:
        return table_of(past)
    return shipped_table()

"""What a filled file holds, and what it does not."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import polars as pl

from regimes.history.backfill.table import Span, sha256
from regimes.timeframe import HOUR_MS

_JITTER_MS = 60_000
_LONGEST_FUNDING_MS = 8 * HOUR_MS


class FileReport(msgspec.Struct, frozen=True):
    """One file of the folder.

    name: relative to it. rows: in the span that was asked for. gaps: spans inside it that the exchange has no rows of.
    failed: why more could not be had now; empty when all was.
    """

    name: str
    rows: int
    first_ms: int | None
    last_ms: int | None
    gaps: Sequence[Span]
    missing: int
    sha256: str
    failed: str = ""


def candle_report(folder: Path, path: Path, rows: pl.DataFrame, span: Span, step_ms: int) -> FileReport:
    """The bars of a span. Bars before the first one there is are no gap: the market did not exist."""
    opens = _within(rows, span)
    gaps = [Span(a + step_ms, b) for a, b in pairwise(opens) if b - a > step_ms]
    if opens and opens[-1] + step_ms < span.to_ms:
        gaps.append(Span(opens[-1] + step_ms, span.to_ms))
    missing = sum((gap.to_ms - gap.from_ms) // step_ms for gap in gaps)
    return _report(folder, path, opens, gaps, missing)


def funding_report(folder: Path, path: Path, rows: pl.DataFrame, span: Span) -> FileReport:
    """The settlements of a span. More than 8 h between two of them is a gap, as no market settles more rarely."""
    times = _within(rows, span)
    gaps = [Span(a, b) for a, b in pairwise(times) if b - a > _LONGEST_FUNDING_MS + _JITTER_MS]
    missing = sum(round((gap.to_ms - gap.from_ms) / _LONGEST_FUNDING_MS) - 1 for gap in gaps)
    return _report(folder, path, times, gaps, missing)


def _within(rows: pl.DataFrame, span: Span) -> list[int]:
    times = rows.get_column("ts")
    return times.filter((times >= span.from_ms) & (times < span.to_ms)).to_list()


def _report(folder: Path, path: Path, times: Sequence[int], gaps: Sequence[Span], missing: int) -> FileReport:
    return FileReport(
        name=path.relative_to(folder).as_posix(),
        rows=len(times),
        first_ms=times[0] if times else None,
        last_ms=times[-1] if times else None,
        gaps=gaps,
        missing=missing,
        sha256=sha256(path) if path.exists() else "",
    )

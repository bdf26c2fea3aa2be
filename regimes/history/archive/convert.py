"""The public archive to a folder of recordings."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from regimes.errors import DataError
from regimes.feeds import recordings
from regimes.feeds.symbols import guess_symbol
from regimes.history.archive.files import ArchiveFile, find, is_verified, rows_of
from regimes.history.backfill.report import FileReport, candle_report, funding_report
from regimes.history.backfill.table import CANDLES, FUNDING, Span, Table, without, write_sums
from regimes.timeframe import to_ms


class Converted(msgspec.Struct, frozen=True):
    """What became of an archive.

    files: what was written. refused: files that could not be used, each with the reason. unverified: how many came without a
    checksum. known: how many were not read, as the folder has their span.
    """

    files: Sequence[FileReport]
    refused: Sequence[str]
    unverified: int
    known: int


class Conversion:
    """Reads every file of `archive` that is wanted into `folder`. Goes on where an earlier one stopped, however it ended.

    span: only files that lie in it, in part at least. symbols: configured spelling; all where None. progress: told how many
    files are done of how many, and which one was.
    """

    def __init__(
        self,
        archive: Path,
        folder: Path,
        span: Span,
        *,
        symbols: Collection[str] | None,
        timeframes: Collection[str],
        markets: Collection[str] = ("spot", "um"),
        funding: bool = True,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        self._folder = folder
        self._span = span
        self._progress = progress
        self._files = [
            file
            for file in find(archive)
            if (funding if file.timeframe is None else file.timeframe in timeframes)
            and file.market in markets
            and (symbols is None or guess_symbol(file.market_id) in symbols)
            and file.span.from_ms < span.to_ms
            and file.span.to_ms > span.from_ms
        ]
        self._refused: list[str] = []
        self._unverified = 0
        self._known = 0
        self._done = 0

    def run(self) -> Converted:
        """Convert. What cannot be used is named and costs nothing else. Raises OSError when the disk is full."""
        reports = list(self._tables())
        write_sums(self._folder, {report.name: report.sha256 for report in reports if report.sha256})
        return Converted(reports, self._refused, self._unverified, self._known)

    def _tables(self) -> Iterator[FileReport]:
        for _, group in groupby(self._files, key=lambda file: (file.market, file.market_id, file.timeframe)):
            yield self._table(list(group))

    def _table(self, files: Sequence[ArchiveFile]) -> FileReport:
        first, folder = files[0], self._folder
        span = Span(first.span.from_ms, max(file.span.to_ms for file in files))
        if first.timeframe is None:
            path = recordings.funding_file(folder, first.market_id)
            table = Table(folder, path, FUNDING)
            self._add_all(table, files, 1)
            return funding_report(folder, path, table.finish(1), span)
        step = to_ms(first.timeframe)
        path = recordings.candle_file(folder, first.market, first.market_id, first.timeframe)
        table = Table(folder, path, CANDLES)
        self._add_all(table, files, step)
        return candle_report(folder, path, table.finish(step), span, step)

    def _add_all(self, table: Table, files: Sequence[ArchiveFile], step_ms: int) -> None:
        covered = table.covered(step_ms)
        for file in files:
            if without(file.span, covered):
                self._add(table, file)
            else:
                self._known += 1
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, len(self._files), file.path.name)

    def _add(self, table: Table, file: ArchiveFile) -> None:
        try:
            rows = rows_of(file)
            self._unverified += not is_verified(file)
        except DataError as error:
            self._refused.append(str(error))
        else:
            table.add(rows, file.span)

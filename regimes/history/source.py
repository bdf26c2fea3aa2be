"""What a source of history is, and which one a path holds."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from regimes.errors import ConfigError
from regimes.history.archive.source import ArchiveSource
from regimes.history.joined import TAPE_FOLDER, JoinedSource
from regimes.history.parquet import ParquetSource
from regimes.history.tape.source import TapeSource
from regimes.observations import Observation


class Source(Protocol):
    """A stretch of the past that can be read as often as one likes, always the same."""

    @property
    def name(self) -> str:
        """What it is called in words."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """Configured spelling; what is known of them is candles at least."""
        ...

    def span(self) -> tuple[int, int]:
        """From when to when something is known, ms UTC: `observations(*span())` is everything."""
        ...

    def observations(
        self, from_ms: int, to_ms: int, symbols: Collection[str] | None = None
    ) -> Iterator[Observation]:
        """Everything that became known from `from_ms` on and before `to_ms`, in order of `known_at_ms`.

        symbols: only these, all where None; liquidations are of every symbol in any case. There are no Ticks in it. What was not
        watched is told by FeedGap, what was never there by Unavailable, both first. Memory does not grow with the span.
        Raises DataError for a file that cannot be read.
        """
        ...


@runtime_checkable
class Recorded(Protocol):
    """A source that also knows what an engine was given."""

    @property
    def is_whole(self) -> bool:
        """Whether `steps` is all that it was given."""
        ...

    def span(self) -> tuple[int, int]:
        """As a source's."""
        ...

    def steps(self, from_ms: int, to_ms: int) -> Iterator[Observation]:
        """What the engine was given from `from_ms` on and before `to_ms`, Ticks included, in that order."""
        ...


def open_source(path: Path) -> Source:
    """Open whatever a path holds. Raises ConfigError where it holds no history.

    Recordings without liquidations take those of a tape in the folder `tape` beside them.
    """
    if ParquetSource.fits(path):
        recordings, tape = ParquetSource(path), path / TAPE_FOLDER
        if not recordings.watched and TapeSource.fits(tape):
            return JoinedSource(recordings, TapeSource(tape))
        return recordings
    if TapeSource.fits(path):
        return TapeSource(path)
    if ArchiveSource.fits(path):
        return ArchiveSource(path)
    there = "no history there" if path.exists() else "no such file or folder"
    raise ConfigError(
        f"{path}: {there}; give a folder of recordings, of tape or of the public archive (see docs/history.md)"
    )

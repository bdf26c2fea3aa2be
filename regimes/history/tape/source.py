"""A folder of tape as a source of history; and as what an engine was given, step by step."""

import heapq
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from regimes.errors import ConfigError, DataError
from regimes.history.tape.block import Meta, Page, Record
from regimes.history.tape.scan import Damage, Place, read, scan
from regimes.history.tape.segment import segment_files
from regimes.observations import Candle, Liquidation, Observation, Tick
from regimes.timeframe import known_at_ms

_log = structlog.get_logger(__name__)

LATE_MS: Final = 120_000
"""What comes no later than this after it could be known is put in its place; what comes later stays near where it came."""
Known: TypeAlias = tuple[int, Observation]
_MOMENT: Final = itemgetter(0)


class TapeSource:
    """A `Source` over everything that is readable in a folder of tape.

    Blocks are put in their order whatever file they lie in, and doubled ones are read once. What is not readable is left
    out, named in `damage`, and logged. Recordings of two processes are merged by the time of arrival.
    Raises ConfigError for a folder without tape, DataError for a file that may not be read.
    """

    def __init__(self, folder: Path) -> None:
        if not self.fits(folder):
            raise ConfigError(f"{folder}: no tape there; give a folder with `*.tape` files")
        self.name = str(folder)
        self.folder = folder
        self._damage: set[Damage] = set()
        self._runs = self._indexed()

    @staticmethod
    def fits(path: Path) -> bool:
        """Whether there is a tape."""
        return path.is_dir() and bool(segment_files(path))

    @property
    def damage(self) -> list[Damage]:
        """What is not readable, as far as it is known: bytes inside blocks only when they have been read."""
        return sorted(self._damage)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols whose candles were recorded."""
        metas = [meta for meta in self.metas if "candle" in meta.kinds]
        return tuple(dict.fromkeys(symbol for meta in metas for symbol in meta.symbols))

    @cached_property
    def metas(self) -> tuple[Meta, ...]:
        """What each run recorded, as far as it is readable."""
        found: dict[Meta, None] = {}
        for run in self._runs:
            segments: set[int] = set()
            for place in run:
                if place.head.segment_ms not in segments:
                    segments.add(place.head.segment_ms)
                    page = self._page(place)
                    if page is not None and page.meta is not None:
                        found[page.meta] = None
        return tuple(found)

    @property
    def is_whole(self) -> bool:
        """Whether all that the engines were given was recorded, so that `steps` brings about the same events."""
        return bool(self.metas) and all(meta.whole for meta in self.metas)

    def span(self) -> tuple[int, int]:
        """From two minutes before the first arrival to the last one, the end not in it.

        A run's warm-up is older, and handed over by `observations` where that span is asked for. Raises DataError when nothing is
        readable.
        """
        heads = [place.head for run in self._runs for place in run]
        if not heads:
            raise DataError(f"{self.folder}: nothing in this tape is readable")
        return min(head.first_ms for head in heads) - LATE_MS, max(head.last_ms for head in heads) + 1

    def records(self, from_ms: int, to_ms: int) -> Iterator[Record]:
        """What arrived from `from_ms` on and before `to_ms`, in order of arrival, with its frames."""
        inside = (
            [p for p in run if p.head.last_ms >= from_ms and p.head.first_ms < to_ms] for run in self._runs
        )
        for together in _overlapping([run for run in inside if run]):
            for record in self._merged(together):
                if from_ms <= record.received_ms < to_ms:
                    yield record

    def steps(self, from_ms: int, to_ms: int) -> Iterator[Observation]:
        """What the engine was given, Ticks and unfinished bars included, in that order.

        From `from_ms` on and before `to_ms`, by arrival.
        """
        return (record.observation for record in self.records(from_ms, to_ms) if not record.superseded)

    def observations(
        self, from_ms: int, to_ms: int, symbols: Collection[str] | None = None
    ) -> Iterator[Observation]:
        """As `Source` says. What came more than two minutes after it could be known comes later than its place."""
        waiting: list[Known] = []
        put_ms = from_ms
        for record in self.records(from_ms, to_ms + LATE_MS):
            if record.received_ms >= put_ms:
                yield from _put_in_order(waiting, record.received_ms - LATE_MS)
                put_ms = record.received_ms + LATE_MS
            known_ms = known_at_ms(record.observation)
            if from_ms <= known_ms < to_ms and _counts(record.observation, symbols):
                waiting.append((known_ms, record.observation))
        yield from _put_in_order(waiting, to_ms)

    def _indexed(self) -> list[list[Place]]:
        """Blocks of each run, in their order; several may say they are the same one."""
        runs: dict[int, list[Place]] = {}
        damage: list[Damage] = []
        for path in segment_files(self.folder):
            for place in scan(path, damage):
                runs.setdefault(place.head.run, []).append(place)
        for one in damage:
            self._tell(one)
        for run in runs.values():
            run.sort(key=lambda place: (place.head.number, -place.head.numbers, place.path, place.offset))
            self._tell_holes(run)
        return sorted(runs.values(), key=lambda run: min(place.head.first_ms for place in run))

    def _tell_holes(self, run: Sequence[Place]) -> None:
        next_number = run[0].head.number
        for place in run:
            if place.head.number > next_number:
                words = f"blocks {next_number} to {place.head.number - 1} of this run, before it, are missing"
                self._tell(Damage(place.path, place.offset, 0, words))
            next_number = max(next_number, place.head.number + place.head.numbers)

    def _merged(self, together: Sequence[Iterable[Place]]) -> Iterator[Record]:
        if len(together) == 1:
            return self._read(together[0])
        return heapq.merge(*map(self._read, together), key=attrgetter("received_ms"))

    def _read(self, run: Iterable[Place]) -> Iterator[Record]:
        """The records of one run. Of blocks that say they are the same, the first readable one counts."""
        next_number = 0
        for place in run:
            if place.head.number + place.head.numbers <= next_number:
                continue
            page = self._page(place)
            if page is not None:
                next_number = place.head.number + place.head.numbers
                if page.dropped:
                    words = f"{page.dropped} observations before it were not recorded, the disk was too slow"
                    self._tell(Damage(place.path, place.offset, 0, words))
                yield from page.records

    def _page(self, place: Place) -> Page | None:
        try:
            return read(place)
        except DataError as error:
            self._tell(Damage(place.path, place.offset, place.head.size, str(error)))
            return None

    def _tell(self, damage: Damage) -> None:
        if damage not in self._damage:
            self._damage.add(damage)
            _log.warning(
                "tape_damaged",
                path=str(damage.path),
                offset=damage.offset,
                bytes=damage.size,
                reason=damage.reason,
            )


def _put_in_order(waiting: list[Known], before_ms: int) -> Iterator[Observation]:
    """Take what was known before a time out of a list, in order; the list is nearly in order, so that sorting it is cheap."""
    waiting.sort(key=_MOMENT)
    count = bisect_left(waiting, before_ms, key=_MOMENT)
    yield from (observation for _, observation in waiting[:count])
    del waiting[:count]


def _counts(observation: Observation, symbols: Collection[str] | None) -> bool:
    """Whether a source hands it over: neither Ticks nor bars that are not finished, and of these symbols."""
    if isinstance(observation, Tick) or (isinstance(observation, Candle) and not observation.closed):
        return False
    if symbols is None or isinstance(observation, Liquidation):
        return True
    return observation.symbol is None or observation.symbol in symbols


def _overlapping(runs: list[list[Place]]) -> Iterator[list[list[Place]]]:
    """Runs that recorded at the same time, together; ordered by their begin."""
    together: list[list[Place]] = []
    end_ms = 0
    for run in runs:
        if together and min(place.head.first_ms for place in run) > end_ms:
            yield together
            together, end_ms = [], 0
        together.append(run)
        end_ms = max(end_ms, *(place.head.last_ms for place in run))
    if together:
        yield together

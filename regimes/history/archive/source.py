"""The public archive as observations, month by month."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

import polars as pl

from regimes.errors import ConfigError
from regimes.feeds.symbols import guess_symbol
from regimes.history.archive.files import ArchiveFile, find, rows_of
from regimes.observations import Candle, FundingRate, Observation, Unavailable
from regimes.timeframe import HOUR_MS

_SPOT: Final = "binance"
_FUTURES: Final = "binanceusdm"
Known = tuple[int, Observation]


class ArchiveSource:
    """A `Source` over the exchange's public archive, as it is after unpacking nothing.

    Hourly candles are those of spot where there are any, else the perpetual's. A file that cannot be used raises DataError when
    it is its turn: `regimes backfill --archive` leaves such files out and names them.
    Raises ConfigError for a folder without hourly candles.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.folder = folder
        files = find(folder)
        hourly = [file for file in files if file.timeframe == "1h"]
        if not hourly:
            raise ConfigError(
                f"{folder}: no `*-1h-*.zip` there; give the folder that holds `spot` or `futures`"
            )
        spot = {file.market_id for file in hourly if file.market == "spot"}
        self._candles = [file for file in hourly if file.market == "spot" or file.market_id not in spot]
        ids = {file.market_id for file in hourly}
        self._funding = [file for file in files if file.timeframe is None and file.market_id in ids]

    @staticmethod
    def fits(path: Path) -> bool:
        """Whether this is such a folder."""
        return any(file.timeframe == "1h" for file in find(path))

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(guess_symbol(file.market_id) for file in self._candles))

    def span(self) -> tuple[int, int]:
        files = [*self._candles, *self._funding]
        # A bar that opens in the last hour is known at the end of the file's time.
        return min(file.span.from_ms for file in files), max(file.span.to_ms for file in files) + 1

    def observations(
        self, from_ms: int, to_ms: int, symbols: Collection[str] | None = None
    ) -> Iterator[Observation]:
        files = [
            file
            for file in [*self._candles, *self._funding]
            if file.span.from_ms < to_ms
            and file.span.to_ms >= from_ms
            and (symbols is None or guess_symbol(file.market_id) in symbols)
        ]
        yield Unavailable(from_ms, _FUTURES, "liquidation", None, "not in the archive")
        funded = {guess_symbol(file.market_id) for file in self._funding}
        for symbol in self.symbols:
            if symbol not in funded and (symbols is None or symbol in symbols):
                yield Unavailable(from_ms, _FUTURES, "funding", symbol, "not in the archive")
        for month in _months(files):
            known = [one for _, group in groupby(month, key=_instrument) for one in _known(list(group))]
            known.sort(key=itemgetter(0))
            yield from (observation for known_ms, observation in known if from_ms <= known_ms < to_ms)


def _instrument(file: ArchiveFile) -> tuple[str, str, str]:
    return file.market, file.market_id, file.timeframe or ""


def _months(files: Sequence[ArchiveFile]) -> Iterator[list[ArchiveFile]]:
    """Files of one month together, daily ones with the monthly one; oldest first."""
    ends: list[ArchiveFile] = []
    end_ms = 0
    for file in sorted(files, key=lambda file: (file.span.from_ms, -file.span.to_ms)):
        if ends and file.span.from_ms >= end_ms:
            yield sorted(ends, key=lambda file: (*_instrument(file), file.span))
            ends, end_ms = [], 0
        ends.append(file)
        end_ms = max(end_ms, file.span.to_ms)
    if ends:
        yield sorted(ends, key=lambda file: (*_instrument(file), file.span))


def _known(files: Sequence[ArchiveFile]) -> list[Known]:
    """What files of one instrument hold, with the moment each row was known."""
    rows = pl.concat([rows_of(file) for file in files]).unique("ts", keep="first").sort("ts")
    symbol = guess_symbol(files[0].market_id)
    if files[0].timeframe is None:
        return [(ts, FundingRate(ts, _FUTURES, symbol, rate, hours)) for ts, rate, hours in rows.iter_rows()]
    venue = _SPOT if files[0].market == "spot" else _FUTURES
    return [(row[0] + HOUR_MS, Candle(venue, symbol, "1h", *row)) for row in rows.iter_rows()]

"""Liquidations of which only the hour's sum is known, spread over the hour; and open interest at its end."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from regimes.feeds import recordings
from regimes.observations import Liquidation, OpenInterest, Side
from regimes.timeframe import HOUR_MS, MINUTE_MS

QUARTER_MS: Final = 15 * MINUTE_MS
STEP_MS: Final = 3 * MINUTE_MS
"""Sums become one liquidation a side in every three minutes."""
_SIDES: Final[tuple[Side, Side]] = ("long", "short")
_OFFSETS_MS: Final = (30_000, 120_000)


class HourlySums:
    """The hours of one instrument.

    The hour's longs and shorts, at its close price, become five equal liquidations a side and quarter. Each quarter has a
    share by its squared range where quarter-hour candles are there, else, or where `even`, a fourth. scale: times every sum.
    """

    def __init__(
        self, folder: Path, symbol_id: str, symbol: str, venue: str, *, scale: float = 1.0, even: bool = False
    ) -> None:
        self._files = recordings.sum_files(folder, symbol_id)
        self._quarters = recordings.candle_file(folder, "um", symbol_id, "15m")
        self._symbol = symbol
        self._venue = venue
        self._scale = scale
        self._even = even or not self._quarters.exists()
        ends = [found for found in map(recordings.span, self._files) if found]
        self.span = (min(first for first, _ in ends), max(last for _, last in ends) + HOUR_MS)
        """The first hour's begin and the last one's end."""

    def liquidations(self, from_ms: int, to_ms: int) -> Iterator[Liquidation]:
        """Estimated liquidations, oldest first."""
        for page in self._pages(from_ms - HOUR_MS, to_ms):
            ranges = self._squared_ranges(page["ts"])
            for hour_ms, price, *amounts, _ in page.iter_rows():
                opens = range(hour_ms, hour_ms + HOUR_MS, QUARTER_MS)
                for open_ms, share in zip(opens, self._shares(opens, ranges), strict=True):
                    for order in self._spread(open_ms, price, [(a or 0.0) * share for a in amounts]):
                        if from_ms <= order.ts_ms < to_ms:
                            yield order

    def open_interest(self, from_ms: int, to_ms: int) -> Iterator[OpenInterest]:
        """Contracts open at the end of each hour."""
        for page in self._pages(from_ms - HOUR_MS, to_ms - HOUR_MS):
            for hour_ms, price, _, _, base in page.drop_nulls("oi_close").iter_rows():
                yield OpenInterest(hour_ms + HOUR_MS, self._venue, self._symbol, base, base * price)

    def _pages(self, from_ms: int, end_ms: int) -> Iterator[pl.DataFrame]:
        for path in self._files:
            for page in recordings.pages(path, recordings.SUM_COLUMNS, from_ms, end_ms):
                yield page.drop_nulls("close")

    def _spread(self, open_ms: int, price: float, amounts: Sequence[float]) -> Iterator[Liquidation]:
        """A quarter's longs and shorts, in equal parts."""
        for at_ms in range(open_ms, open_ms + QUARTER_MS, STEP_MS):
            for side, offset_ms, amount in zip(_SIDES, _OFFSETS_MS, amounts, strict=True):
                base = amount * STEP_MS / QUARTER_MS
                if base > 0:
                    yield Liquidation(
                        at_ms + offset_ms, self._venue, self._symbol, side, price, base, base * price
                    )

    def _squared_ranges(self, hours: pl.Series) -> dict[int, float]:
        """How wide each quarter of these hours was, by its begin."""
        if self._even or hours.is_empty():
            return {}
        first, end = int(hours[0]), int(hours[-1]) + HOUR_MS
        pages = recordings.pages(self._quarters, recordings.CANDLE_COLUMNS, first, end)
        return {ts: math.log(high / low) ** 2 for page in pages for ts, _, high, low, *_ in page.iter_rows()}

    def _shares(self, opens: Iterable[int], ranges: Mapping[int, float]) -> list[float]:
        """How much of the hour each of its quarters has; a fourth where one is not known, or nothing moved."""
        known = [ranges.get(open_ms) for open_ms in opens]
        squares = [square for square in known if square is not None]
        total = sum(squares)
        if len(squares) < len(known) or not total:
            return [self._scale / len(known)] * len(known)
        return [self._scale * square / total for square in squares]

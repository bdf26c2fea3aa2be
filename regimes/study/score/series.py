"""What is known of one symbol, hour by hour, in arrays."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np

from regimes.maths.stats import FloatArray
from regimes.maths.volatility import BASELINE_HOURS, HOURS_A_DAY, MIN_BASELINE_HOURS, MIN_DAY_HOURS
from regimes.observations import Candle, FeedGap, FundingRate, Liquidation, Observation
from regimes.timeframe import HOUR_MS

FUNDING_HOURS: Final = 8


class Series(msgspec.Struct, frozen=True):
    """One value an hour from `start_ms` on, NaN where it is not known.

    open, high, low, close: the hour's bar. funding: the last rate settled by the begin of the hour, for eight hours.
    liquidated_usd: in the hour, 0 where it was watched and nothing came. seen_usd: the same as far as it was seen.
    """

    symbol: str
    start_ms: int
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    funding: FloatArray
    liquidated_usd: FloatArray
    seen_usd: FloatArray

    @property
    def hours(self) -> int:
        """How many."""
        return len(self.close)

    @property
    def end_ms(self) -> int:
        """Where the last hour ends."""
        return self.start_ms + self.hours * HOUR_MS

    def place(self, ts_ms: int) -> int:
        """The hour in which a time lies, also outside the series."""
        return (ts_ms - self.start_ms) // HOUR_MS


def volatility_ratio(series: Series) -> FloatArray:
    """The last day's realised volatility over that of the last 30 days, as known when each hour begins.

    Shape (hours,); NaN where too few bars are behind it. Only bars that have closed by then count.
    """
    squares = np.full(series.hours, np.nan)
    squares[1:] = np.diff(np.log(series.close)) ** 2
    day, n_day = trailing(squares, HOURS_A_DAY)
    month, n_month = trailing(squares, BASELINE_HOURS)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt((day / n_day) / (month / n_month))
    ratio[(n_day < MIN_DAY_HOURS) | (n_month < MIN_BASELINE_HOURS) | ~np.isfinite(ratio)] = np.nan
    return ratio


def month_volatility(series: Series) -> FloatArray:
    """Daily volatility of the last 30 days as known when each hour begins, a fraction; NaN where too few bars are behind it."""
    squares = np.full(series.hours, np.nan)
    squares[1:] = np.diff(np.log(series.close)) ** 2
    total, count = trailing(squares, BASELINE_HOURS)
    enough = (count >= MIN_BASELINE_HOURS) & (total > 0)
    return np.where(enough, np.sqrt(HOURS_A_DAY * total / np.maximum(count, 1)), np.nan)


def trailing(values: FloatArray, hours: int) -> tuple[FloatArray, FloatArray]:
    """Sum and number of the values of the `hours` before each one, itself left out."""
    known = np.isfinite(values)
    ends = np.arange(len(values))
    begins = np.maximum(ends - hours, 0)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0.0], np.cumsum(known)])
    return sums[ends] - sums[begins], counts[ends] - counts[begins]


class SeriesBuilder:
    """Gathers observations of a span; what lies outside it is passed over.

    watched: whether liquidations are watched at all; gaps in them make the hours they touch unknown.
    """

    def __init__(self, symbols: Iterable[str], from_ms: int, to_ms: int) -> None:
        self.start_ms = from_ms // HOUR_MS * HOUR_MS
        self.hours = max(0, to_ms // HOUR_MS - from_ms // HOUR_MS)
        self._bars = {symbol: np.full((4, self.hours), np.nan) for symbol in symbols}
        self._rates: dict[str, FloatArray] = {s: np.full(self.hours, np.nan) for s in self._bars}
        self._sums: dict[str, FloatArray] = {s: np.zeros(self.hours) for s in self._bars}
        self._unseen: set[tuple[int, int]] = set()
        self._open_gaps: dict[int, int] = {}
        self._any_liquidation = False

    def take_all(self, observations: Iterable[Observation]) -> "SeriesBuilder":
        """Take each."""
        for observation in observations:
            self.take(observation)
        return self

    def take(self, observation: Observation) -> None:
        """Keep what a series needs of one observation."""
        if isinstance(observation, Candle):
            self._candle(observation)
        elif isinstance(observation, FundingRate):
            place = -(-(observation.ts_ms - self.start_ms) // HOUR_MS)
            if observation.symbol in self._rates and 0 <= place < self.hours:
                rate = observation.rate * FUNDING_HOURS / observation.interval_hours
                self._rates[observation.symbol][place] = rate
        elif isinstance(observation, Liquidation):
            self.liquidated(observation.symbol, observation.ts_ms, observation.quote_usd)
        elif isinstance(observation, FeedGap) and observation.kind == "liquidation":
            self._gap(observation)

    def liquidated(self, symbol: str, ts_ms: int, usd: float) -> None:
        """Add to an hour's sum."""
        self._any_liquidation = True
        place = (ts_ms - self.start_ms) // HOUR_MS
        if symbol in self._sums and 0 <= place < self.hours:
            self._sums[symbol][place] += usd

    def built(self) -> Mapping[str, Series]:
        """The series of each symbol that has bars."""
        unseen = np.full(self.hours, not self._any_liquidation)
        end_ms = self.start_ms + self.hours * HOUR_MS
        for from_ms, to_ms in (*self._unseen, *((since, end_ms) for since in self._open_gaps)):
            first, last = (from_ms - self.start_ms) // HOUR_MS, -(-(to_ms - self.start_ms) // HOUR_MS)
            unseen[max(first, 0) : max(last, 0)] = True
        return {
            symbol: Series(
                symbol,
                self.start_ms,
                bars[0],
                bars[1],
                bars[2],
                bars[3],
                _held(self._rates[symbol]),
                np.where(unseen, np.nan, self._sums[symbol]),
                self._sums[symbol],
            )
            for symbol, bars in self._bars.items()
            if np.isfinite(bars).any()
        }

    def _candle(self, candle: Candle) -> None:
        if candle.timeframe == "1h" and candle.closed and candle.symbol in self._bars:
            place = (candle.open_ms - self.start_ms) // HOUR_MS
            if 0 <= place < self.hours:
                self._bars[candle.symbol][:, place] = candle.open, candle.high, candle.low, candle.close

    def _gap(self, gap: FeedGap) -> None:
        if gap.to_ms is None:
            self._open_gaps[gap.from_ms] = gap.from_ms
        else:
            self._open_gaps.pop(gap.from_ms, None)
            self._unseen.add((gap.from_ms, gap.to_ms))


def _held(values: FloatArray) -> FloatArray:
    """Each value until the next one comes."""
    known = np.isfinite(values)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(latest >= 0, values[np.maximum(latest, 0)], np.nan) if len(values) else values

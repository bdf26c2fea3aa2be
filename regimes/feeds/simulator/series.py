"""The bars of one instrument at any moment, finished or not, from hourly bars and the path inside each hour."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from regimes.feeds.simulator.paths import Knots, bar_knots, walk
from regimes.feeds.simulator.source import Bar, Bars, FloatArray
from regimes.timeframe import HOUR_MS, bar_open

_HOUR_S: Final = HOUR_MS // 1000
_CACHED_HOURS: Final = 3


@dataclass(frozen=True, slots=True)
class _Hour:
    """One hour, second by second: prices, shape (3600,), and volume at the edges of its known parts."""

    open_ms: int
    prices: FloatArray
    edges_ms: FloatArray
    volume: FloatArray

    def volume_until(self, elapsed_ms: float) -> float:
        return float(np.interp(elapsed_ms, self.edges_ms, self.volume))


class Series:
    """One instrument's prices and volumes, a function of time.

    hours: its hourly bars; an absent hour had no trade. finer: shorter bars where they are known, finest first;
    they drive the path of an hour that they fill. knots: paths prescribed for hours, by open time.
    key: two series with the same key walk alike.
    """

    def __init__(
        self,
        hours: Bars,
        *,
        decimals: int,
        key: Sequence[int],
        finer: Sequence[Bars] = (),
        knots: Mapping[int, Knots] | None = None,
    ) -> None:
        self.hours = hours
        self._decimals = decimals
        self._key = tuple(key)
        self._finer = finer
        self._knots = knots or {}
        self._cache: OrderedDict[int, _Hour] = OrderedDict()

    def price(self, at_ms: int) -> float | None:
        """Last traded price, carried through hours without trades; None before the first."""
        row = int(np.searchsorted(self.hours.open_ms, at_ms, side="right")) - 1
        if row < 0:
            return None
        elapsed_s = (at_ms - int(self.hours.open_ms[row])) // 1000
        if elapsed_s >= _HOUR_S:
            return float(self.hours.close[row])
        return float(self._hour(row).prices[elapsed_s])

    def seconds(self, open_ms: int) -> FloatArray | None:
        """Prices of one hour, one a second; None where there was no trade."""
        row = self._row(open_ms)
        return None if row is None else self._hour(row).prices

    def bar(self, step_ms: int, at_ms: int) -> Bar | None:
        """The bar that holds `at_ms` as far as it has got; None if nothing has traded in it."""
        open_ms = bar_open(at_ms, step_ms)
        if step_ms > HOUR_MS:
            bars = self.bars(step_ms, open_ms, open_ms, at_ms)
            return _last(bars) if len(bars) else None
        row = self._row(bar_open(at_ms, HOUR_MS))
        return None if row is None else self._running(row, open_ms, at_ms)

    def bars(self, step_ms: int, first_ms: int, last_ms: int, at_ms: int) -> Bars:
        """Bars that opened from `first_ms` to `last_ms` inclusive and not after `at_ms`; the last may be unfinished."""
        if bar_open(first_ms, step_ms) < first_ms:
            first_ms = bar_open(first_ms, step_ms) + step_ms
        if step_ms < HOUR_MS:
            return self._short_bars(step_ms, first_ms, last_ms, at_ms)
        until = min(bar_open(last_ms, step_ms) + step_ms, at_ms + 1)
        first, last = np.searchsorted(self.hours.open_ms, [first_ms, until]).tolist()
        rows = self.hours.part(first, last)
        if last > first and int(rows.open_ms[-1]) + HOUR_MS > at_ms:
            running = self._running(last - 1, int(rows.open_ms[-1]), at_ms)
            rows = _append(rows.part(0, len(rows) - 1), running)
        return rows if step_ms == HOUR_MS else _regroup(rows, step_ms)

    def _short_bars(self, step_ms: int, first_ms: int, last_ms: int, at_ms: int) -> Bars:
        found: list[Bar] = []
        until = min(last_ms, at_ms)
        rows = np.searchsorted(self.hours.open_ms, [first_ms - HOUR_MS + 1, until + 1]).tolist()
        for row in range(*rows):
            hour_ms = int(self.hours.open_ms[row])
            opens = range(max(hour_ms, first_ms), min(hour_ms + HOUR_MS, until + 1), step_ms)
            found += [self._running(row, ts, min(at_ms, ts + step_ms - 1)) for ts in opens]
        return _from_rows(found)

    def _running(self, row: int, open_ms: int, at_ms: int) -> Bar:
        """Build one bar of at most an hour from the path, up to `at_ms`."""
        hour = self._hour(row)
        from_ms, to_ms = open_ms - hour.open_ms, at_ms - hour.open_ms
        prices = hour.prices[from_ms // 1000 : to_ms // 1000 + 1]
        volume = hour.volume_until(to_ms + 1) - hour.volume_until(from_ms)
        whole = float(self.hours.volume[row])
        share = volume / whole if whole > 0 else 0.0
        return Bar(
            open_ms,
            float(prices[0]),
            float(prices.max()),
            float(prices.min()),
            float(prices[-1]),
            volume,
            share * float(self.hours.quote_volume[row]),
            share * float(self.hours.taker_volume[row]),
        )

    def _row(self, open_ms: int) -> int | None:
        row = int(np.searchsorted(self.hours.open_ms, open_ms))
        found = row < len(self.hours) and int(self.hours.open_ms[row]) == open_ms
        return row if found else None

    def _hour(self, row: int) -> _Hour:
        open_ms = int(self.hours.open_ms[row])
        hour = self._cache.get(open_ms)
        if hour is None:
            hour = self._cache[open_ms] = self._walk_hour(row, open_ms)
            if len(self._cache) > _CACHED_HOURS:
                self._cache.popitem(last=False)
        return hour

    def _walk_hour(self, row: int, open_ms: int) -> _Hour:
        parts = self._parts(row, open_ms)
        rng = np.random.default_rng((*self._key, open_ms // HOUR_MS))
        seconds = _HOUR_S // len(parts)
        bars = zip(parts.open, parts.high, parts.low, parts.close, strict=True)
        given = self._knots.get(open_ms)
        paths = [
            walk(given or bar_knots(o, h, low, c, seconds, rng), self._decimals, rng) for o, h, low, c in bars
        ]
        edges = np.linspace(0.0, HOUR_MS, len(parts) + 1)
        return _Hour(open_ms, np.concatenate(paths), edges, np.concatenate(([0.0], np.cumsum(parts.volume))))

    def _parts(self, row: int, open_ms: int) -> Bars:
        """The finest known bars that fill the hour: often only the hour itself."""
        for finer in self._finer:
            first, last = np.searchsorted(finer.open_ms, [open_ms, open_ms + HOUR_MS]).tolist()
            step_ms = int(finer.open_ms[1] - finer.open_ms[0])
            if (last - first) * step_ms == HOUR_MS:
                return finer.part(first, last)
        return self.hours.part(row, row + 1)


def _regroup(rows: Bars, step_ms: int) -> Bars:
    """Merge hourly rows into longer bars."""
    if not len(rows):
        return rows
    opens = np.array([bar_open(ts, step_ms) for ts in rows.open_ms.tolist()], dtype=np.int64)
    starts = np.flatnonzero(np.diff(opens, prepend=opens[0] - 1))
    ends = np.append(starts[1:], len(opens)) - 1
    return Bars(
        opens[starts],
        rows.open[starts],
        np.maximum.reduceat(rows.high, starts),
        np.minimum.reduceat(rows.low, starts),
        rows.close[ends],
        np.add.reduceat(rows.volume, starts),
        np.add.reduceat(rows.quote_volume, starts),
        np.add.reduceat(rows.taker_volume, starts),
    )


def _from_rows(rows: Sequence[Bar]) -> Bars:
    columns = list(zip(*rows, strict=True)) or [()] * 8
    return Bars(np.array(columns[0], dtype=np.int64), *(np.array(c, dtype=np.float64) for c in columns[1:]))


def _append(bars: Bars, bar: Bar) -> Bars:
    return Bars(*(np.append(column, value) for column, value in zip(bars.columns(), bar, strict=True)))


def _last(bars: Bars) -> Bar:
    return Bar(*(column[-1].item() for column in bars.columns()))

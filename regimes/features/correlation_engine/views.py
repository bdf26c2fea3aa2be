"""From the numbers of one hour to the readings of each symbol and of the market."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np

from regimes.events import Severity, iso_utc
from regimes.features.base import Reading, Status
from regimes.features.correlation_engine.breaks import Breaks, PairKey
from regimes.features.correlation_engine.market import BoolArray, Market
from regimes.features.correlation_engine.pairs import (
    DIGITS,
    NORMAL_NEEDED,
    PANEL_HOURS,
    WEEK_NEEDED,
    Pairs,
)
from regimes.features.correlation_engine.reading import CorrelationReading, Labels, MarketCorrelationReading
from regimes.features.correlation_engine.watch import Watched
from regimes.features.deferred import Deferred
from regimes.maths.correlation import FloatArray, IntArray
from regimes.observations import MARKET
from regimes.timeframe import HOUR_MS, MINUTE_MS
from regimes.windows.panel import NEVER, ReturnPanel

SHOWN_SYMBOLS: Final = 40
"""Up to so many symbols readings list every pair (780 of them); beyond, only broken ones."""
LATE_MS: Final = HOUR_MS + 10 * MINUTE_MS
"""A symbol is stale when its newest bar closed longer ago than this."""
NEEDED: Final = WEEK_NEEDED + NORMAL_NEEDED
FEATURE: Final = "correlation_engine"
_NO_PAIRS: Final[dict[str, Any]] = {field: {} for field in Pairs._fields[2:]}
_NEVER_STALE: Final = 2**63 - 1


class Views:
    """Keeps the newest `View`, and says when a reading of it turns stale."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._unavailable: Mapping[str, str] = {}
        self._view: View | None = None
        self.next_stale_ms = 0

    def look(
        self,
        panel: ReturnPanel,
        market: Market,
        pairs: Pairs,
        breaks: Breaks,
        leader: tuple[str | None, tuple[str, ...]],
        watched: Watched,
    ) -> None:
        """Take over one computed hour. pairs: all of a small universe, else those that may be broken."""
        severity = {key: breaks.severity(key) for key in sorted(breaks.open)}
        self._view = View(
            self._labels,
            panel.counts.copy(),
            panel.newest.copy(),
            market.flat(),
            market.known(),
            pairs,
            severity,
            {key: broken.episode.started_ms or 0 for key, broken in breaks.open.items()},
            leader,
            watched,
            market.matrix() if self.shows_all else None,
        )
        self.next_stale_ms = 0

    @property
    def shows_all(self) -> bool:
        """Whether the universe is small enough to list every pair."""
        return len(self._labels.symbols) <= SHOWN_SYMBOLS

    def turned_stale(self, now_ms: int) -> bool:
        """Whether a reading may have become stale since this was last asked."""
        if now_ms <= self.next_stale_ms or self._view is None:
            return False
        newest = self._view.newest
        deadlines = (newest[newest != NEVER] + 1) * HOUR_MS + LATE_MS
        self.next_stale_ms = int(deadlines[deadlines >= now_ms].min(initial=_NEVER_STALE))
        return True

    def declare_unavailable(self, reasons: Mapping[str, str]) -> None:
        """Symbols that have no candles, and why."""
        self._unavailable = dict(reasons)

    def readings(self, now_ms: int, rows: Sequence[int] | None = None) -> Deferred:
        """Those of some rows, or all, and last the market's; `look` was called before."""
        if self._view is None:
            raise RuntimeError("no hour was looked at yet")
        told = range(len(self._labels.symbols)) if rows is None else rows
        return self._view.readings(now_ms, told, self._unavailable)


class View(msgspec.Struct, frozen=True, dict=True):
    """What was found at one hour, from which readings are made when somebody looks.

    flat, known: one a row, see `Market`. severity, since: of each broken pair. matrix: in a small universe.
    """

    labels: Labels
    n: IntArray
    newest: IntArray
    is_flat: BoolArray
    is_known: BoolArray
    numbers: Pairs
    severity: Mapping[PairKey, Severity]
    since: Mapping[PairKey, int]
    leader: tuple[str | None, tuple[str, ...]]
    watched: Watched
    matrix: FloatArray | None

    def readings(self, now_ms: int, rows: Sequence[int], unavailable: Mapping[str, str]) -> Deferred:
        """Those of some rows and of the market, as of a moment."""
        symbols = self.labels.symbols
        names = [*symbols, MARKET] if len(rows) == len(symbols) else [*(symbols[row] for row in rows), MARKET]

        def make(place: int) -> Reading:
            if place == len(rows):
                return self._market(now_ms, unavailable)
            return self._of(rows[place], now_ms, unavailable)

        return Deferred(FEATURE, names, make)

    def _of(self, row: int, now_ms: int, unavailable: Mapping[str, str]) -> CorrelationReading:
        status, detail = self._status(row, now_ms, unavailable)
        n = self._counts[row]
        return CorrelationReading(
            feature=FEATURE,
            symbol=self.labels.symbols[row],
            status=status,
            as_of_ms=self._closed[row],
            n=n,
            needed=NEEDED,
            coverage=n / PANEL_HOURS,
            detail=detail,
            **self._breaks_of(self._mine.get(row, ())),
            **self._watched_of(row),
            **self._pairs[row],
        )

    def _market(self, now_ms: int, unavailable: Mapping[str, str]) -> MarketCorrelationReading:
        counts, closed = self._counts, self._closed
        best = max(
            range(len(counts)), key=lambda row: (bool(self.is_known[row]), closed[row] or 0, counts[row])
        )
        status, detail = self._status(best, now_ms, unavailable)
        return MarketCorrelationReading(
            feature=FEATURE,
            symbol=MARKET,
            status=status,
            as_of_ms=max((moment for moment in closed if moment is not None), default=None),
            n=counts[best],
            needed=NEEDED,
            coverage=sum(counts) / len(counts) / PANEL_HOURS,
            detail=detail,
            assets=self.labels.short,
            matrix=None if self.matrix is None else _matrix(self.matrix),
            **self._breaks_of(list(self.severity)),
            **self._watched_of(None),
            **self._pairs[-1],
        )

    @cached_property
    def _counts(self) -> list[int]:
        counts: list[int] = self.n.tolist()
        return counts

    @cached_property
    def _closed(self) -> list[int | None]:
        return [None if hour == NEVER else (hour + 1) * HOUR_MS for hour in self.newest.tolist()]

    @cached_property
    def _mine(self) -> Mapping[int, Sequence[PairKey]]:
        """The broken pairs of each row that has any."""
        mine: dict[int, list[PairKey]] = {}
        for key in self.severity:
            for row in key:
                mine.setdefault(row, []).append(key)
        return mine

    def _status(self, row: int, now_ms: int, unavailable: Mapping[str, str]) -> tuple[Status, str | None]:
        if len(self.labels.symbols) < 2:
            return Status.UNAVAILABLE, "a correlation needs at least two symbols"
        closed_ms = self._closed[row]
        if closed_ms is None and self.labels.symbols[row] in unavailable:
            return Status.UNAVAILABLE, unavailable[self.labels.symbols[row]]
        if not self.is_known[row]:
            if self.is_flat[row]:
                return Status.DEGENERATE, "the price has not moved for a week"
            return (
                Status.WARMING,
                f"{self._counts[row]} of {NEEDED} hourly returns, and a second symbol with as many",
            )
        if closed_ms is not None and now_ms > closed_ms + LATE_MS:
            return Status.STALE, f"no bar since {iso_utc(closed_ms)}"
        return Status.OK, None

    def _breaks_of(self, keys: Sequence[PairKey]) -> dict[str, Any]:
        leader, followers = self.leader
        names = {key: self.labels.pair(*key) for key in keys}
        return {
            "alert_level": max((self.severity[key] for key in keys), default=None),
            "breaks": tuple(names.values()),
            "broken_since_ms": {name: self.since[key] for key, name in names.items()},
            "leading_asset": leader,
            "lagging_assets": followers,
        }

    def _watched_of(self, row: int | None) -> dict[str, Any]:
        """The sequential test of the pairs of a row, or of all."""
        first, second = self.watched.first, self.watched.second
        chosen = (
            np.flatnonzero((first == row) | (second == row)) if row is not None else np.arange(len(first))
        )
        names = [self._pair_names[place] for place in chosen.tolist()]
        strength = _plain(self.watched.evidence.strength[chosen].round(DIGITS))
        broken = self.watched.evidence.broken[chosen].tolist()
        return {
            "break_strength": {n: s for n, s in zip(names, strength, strict=True) if s is not None},
            "sequential_breaks": tuple(n for n, is_broken in zip(names, broken, strict=True) if is_broken),
        }

    @cached_property
    def _pair_names(self) -> list[str]:
        first, second = self.watched.first.tolist(), self.watched.second.tolist()
        return [self.labels.pair(*pair) for pair in zip(first, second, strict=True)]

    @cached_property
    def _pairs(self) -> Sequence[dict[str, Any]]:
        """For each row, and last for the market: for each number its value in each pair that is listed."""
        keys = list(zip(self.numbers.row.tolist(), self.numbers.column.tolist(), strict=True))
        shows_all = self.matrix is not None
        shown = [place for place, key in enumerate(keys) if shows_all or key in self.severity]
        places: list[list[int]] = [[] for _ in self.labels.symbols]
        for place in shown:
            for row in keys[place]:
                places[row].append(place)
        names = {place: self.labels.pair(*keys[place]) for place in shown}
        columns = {field: _plain(getattr(self.numbers, field)) for field in Pairs._fields[2:]}
        return [
            {field: {names[p]: values[p] for p in listed} for field, values in columns.items()}
            if listed
            else _NO_PAIRS
            for listed in [*places, shown]
        ]


def _plain(values: FloatArray) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 (NaN test)


def _matrix(r: FloatArray) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(_plain(row)) for row in r.round(DIGITS))

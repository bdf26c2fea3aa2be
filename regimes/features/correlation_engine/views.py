"""From the numbers of one hour to the readings of each symbol and of the market."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from regimes.events import Severity, iso_utc
from regimes.features.base import Reading, Status
from regimes.features.correlation_engine.breaks import Breaks, PairKey
from regimes.features.correlation_engine.market import Market
from regimes.features.correlation_engine.pairs import (
    DIGITS,
    NORMAL_NEEDED,
    PANEL_HOURS,
    WEEK_NEEDED,
    Pairs,
)
from regimes.features.correlation_engine.reading import CorrelationReading, Labels, MarketCorrelationReading
from regimes.maths.correlation import FloatArray
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
    """The readings as of the last computed hour; only their age still changes."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._leader: tuple[str | None, tuple[str, ...]] = (None, ())
        self._unavailable: Mapping[str, str] = {}
        self._severity: dict[PairKey, Severity] = {}
        self._since: dict[PairKey, int] = {}
        self._mine: list[list[PairKey]] = []
        self._matrix: tuple[tuple[float | None, ...], ...] | None = None
        self._pairs: list[dict[str, Any]] = []
        self.next_stale_ms = 0

    def look(
        self,
        panel: ReturnPanel,
        market: Market,
        pairs: Pairs,
        breaks: Breaks,
        leader: tuple[str | None, tuple[str, ...]],
    ) -> None:
        """Take over one computed hour. pairs: all of a small universe, else those that may be broken."""
        self._leader = leader
        self._n: list[int] = panel.counts.tolist()
        self._flat: list[bool] = market.flat().tolist()
        self._known: list[bool] = market.known().tolist()
        self._closed: list[int | None] = [
            None if hour == NEVER else (hour + 1) * HOUR_MS for hour in panel.newest.tolist()
        ]
        self._severity = {key: breaks.severity(key) for key in sorted(breaks.open)}
        self._mine = [[] for _ in self._n]
        for key in self._severity:
            for row in key:
                self._mine[row].append(key)
        self._since = {key: broken.episode.started_ms or 0 for key, broken in breaks.open.items()}
        self._tell_pairs(pairs)
        self._matrix = _matrix(market.matrix()) if self.shows_all else None
        self.next_stale_ms = 0

    @property
    def shows_all(self) -> bool:
        """Whether the universe is small enough to list every pair."""
        return len(self._labels.symbols) <= SHOWN_SYMBOLS

    def turned_stale(self, now_ms: int) -> bool:
        """Whether a reading may have become stale since this was last asked."""
        if now_ms <= self.next_stale_ms:
            return False
        deadlines = [closed_ms + LATE_MS for closed_ms in self._closed if closed_ms is not None]
        self.next_stale_ms = min((moment for moment in deadlines if moment >= now_ms), default=_NEVER_STALE)
        return True

    def declare_unavailable(self, reasons: Mapping[str, str]) -> None:
        """Symbols that have no candles, and why."""
        self._unavailable = dict(reasons)

    def readings(self, now_ms: int) -> Sequence[Reading]:
        """All of them."""
        return [*(self.of(row, now_ms) for row in range(len(self._labels.symbols))), self.market(now_ms)]

    def of(self, row: int, now_ms: int) -> CorrelationReading:
        """The reading of one symbol."""
        status, detail = self._status(row, now_ms)
        return CorrelationReading(
            feature=FEATURE,
            symbol=self._labels.symbols[row],
            status=status,
            as_of_ms=self._closed[row],
            n=self._n[row],
            needed=NEEDED,
            coverage=self._n[row] / PANEL_HOURS,
            detail=detail,
            **self._breaks_of(self._mine[row]),
            **self._pairs[row],
        )

    def market(self, now_ms: int) -> MarketCorrelationReading:
        """The reading of the market."""
        best = max(
            range(len(self._n)), key=lambda row: (self._known[row], self._closed[row] or 0, self._n[row])
        )
        status, detail = self._status(best, now_ms)
        return MarketCorrelationReading(
            feature=FEATURE,
            symbol=MARKET,
            status=status,
            as_of_ms=max((moment for moment in self._closed if moment is not None), default=None),
            n=self._n[best],
            needed=NEEDED,
            coverage=sum(self._n) / len(self._n) / PANEL_HOURS,
            detail=detail,
            assets=self._labels.short,
            matrix=self._matrix,
            **self._breaks_of(list(self._severity)),
            **self._pairs[-1],
        )

    def _status(self, row: int, now_ms: int) -> tuple[Status, str | None]:
        if len(self._labels.symbols) < 2:
            return Status.UNAVAILABLE, "a correlation needs at least two symbols"
        closed_ms = self._closed[row]
        if closed_ms is None and self._labels.symbols[row] in self._unavailable:
            return Status.UNAVAILABLE, self._unavailable[self._labels.symbols[row]]
        if not self._known[row]:
            if self._flat[row]:
                return Status.DEGENERATE, "the price has not moved for a week"
            return (
                Status.WARMING,
                f"{self._n[row]} of {NEEDED} hourly returns, and a second symbol with as many",
            )
        if closed_ms is not None and now_ms > closed_ms + LATE_MS:
            return Status.STALE, f"no bar since {iso_utc(closed_ms)}"
        return Status.OK, None

    def _breaks_of(self, keys: Sequence[PairKey]) -> dict[str, Any]:
        leader, followers = self._leader
        names = {key: self._labels.pair(*key) for key in keys}
        return {
            "alert_level": max((self._severity[key] for key in keys), default=None),
            "breaks": tuple(names.values()),
            "broken_since_ms": {name: self._since[key] for key, name in names.items()},
            "leading_asset": leader,
            "lagging_assets": followers,
        }

    def _tell_pairs(self, pairs: Pairs) -> None:
        """For each row, and last for the market: for each number its value in each pair that is listed."""
        keys = list(zip(pairs.row.tolist(), pairs.column.tolist(), strict=True))
        shown = [place for place, key in enumerate(keys) if self.shows_all or key in self._severity]
        size = len(self._labels.symbols)
        places: list[list[int]] = [[] for _ in range(size)]
        for place in shown:
            for row in keys[place]:
                places[row].append(place)
        names = {place: self._labels.pair(*keys[place]) for place in shown}
        columns = {field: _plain(getattr(pairs, field)) for field in Pairs._fields[2:]}
        self._pairs = [
            {field: {names[p]: values[p] for p in listed} for field, values in columns.items()}
            if listed
            else _NO_PAIRS
            for listed in [*places, shown]
        ]


def _plain(values: FloatArray) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 (NaN test)


def _matrix(r: FloatArray) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(_plain(row)) for row in r.round(DIGITS))

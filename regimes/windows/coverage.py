"""How much of a trailing span was really watched, venue by venue."""

from typing import Any, Final, NamedTuple

MOST_GAPS: Final = 512
"""Closed gaps kept for one venue and symbol; beyond it the two nearest become one, which counts as unseen."""

Interval = tuple[int, int]


class View(NamedTuple):
    """One symbol's coverage at one moment. venues: those its data come from; blind: a gap is open."""

    observed_ms: int
    venues: tuple[str, ...]
    available: bool
    blind: bool


class Coverage:
    """What was watched of the last `span_ms`: time since the first tick, less the gaps each venue reported.

    A venue counts once it has shown itself, by data or by a gap; several venues count equally. Gaps hold for one
    of `symbols` or, with symbol None, for all. Symbol `market` is touched by every gap.
    """

    def __init__(self, span_ms: int, symbols: frozenset[str], market: str) -> None:
        self.span_ms = span_ms
        self.venues: set[str] = set()
        self._symbols = symbols
        self._market = market
        self._begun_ms: int | None = None
        self._lacking: set[tuple[str, str | None]] = set()
        self._closed: dict[tuple[str, str | None], list[Interval]] = {}
        self._open: dict[tuple[str, str | None, int], None] = {}
        # What `view` has worked out at one moment; symbols of which nothing was said share one, under "".
        self._views: dict[str, View] = {}
        self._viewed_ms = 0
        self._named: set[str | None] = {market}

    def begin(self, ts_ms: int) -> None:
        """Time from which something could have been seen; only the first call counts."""
        if self._begun_ms is None:
            self._begun_ms = ts_ms
            self._views.clear()

    def seen(self, venue: str) -> None:
        """Note that a venue delivers."""
        self.venues.add(venue)
        self._views.clear()

    def gap(self, venue: str, symbol: str | None, from_ms: int, to_ms: int | None) -> None:
        """Note a gap, or the end of one noted before."""
        self.seen(venue)
        name = symbol if symbol is None or symbol in self._symbols else self._market
        self._named.add(name)
        if to_ms is None:
            self._open[venue, name, from_ms] = None
            return
        self._open.pop((venue, name, from_ms), None)
        if from_ms < to_ms:
            intervals = self._closed.setdefault((venue, name), [])
            intervals[:] = _thinned(_union([*intervals, (from_ms, to_ms)]))

    def lacks(self, venue: str, symbol: str | None) -> None:
        """Note that a venue has no such data, for one symbol or at all."""
        if symbol is None or symbol in self._symbols:
            self._lacking.add((venue, symbol))
            self._named.add(symbol)
            self._views.clear()

    def view(self, symbol: str, now_ms: int) -> View:
        """What was watched of a symbol up to now."""
        if now_ms != self._viewed_ms:
            self._views.clear()
            self._viewed_ms = now_ms
        key = symbol if symbol in self._named else ""
        known = self._views.get(key)
        if known is None:
            known = self._views[key] = self._view(symbol, now_ms)
        return known

    def observed_share(self, symbol: str, start_ms: int, end_ms: int) -> float:
        """Which share of a time within the span was watched, 0 to 1."""
        venues = self.view(symbol, end_ms).venues
        return self._observed_ms(venues, symbol, start_ms, end_ms) / (end_ms - start_ms)

    def expire(self, now_ms: int) -> None:
        """Forget gaps that have left the span."""
        edge = now_ms - self.span_ms
        for key, intervals in list(self._closed.items()):
            intervals[:] = [interval for interval in intervals if interval[1] > edge]
            if not intervals:
                del self._closed[key]
        self._views.clear()

    def snapshot(self) -> dict[str, Any]:
        """All of it, in an order that does not depend on hashing."""
        return {
            "begun_ms": self._begun_ms,
            "venues": sorted(self.venues),
            "lacking": sorted(self._lacking, key=str),
            "closed": [[*key, intervals] for key, intervals in sorted(self._closed.items(), key=str)],
            "open": [list(key) for key in self._open],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot."""
        self._begun_ms = snapshot["begun_ms"]
        self.venues = set(snapshot["venues"])
        self._lacking = {(venue, symbol) for venue, symbol in snapshot["lacking"]}
        self._closed = {
            (venue, symbol): [(start, end) for start, end in intervals]
            for venue, symbol, intervals in snapshot["closed"]
        }
        self._open = dict.fromkeys((venue, symbol, from_ms) for venue, symbol, from_ms in snapshot["open"])
        self._named = {self._market}
        self._named |= {name for _, name in self._lacking | set(self._closed)}
        self._named |= {name for _, name, _ in self._open}
        self._views.clear()

    def _view(self, symbol: str, now_ms: int) -> View:
        venues = tuple(sorted(venue for venue in self.venues if self._serves(venue, symbol)))
        lacking = not self.venues and any(name in {None, symbol} for _, name in self._lacking)
        blind = any(where in venues and self._touches(name, symbol) for where, name, _ in self._open)
        return View(
            self._observed_ms(venues, symbol, now_ms - self.span_ms, now_ms),
            venues,
            available=not lacking if not self.venues else bool(venues),
            blind=blind,
        )

    def _observed_ms(self, venues: tuple[str, ...], symbol: str, start_ms: int, end_ms: int) -> int:
        """How much of a time was watched, the mean over the venues."""
        if self._begun_ms is None or not venues:
            return 0
        start = max(self._begun_ms, start_ms)
        missed = sum(self._missed_ms(venue, symbol, start, end_ms) for venue in venues)
        return max(0, end_ms - start) - missed // len(venues)

    def _touches(self, name: str | None, symbol: str) -> bool:
        """Whether a gap under this name is one of this symbol."""
        return name is None or symbol in {name, self._market}

    def _serves(self, venue: str, symbol: str) -> bool:
        return (venue, None) not in self._lacking and (venue, symbol) not in self._lacking

    def _missed_ms(self, venue: str, symbol: str, start_ms: int, end_ms: int) -> int:
        gaps = [
            interval
            for (where, name), intervals in self._closed.items()
            if where == venue and self._touches(name, symbol)
            for interval in intervals
        ]
        gaps += [
            (from_ms, end_ms)
            for where, name, from_ms in self._open
            if where == venue and self._touches(name, symbol)
        ]
        return sum(max(0, min(to, end_ms) - max(since, start_ms)) for since, to in _union(gaps))


def _union(intervals: list[Interval]) -> list[Interval]:
    """The same time, in disjoint pieces from early to late."""
    pieces: list[Interval] = []
    for start, end in sorted(intervals):
        if pieces and start <= pieces[-1][1]:
            pieces[-1] = (pieces[-1][0], max(end, pieces[-1][1]))
        else:
            pieces.append((start, end))
    return pieces


def _thinned(pieces: list[Interval]) -> list[Interval]:
    """At most MOST_GAPS pieces: the two with the least between them become one."""
    while len(pieces) > MOST_GAPS:
        nearest = min(range(1, len(pieces)), key=lambda i: pieces[i][0] - pieces[i - 1][1])
        pieces[nearest - 1 : nearest + 1] = [(pieces[nearest - 1][0], pieces[nearest][1])]
    return pieces

"""Who moves first, if that can be proved: looked for once a day, between a few symbols."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.correlation_engine.minutes import WINDOW_MINUTES
from regimes.features.correlation_engine.reading import Labels
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import FloatArray, holm
from regimes.maths.lead_lag import LAGS, Ticks, lead as lead_lag, steadied
from regimes.maths.leadership import lead
from regimes.observations import MARKET

TESTED_SYMBOLS: Final = 6
"""Leadership is tested between the first six symbols: their 15 pairs are as many as Holm's correction at .01 lets
pass with 2,000 bootstrap draws."""
ENOUGH_MINUTES: Final = 2 * WINDOW_MINUTES // 3


class Leadership(msgspec.Struct, frozen=True):
    """A proven leader and those proven to follow it, as places in the universe.

    lag_minutes: by how much each does, where minutes were looked at.
    """

    leader: int | None = None
    followers: tuple[int, ...] = ()
    lag_minutes: tuple[int, ...] = ()


NOBODY: Final = Leadership()


def find_leader(returns: FloatArray, *, seed: int, alpha: float) -> Leadership:
    """The one symbol that leads others and follows none, each lead proved by bootstrap with Holm's correction.

    returns: shape (symbols, hours), oldest first; only the first TESTED_SYMBOLS rows are looked at, and of
    those the ones that have two thirds of the hours. Among several leaders the one with most followers; if
    that is still a tie, nobody.
    """
    enough = 2 * returns.shape[1] // 3
    rows = [row for row, series in enumerate(returns[:TESTED_SYMBOLS]) if np.isfinite(series).sum() >= enough]
    tested = [(a, b, lead(returns[a], returns[b], seed=seed)) for a, b in combinations(rows, 2)]
    found = [(a, b, result) for a, b, result in tested if result is not None]
    proven = holm([result.p for _, _, result in found], alpha)
    return _leader_of(
        [
            (a, b) if result.asymmetry > 0 else (b, a)
            for (a, b, result), sure in zip(found, proven, strict=True)
            if sure and result.follows > 0
        ]
    )


def find_leader_in_minutes(prices: Sequence[Ticks], *, alpha: float) -> Leadership:
    """The same by minutes, and by how many of them each follower follows (`maths.lead_lag`).

    prices: logarithms of closes of each symbol, at the minutes in which it traded; symbols with less than two thirds of
    WINDOW_MINUTES are left out.
    """
    traded = {row: steadied(ticks) for row, ticks in enumerate(prices) if len(ticks.times) >= ENOUGH_MINUTES}
    tested = [(a, b, lead_lag(traded[a], traded[b])) for a, b in combinations(traded, 2)]
    found = [(a, b, result) for a, b, result in tested if result is not None]
    proven = holm([result.p for _, _, result in found], alpha)
    lags = {
        (a, b) if result.lag > 0 else (b, a): abs(result.lag)
        for (a, b, result), sure in zip(found, proven, strict=True)
        if sure
    }
    chosen = _leader_of(list(lags))
    behind = tuple(lags[chosen.leader, row] for row in chosen.followers if chosen.leader is not None)
    return msgspec.structs.replace(chosen, lag_minutes=behind)


def _leader_of(edges: Sequence[tuple[int, int]]) -> Leadership:
    followers = {b for _, b in edges}
    ranked = sorted(
        ((sum(a == leader for a, _ in edges), leader) for leader in {a for a, _ in edges} - followers),
        reverse=True,
    )
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return NOBODY
    leader = ranked[0][1]
    return Leadership(leader, tuple(sorted(b for a, b in edges if a == leader)))


class _Words(NamedTuple):
    """How an event says where a lead was looked for."""

    span: str
    why: str
    data: dict[str, Any]


class Leaders:
    """The present leader, and its one event."""

    def __init__(self, settings: CorrelationSettings, labels: Labels) -> None:
        self._settings = settings
        self._labels = labels
        self.now = NOBODY
        self._day: int | None = None
        self._started_ms = 0

    def due(self, hour: int) -> bool:
        """Whether no search has been made yet on the UTC day of this hour."""
        return self._day is None or hour // 24 > self._day

    def search(self, returns: FloatArray, hour: int, at_ms: int, now_ms: int) -> list[Event]:
        """Look for a leader as of one hour. returns: the newest `leadership_window_hours`, seeded by the day."""
        self._day = hour // 24
        found = find_leader(returns, seed=self._day, alpha=self._settings.leadership_alpha)
        return self._changed_to(found, at_ms, now_ms)

    def search_minutes(self, prices: Sequence[Ticks], hour: int, at_ms: int, now_ms: int) -> list[Event]:
        """Look for a leader as of one hour. prices: the newest WINDOW_MINUTES of each symbol."""
        self._day = hour // 24
        found = find_leader_in_minutes(prices, alpha=self._settings.leadership_alpha)
        return self._changed_to(found, at_ms, now_ms)

    def _changed_to(self, found: Leadership, at_ms: int, now_ms: int) -> list[Event]:
        before, self.now = self.now, found
        if found.leader == before.leader:
            return []
        events = []
        if before.leader is not None:
            events.append(self._event(Phase.CLOSED, before, self._started_ms, now_ms))
        if found.leader is not None:
            self._started_ms = at_ms
            events.append(self._event(Phase.OPENED, found, at_ms, now_ms))
        return events

    def names(self) -> tuple[str | None, tuple[str, ...]]:
        """Leader and followers by symbol."""
        return self._names(self.now)

    def _names(self, leadership: Leadership) -> tuple[str | None, tuple[str, ...]]:
        symbols = self._labels.symbols
        leader = None if leadership.leader is None else symbols[leadership.leader]
        return leader, tuple(symbols[row] for row in leadership.followers)

    def _event(self, phase: Phase, subject: Leadership, started_ms: int, now_ms: int) -> Event:
        leader, followers = self._names(subject)
        behind = ", ".join(followers)
        opened = phase is Phase.OPENED
        words = self._words(subject)
        return Event(
            type=EventType.LEADERSHIP_CHANGE,
            symbol=MARKET,
            severity=Severity.INFO,
            phase=phase,
            ts_ms=now_ms,
            started_ms=started_ms,
            revision=0 if opened else 1,
            title=f"{leader} leads {behind}" if opened else f"{leader} no longer leads",
            description=f"In the last {words.span} returns of {behind} "
            + (f"followed those of {leader}." if opened else f"were not proven to follow those of {leader}."),
            why=words.why + ("" if opened else ": no longer passed"),
            data={"leading_asset": leader, "lagging_assets": list(followers), **words.data},
        )

    def _words(self, subject: Leadership) -> "_Words":
        alpha = f"with Holm's correction at {self._settings.leadership_alpha:g}"
        if self._settings.leadership_bars == "1h":
            hours = f"{self._settings.leadership_window_hours} h the hourly"
            return _Words(hours, f"lagged correlation, lags 1 to 5 h, block bootstrap {alpha}", {})
        return _Words(
            f"{WINDOW_MINUTES:,} minutes the 1-minute",
            f"lagged correlation of Hayashi and Yoshida, lags 1 to {LAGS} min, both ways compared, {alpha}",
            {"lag_minutes": list(subject.lag_minutes)},
        )

    def snapshot(self) -> dict[str, Any]:
        """The leader, since when, and the day of the last search."""
        return {"now": msgspec.to_builtins(self.now), "day": self._day, "started_ms": self._started_ms}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot."""
        self.now = msgspec.convert(snapshot["now"], Leadership)
        self._day, self._started_ms = snapshot["day"], snapshot["started_ms"]

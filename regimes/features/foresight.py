"""Hours of the past, judged together before they are told one by one.

A replay knows what comes. What numpy takes for one hour it takes for a day of them, so a feature that can is given the next
hours at once, and what it says of each is told when that hour has come. If anything else comes than was foreseen, the
feature is put back to where it stood and goes on hour by hour: nothing is ever told that a run would not have said.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, Protocol, cast, runtime_checkable

import numpy as np

from regimes.events import Event
from regimes.features.base import NOTHING, Feature, Output, Reading, Replayable, Snapshot
from regimes.observations import Candle, Observation, Tick
from regimes.timeframe import HOUR_MS
from regimes.windows.inbox import Batch, column

FORESEEN_HOURS: Final = 24
"""So many hours are judged together: no more than every window has room for beyond its own length."""
_LEAST_HOURS: Final = 4
_FAR: Final = 1 << 62


class Hours:
    """Some hours in a row, and the closed bar of each symbol in each; candles: one list an hour, in order of arrival."""

    def __init__(self, symbols: Sequence[str], first_ms: int, candles: Sequence[Sequence[Candle]]) -> None:
        self.candles = candles
        self.open_ms = [first_ms + place * HOUR_MS for place in range(len(candles))]
        self._rows = {symbol: row for row, symbol in enumerate(symbols)}

    def batch(self) -> Batch:
        """All bars as columns, hour by hour."""
        bars = [bar for hour in self.candles for bar in hour]
        return Batch(
            rows=np.array([self._rows[bar.symbol] for bar in bars], dtype=np.int64),
            open_ms=np.array([bar.open_ms for bar in bars], dtype=np.int64),
            close=column(bars, attrgetter("close")),
            volume=column(bars, attrgetter("base_volume")),
            candles=bars,
        )


@runtime_checkable
class Foresighted(Protocol):
    """A feature on closed hourly bars that can judge several hours together.

    tells_at_tick: whether it speaks at the Tick after the last bar of an hour, or else with that bar.
    """

    tells_at_tick: bool

    def awaits(self, hour_ms: int) -> bool:
        """Whether all before this hour is done, of every symbol, and nothing waits."""
        ...

    def foresee(self, hours: Hours) -> list[list[Event]] | None:
        """Take these hours and say what would leave with each; None if they have to be taken one by one."""
        ...


class _Sight(Feature, Foresighted, Replayable, Protocol):
    """What can be foreseen."""


class Coming:
    """The closed hourly bars of all symbols that are about to come."""

    def __init__(self, symbols: Sequence[str], observations: Iterable[Observation]) -> None:
        self._symbols = symbols
        self._known = frozenset(symbols)
        self._hours: dict[int, dict[str, Candle]] = {}
        for bar in observations:
            if type(bar) is Candle and bar.closed and bar.timeframe == "1h" and bar.symbol in self._known:
                self._hours.setdefault(bar.open_ms, {}).setdefault(bar.symbol, bar)

    def knows(self, symbol: str) -> bool:
        """Whether it is one of the symbols."""
        return symbol in self._known

    def after(self, bar: Candle) -> Hours | None:
        """Return the whole hours that begin with the one of this bar, if there are enough of them in a row."""
        hours: list[list[Candle]] = []
        for at_ms in range(bar.open_ms, bar.open_ms + FORESEEN_HOURS * HOUR_MS, HOUR_MS):
            bars = self._hours.get(at_ms, {})
            if len(bars) < max(1, len(self._symbols)):
                break
            hours.append(list(bars.values()))
        return Hours(self._symbols, bar.open_ms, hours) if len(hours) >= _LEAST_HOURS else None


class Foreseen:
    """A feature that is given its hours in advance; from outside, the feature itself."""

    def __init__(self, feature: Any) -> None:
        self._feature: _Sight = feature
        self.name, self.section, self.package_key = feature.name, feature.section, feature.package_key
        self.settings_type, self.wants = feature.settings_type, feature.wants
        self.quiet = True
        self._coming = Coming((), ())
        self._tried_ms = -1
        self._hours: Hours | None = None
        self._before: Snapshot = {}
        self._events: list[list[Event]] = []
        self._told_ms: list[int] = []
        self._ticked_ms = 0
        self._awaited: dict[str, Candle] = {}
        self._next_close_ms = _FAR

    def expect(self, coming: Coming) -> None:
        """Say what is about to come."""
        self._coming, self._tried_ms = coming, -1

    def update(self, observation: Observation) -> Output:
        """Take one observation, and tell what was foreseen for it."""
        kind = type(observation)
        if self._hours is None and (kind is not Candle or not self._begins(observation)):  # type: ignore[arg-type]
            return self._feature.update(observation)
        if kind is Candle:
            return self._bar(observation)  # type: ignore[arg-type]
        if kind is Tick:
            return self._tick(observation)  # type: ignore[arg-type]
        self._fall_back()
        return self._feature.update(observation)

    def due_ms(self) -> int:
        """As the feature; where hours are foreseen, as soon as one is whole, and when the next is overdue."""
        if self._hours is None:
            return self._feature.due_ms()
        return 0 if self._is_under_way() else self._next_close_ms + 1

    def warmup(self) -> Sequence[Any]:
        """As the feature."""
        return self._feature.warmup()

    def readings(self) -> Sequence[Reading]:
        """As the feature, hour by hour from now on."""
        self._fall_back()
        return self._feature.readings()

    def snapshot(self) -> Snapshot:
        """As the feature, hour by hour from now on."""
        self._fall_back()
        return self._feature.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """As the feature."""
        self._hours, self._tried_ms = None, -1
        self._feature.restore(snapshot)

    def _is_under_way(self) -> bool:
        """Whether some bars of the present hour have come, and it has not been told."""
        return len(self._awaited) < len(self._expected())

    def _expected(self) -> Sequence[Candle]:
        return [] if self._hours is None else self._hours.candles[len(self._told_ms)]

    def _begins(self, bar: Candle) -> bool:
        """Whether hours are foreseen from this bar on."""
        if bar.open_ms == self._tried_ms:
            return False
        self._tried_ms = bar.open_ms
        if not self._feature.awaits(bar.open_ms) or (hours := self._coming.after(bar)) is None:
            return False
        before = self._feature.snapshot()
        events = self._feature.foresee(hours)
        if events is None:
            self._feature.restore(before)
            return False
        self._hours, self._before, self._events, self._told_ms = hours, before, events, []
        self._ticked_ms = 0
        self._await()
        return True

    def _await(self) -> None:
        self._awaited = {bar.symbol: bar for bar in self._expected()}
        self._next_close_ms = self._expected()[0].open_ms + HOUR_MS

    def _bar(self, bar: Candle) -> Output:
        if bar.timeframe != "1h" or not self._coming.knows(bar.symbol):
            return NOTHING
        if self._awaited.get(bar.symbol) is not bar:
            self._fall_back()
            return self._feature.update(bar)
        del self._awaited[bar.symbol]
        if self._awaited or self._feature.tells_at_tick:
            return NOTHING
        return self._tell(self._next_close_ms)

    def _tick(self, tick: Tick) -> Output:
        if not self._awaited:
            return self._tell(tick.ts_ms)
        if self._is_under_way() or tick.ts_ms > self._next_close_ms:
            self._fall_back()
            return self._feature.update(tick)
        self._ticked_ms = tick.ts_ms
        return NOTHING

    def _tell(self, now_ms: int) -> Output:
        """Say what was foreseen of the hour that is whole."""
        events = self._events[len(self._told_ms)]
        self._told_ms.append(now_ms)
        if len(self._told_ms) < len(self._events):
            self._await()
        else:
            self._hours, self._tried_ms = None, -1
            self._feature.update(Tick(now_ms))
        return Output(events=events) if events else NOTHING

    def _fall_back(self) -> None:
        """Be where the feature would stand had nothing been foreseen."""
        hours, self._hours = self._hours, None
        if hours is None:
            return
        self._feature.restore(self._before)
        for bars, told_ms in zip(hours.candles, self._told_ms, strict=False):
            for bar in bars:
                self._feature.update(bar)
            self._feature.update(Tick(told_ms))
        if self._ticked_ms:
            self._feature.update(Tick(self._ticked_ms))
        for bar in hours.candles[len(self._told_ms)]:
            if bar.symbol not in self._awaited:
                self._feature.update(bar)


def foreseen(feature: Feature) -> Feature:
    """The feature, given its hours in advance if it can be."""
    return cast("Feature", Foreseen(feature)) if isinstance(feature, Foresighted) else feature

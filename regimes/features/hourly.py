"""What the features on closed hourly bars share: intake, catching up hour by hour, staleness, snapshots."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from regimes.errors import DataError
from regimes.events import Event, iso_utc
from regimes.features.base import NOTHING, Output, Reading, Snapshot, Status, Universe
from regimes.features.deferred import Deferred
from regimes.features.foresight import Hours
from regimes.features.latch import news
from regimes.observations import Candle, Observation, Tick, Unavailable
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from regimes.windows.bars import BoolArray, IntArray
from regimes.windows.inbox import Batch, CandleInbox

# The next bar closes an hour after the newest; ten minutes are left for it to arrive.
STALE_AFTER_MS: Final = HOUR_MS + 10 * MINUTE_MS
# After a day without a bar, nothing is left that was seen within a day: no state is claimed any more.
EXPIRED_AFTER_MS: Final = DAY_MS
# When many bars came at once (at the start, after a gap), so many of the newest are judged one by one, so
# that the state is the one that Ticks in between would have given.
CATCH_UP_HOURS: Final = 48
_NEVER: Final = -1


Rows: TypeAlias = IntArray | slice
"""Some symbols; all of them as a slice, which costs much less."""
Standing: TypeAlias = tuple[Status, int | None, str | None]
"""Status, as_of_ms and detail of a reading."""


# How old the newest bar of a symbol is.
_FRESH: Final = 0
_STALE: Final = 1
_EXPIRED: Final = 2
# Looking up a member of an enumeration costs more than all else in a reading.
_OK: Final = Status.OK


class HourlyFeature(ABC):
    """A feature that judges every symbol once for each closed hourly bar, all symbols together at the Tick.

    A subclass keeps its windows in panels, its results in arrays made by `_per_symbol`, and says how to store
    bars, judge an hour, forget a symbol and word a reading. Bars that come late are stored at their own time,
    and the newest hour of their symbol is judged again.
    """

    name: ClassVar[str]
    wants: ClassVar[frozenset[type[Observation]]] = frozenset({Candle, Tick, Unavailable})
    tells_at_tick: ClassVar[bool] = True

    def __init__(self, universe: Universe) -> None:
        self.quiet = False
        self._symbols = universe.symbols
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._inbox = CandleInbox(universe.symbols)
        self._now_ms = 0
        self._next_age_ms = 0
        self._newest_ms: IntArray = self._per_symbol("newest_ms", _NEVER)
        self._judged_ms: IntArray = self._per_symbol("judged_ms", _NEVER)
        self._age: IntArray = self._per_symbol("age", _FRESH)
        self._dirty: BoolArray = self._per_symbol("dirty", fill=False)
        self._untold: BoolArray = self._per_symbol("untold", fill=True)
        self._absent: list[str | None] = [None] * len(self._symbols)
        self._told: Sequence[Reading] = ()

    def update(self, observation: Observation) -> Output:
        """Collect bars; at a Tick judge what is new and say what changed."""
        if isinstance(observation, Candle):
            if self._inbox.add(observation):
                self._take_in()
        elif isinstance(observation, Tick):
            return self._tick(observation.ts_ms)
        elif isinstance(observation, Unavailable) and observation.kind == "candle":
            self._mark_absent(observation)
        return NOTHING

    def load(self, batch: Batch) -> Output:
        """Take many bars at once and judge them, as the Tick at the close of the newest would."""
        self._take(batch)
        return self._tick(int(batch.open_ms.max(initial=0)) + HOUR_MS)

    def due_ms(self) -> int:
        """At once for bars that wait; else when some symbol grows old."""
        if len(self._inbox) or self._dirty.any():
            return 0
        return self._next_age_ms + 1

    def awaits(self, hour_ms: int) -> bool:
        """Whether every symbol is judged up to the hour before, and time is not past the end of this one."""
        settled = not len(self._inbox) and self._now_ms <= hour_ms + HOUR_MS and not self._dirty.any()
        newest = (self._newest_ms == hour_ms - HOUR_MS) & (self._judged_ms == hour_ms - HOUR_MS)
        return settled and bool((newest & (self._age == _FRESH)).all())

    def foresee(self, hours: Hours) -> list[list[Event]] | None:
        """Judge these hours as the Ticks after each would; None if they have to come one by one."""
        batch = hours.batch()
        events = self._judge_together(hours.open_ms) if self._store(batch).all() else None
        if events is None:
            return None
        self._newest_ms[:] = self._judged_ms[:] = hours.open_ms[-1]
        self._now_ms = hours.open_ms[-1] + HOUR_MS
        self._untold[:] = True
        self._next_age_ms = 0
        return [news(told) for told in events]

    def readings(self) -> Sequence[Reading]:
        """The reading of every symbol, in configured order."""
        if not self._told:
            self._told = self._deferred(np.arange(len(self._symbols)))
        return self._told

    def passing(self) -> Snapshot:
        """The time: all else follows from bars, and is told when a Tick moves it."""
        return {"now_ms": self._now_ms}

    def snapshot(self) -> Snapshot:
        """All state; bars that wait for a Tick are stored first."""
        self._take_in()
        return {
            **self.passing(),
            "symbols": list(self._symbols),
            "absent": list(self._absent),
            "arrays": {name: values.tobytes() for name, values in self._arrays.items()},
            "state": self._save(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Take back a snapshot made with the same settings and symbols; raises DataError otherwise."""
        arrays: dict[str, bytes] = snapshot["arrays"]
        sizes = {name: len(raw) for name, raw in arrays.items()}
        if tuple(snapshot["symbols"]) != self._symbols or sizes != {
            n: a.nbytes for n, a in self._arrays.items()
        }:
            raise DataError(
                f"snapshot of {type(self).__name__} is for other symbols or timeframes than the configured"
                f" {', '.join(self._symbols[:5])} ({len(self._symbols)} in all): start without it"
            )
        for name, values in self._arrays.items():
            values[...] = np.frombuffer(arrays[name], dtype=values.dtype).reshape(values.shape)
        self._inbox.take()
        self._now_ms = snapshot["now_ms"]
        self._absent = list(snapshot["absent"])
        self._load(snapshot["state"])
        self._told = ()
        self._set_next_age()

    @abstractmethod
    def _store(self, batch: Batch) -> BoolArray:
        """Put bars into the windows; say which were taken (neither too old nor there already)."""

    @abstractmethod
    def _present(self, hour_ms: int) -> BoolArray:
        """Which symbols have the bar that opened at `hour_ms`."""

    @abstractmethod
    def _judge(self, rows: IntArray, hour_ms: int) -> list[Event]:
        """Compute the state of these symbols with windows that end at `hour_ms`."""

    @abstractmethod
    def _judge_together(self, hours_ms: Sequence[int]) -> list[list[Event]] | None:
        """Judge hours in a row that all symbols have, for each; None, whatever was done by then, if that cannot be."""

    @abstractmethod
    def _forget(self, rows: IntArray) -> list[Event]:
        """End what is open for symbols whose data stopped a day ago, and drop their numbers."""

    @abstractmethod
    def _describe(self, rows: IntArray) -> Callable[[], list[Reading]]:
        """Copy what the readings of these symbols say as of now; the answer makes them from that."""

    @abstractmethod
    def _save(self) -> Snapshot:
        """State that is not in the arrays of `_per_symbol`."""

    @abstractmethod
    def _load(self, state: Snapshot) -> None:
        """Take back what `_save` gave; the arrays are back already."""

    def _per_symbol(self, name: str, fill: float, *layers: int) -> npt.NDArray[Any]:
        """An array with a last axis of symbols that is part of every snapshot."""
        values = np.full((*layers, len(self._symbols)), fill)
        self._arrays[name] = values
        return values

    def _standing(self, rows: IntArray, ready: BoolArray) -> Callable[[], list[Standing]]:
        """Status, as_of_ms and what is missing for each symbol; `ready` says whether its numbers exist."""
        ages, judged_ms = taken(self._age, rows), taken(self._judged_ms, rows)
        absent = {} if self._all_judged else {r: self._absent[r] for r in rows[judged_ms == _NEVER].tolist()}

        def stand() -> list[Standing]:
            fresh = ready & (ages == _FRESH) & (judged_ms != _NEVER)
            return [
                (_OK, close_ms, None) if is_fresh else _stand(close_ms, age, absent, row, ready=is_ready)
                for row, is_ready, is_fresh, age, close_ms in zip(
                    rows.tolist(),
                    ready.tolist(),
                    fresh.tolist(),
                    ages.tolist(),
                    (judged_ms + HOUR_MS).tolist(),
                    strict=True,
                )
            ]

        return stand

    def _at(self, rows: IntArray) -> Rows:
        """These symbols, each once and in order, as an index."""
        return slice(None) if len(rows) == len(self._symbols) else rows

    @property
    def _all_judged(self) -> bool:
        return bool((self._judged_ms != _NEVER).all())

    def _tick(self, ts_ms: int) -> Output:
        self._now_ms = max(self._now_ms, ts_ms)
        self._take_in()
        events = self._catch_up() if self._dirty.any() else []
        if self._now_ms > self._next_age_ms:
            events += self._grow_old()
        rows = np.flatnonzero(self._untold)
        if not rows.size:
            return NOTHING
        self._untold[:] = False
        if self.quiet:
            self._told = ()
            return Output(events=news(events)) if events else NOTHING
        readings = self._deferred(rows)
        self._told = readings if len(rows) == len(self._symbols) else ()
        return Output(readings=readings, events=news(events))

    def _deferred(self, rows: IntArray) -> Deferred:
        """The readings of these symbols as of now; numbers are set aside here, words found when they are read."""
        describe, made = self._describe(rows), list[Reading]()

        def make(place: int) -> Reading:
            if not made:
                made.extend(describe())
            return made[place]

        whole = len(rows) == len(self._symbols)
        symbols = self._symbols if whole else [self._symbols[row] for row in rows.tolist()]
        return Deferred(self.name, symbols, make)

    def _take_in(self) -> None:
        batch = self._inbox.take()
        if batch is not None:
            self._take(batch)

    def _take(self, batch: Batch) -> None:
        new = self._store(batch)
        rows, open_ms = (batch.rows, batch.open_ms) if new.all() else (batch.rows[new], batch.open_ms[new])
        np.maximum.at(self._newest_ms, rows, open_ms)
        self._dirty[rows] = True

    def _catch_up(self) -> list[Event]:
        """Judge each hour that has not been judged, oldest first, of the symbols that have a bar there."""
        rows = np.flatnonzero(self._dirty)
        last = self._newest_ms[rows]
        first = np.maximum(self._judged_ms[rows] + HOUR_MS, last - (CATCH_UP_HOURS - 1) * HOUR_MS)
        first = np.minimum(first, last)
        events: list[Event] = []
        for hour_ms in _hours(first, last):
            there = (first <= hour_ms) & (hour_ms <= last) & self._present(hour_ms)[rows]
            at = rows if there.all() else rows[there]
            if at.size:
                events += self._judge(at, hour_ms)
                self._judged_ms[at] = hour_ms
        self._dirty[rows] = False
        self._untold[rows] = True
        self._now_ms = max(self._now_ms, int(last.max()) + HOUR_MS)
        self._age[rows] = _FRESH
        self._next_age_ms = 0
        return events

    def _grow_old(self) -> list[Event]:
        """Notice symbols whose newest bar has become stale, expired, or fresh again."""
        oldest_ms = int(self._judged_ms.min(initial=self._now_ms))
        fresh_until_ms = oldest_ms + HOUR_MS + STALE_AFTER_MS
        if oldest_ms != _NEVER and self._now_ms <= fresh_until_ms and not self._age.any():
            self._next_age_ms = fresh_until_ms
            return []
        since_close = self._now_ms - self._judged_ms - HOUR_MS
        age = np.where(since_close > STALE_AFTER_MS, _STALE, _FRESH)
        age[since_close > EXPIRED_AFTER_MS] = _EXPIRED
        age[self._judged_ms == _NEVER] = _FRESH
        self._untold |= age != self._age
        expired = np.flatnonzero((age == _EXPIRED) & (self._age != _EXPIRED))
        self._age[:] = age
        self._set_next_age()
        return self._forget(expired) if expired.size else []

    def _set_next_age(self) -> None:
        """Earliest time at which some symbol grows older, so that most Ticks need not look."""
        waits = np.where(self._age == _FRESH, STALE_AFTER_MS, EXPIRED_AFTER_MS)
        due = (self._judged_ms + HOUR_MS + waits)[(self._judged_ms != _NEVER) & (self._age != _EXPIRED)]
        self._next_age_ms = int(due.min()) if due.size else np.iinfo(np.int64).max

    def _mark_absent(self, observation: Unavailable) -> None:
        """Remember why there are no bars; it is shown only while there are none."""
        for row, symbol in enumerate(self._symbols):
            if observation.symbol in {None, symbol}:
                self._absent[row] = f"{observation.venue}: {observation.reason}"
                self._untold[row] = self._judged_ms[row] == _NEVER or self._untold[row]


def _hours(first: IntArray, last: IntArray) -> list[int]:
    """Open times of the hours from each first to its last, oldest first."""
    if first.min() == last.max():
        return [int(last[0])]
    spans = set(zip(first.tolist(), last.tolist(), strict=True))
    return sorted({hour for low, high in spans for hour in range(low, high + 1, HOUR_MS)})


def taken(values: npt.NDArray[Any], rows: IntArray) -> npt.NDArray[Any]:
    """A copy of what an array with a last axis of symbols says of these."""
    return values.copy() if len(rows) == values.shape[-1] else values[..., rows]


def _stand(close_ms: int, age: int, absent: Mapping[int, str | None], row: int, *, ready: bool) -> Standing:
    if row in absent:
        return (Status.WARMING if absent[row] is None else Status.UNAVAILABLE), None, absent[row]
    if age == _EXPIRED:
        return Status.WARMING, close_ms, f"no closed bar since {iso_utc(close_ms)}"
    return (Status.STALE if ready else Status.WARMING), close_ms, None

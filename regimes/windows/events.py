"""Money by time: exact sums over several trailing spans at once, whatever the order of arrival."""

from array import array
from bisect import bisect_right
from typing import Any, Final

import numpy as np

from regimes.windows.bars import IntArray

LARGEST_CENTS: Final = 10**12
"""No single amount may be larger (10 B USD), so that no sum can leave 64 bits."""
_COMPACT_FROM: Final = 1024
# From so many on, an array costs less than a loop.
_MANY: Final = 16


def to_cents(usd: float) -> int:
    """Whole cents, so that adding and taking away again leaves nothing behind."""
    return round(usd * 100)


class EventWindow:
    """Amounts by their own time, summed over trailing spans `(now - span, now]`.

    spans_ms: ascending; the longest decides what is kept. capacity: how many are kept at most; beyond it the
    oldest are let go before their time and counted in `dropped`, and sums over the longest span are too low.

    Amounts are integers and kept as running totals: each sum is one subtraction and has no drift. Adding costs
    O(1) in order of time and O(how late) otherwise; `advance` costs O(1) amortised for each amount.
    """

    def __init__(self, spans_ms: tuple[int, ...], capacity: int) -> None:
        self.spans_ms = spans_ms
        self.capacity = capacity
        self.dropped = 0
        self.now_ms = 0
        self._times = array("q")
        # One longer than `_times`: entry i is the total of everything before item i.
        self._gross = array("q", (0,))
        self._long = array("q", (0,))
        self._heads = [0] * len(spans_ms)
        self._in_order_from_ms = 0
        self._largest: int | None = 0

    def __len__(self) -> int:
        """How many are within the longest span."""
        return len(self._times) - self._heads[-1]

    def add(self, ts_ms: int, cents: int, *, is_long: bool) -> bool:
        """Take one amount at its own time; False when it is older than all that is kept.

        cents: from 0 to LARGEST_CENTS.
        """
        if ts_ms < self._in_order_from_ms:
            return self._insert(ts_ms, cents, is_long=is_long)
        self._in_order_from_ms = ts_ms
        self._times.append(ts_ms)
        gross, long = self._gross, self._long
        gross.append(gross[-1] + cents)
        long.append(long[-1] + cents if is_long else long[-1])
        if self._largest is not None and cents > self._largest:
            self._largest = cents
        if len(self._times) - self._heads[-1] > self.capacity:
            self._drop_oldest()
        return True

    def advance(self, now_ms: int) -> None:
        """Let go of what has become too old; `now_ms` never goes back."""
        if now_ms < self.now_ms:
            return
        self.now_ms = now_ms
        self._in_order_from_ms = max(self._in_order_from_ms, now_ms - self.spans_ms[0] + 1)
        times, count, oldest = self._times, len(self._times), self._heads[-1]
        for index, span in enumerate(self.spans_ms):
            head, edge = self._heads[index], now_ms - span
            while head < count and times[head] <= edge:
                head += 1
            self._heads[index] = head
        if self._heads[-1] > oldest:
            self._forget_largest(oldest, self._heads[-1])
        if self._heads[-1] > _COMPACT_FROM and 2 * self._heads[-1] > count:
            self._compact()

    @property
    def due_ms(self) -> int | None:
        """When the next amount leaves one of the spans as they stand, if any is left."""
        times, count = self._times, len(self._times)
        due = [
            times[head] + span for head, span in zip(self._heads, self.spans_ms, strict=True) if head < count
        ]
        return min(due, default=None)

    def falls_below_ms(self, cents: int, place: int | None = None) -> int:
        """When the sum over the shortest span falls below an amount (> 0) if nothing more comes; 0 if it is below.

        place: ask as of the amount at that place, whose sum must not be below.
        """
        if place is not None:
            first = bisect_right(self._gross, self._gross[place + 1] - cents, 0, place + 1)
            return self._times[first - 1] + self.spans_ms[0]
        first = bisect_right(self._gross, self._gross[-1] - cents)
        return self._times[first - 1] + self.spans_ms[0] if first > self._heads[0] else 0

    @property
    def empty_ms(self) -> int:
        """When the last amount leaves the longest span, if nothing more comes."""
        return self._times[-1] + self.spans_ms[-1] if self._times else 0

    @property
    def newest_ms(self) -> int | None:
        """Time of the newest amount within the longest span."""
        return self._times[-1] if len(self) else None

    def sums(self, *, after_ms: int | None = None) -> list[int]:
        """Cents in each span, counting only what is later than `after_ms`."""
        gross, total = self._gross, self._gross[-1]
        if after_ms is None:
            return [total - gross[head] for head in self._heads]
        floor = bisect_right(self._times, after_ms)
        return [total - gross[max(head, floor)] for head in self._heads]

    def count(self, index: int) -> int:
        """How many are in span number `index`."""
        return len(self._times) - self._heads[index]

    def long_cents(self) -> int:
        """The part of the longest span's sum that came from longs."""
        return self._long[-1] - self._long[self._heads[-1]]

    def largest_cents(self) -> int:
        """The largest single amount in the longest span, 0 when it is empty."""
        if self._largest is None:
            view = np.frombuffer(self._gross, dtype=np.int64)[self._heads[-1] :]
            self._largest = int(np.diff(view).max(initial=0))
        return self._largest

    def first_ms(self, index: int, *, after_ms: int | None = None) -> int | None:
        """Time of the earliest amount in span number `index` that is later than `after_ms`."""
        floor = 0 if after_ms is None else bisect_right(self._times, after_ms)
        position = max(self._heads[index], floor)
        return self._times[position] if position < len(self._times) else None

    def crests(self, *, after_ms: int) -> tuple[int, list[int]]:
        """Place of the first amount later than `after_ms`; the sum over the shortest span that ends with it, and so on."""
        times, gross, span_ms = self._times, self._gross, self.spans_ms[0]
        oldest, count = self._heads[-1], len(self._times)
        first = max(bisect_right(times, after_ms), oldest)
        if count - first > _MANY:
            when, totals = (np.frombuffer(values, dtype=np.int64) for values in (times, gross))
            heads = np.maximum(np.searchsorted(when, when[first:] - span_ms, side="right"), oldest)
            return first, (totals[first + 1 :] - totals[heads]).tolist()
        sums, head = [], oldest
        for place in range(first, count):
            head = bisect_right(times, times[place] - span_ms, head, place)
            sums.append(gross[place + 1] - gross[head])
        return first, sums

    def between(self, from_ms: int, end_ms: int) -> range:
        """Places of what came from one time on up to another."""
        first, last = (bisect_right(self._times, ts_ms - 1) for ts_ms in (from_ms, end_ms))
        return range(max(first, self._heads[-1]), last)

    def times_ms(self, places: range) -> IntArray:
        """When these came."""
        return np.array(self._times[places.start : places.stop], dtype=np.int64)

    def since(self, ts_ms: int) -> int:
        """Cents at or after a time, as far as the longest span reaches."""
        position = max(self._heads[-1], bisect_right(self._times, ts_ms - 1))
        return self._gross[-1] - self._gross[position]

    def snapshot(self) -> dict[str, Any]:
        """What is within the longest span, and the counters."""
        head = self._heads[-1]
        return {
            "now_ms": self.now_ms,
            "dropped": self.dropped,
            "times": self._times[head:].tobytes(),
            "gross": _from_zero(self._gross, head).tobytes(),
            "long": _from_zero(self._long, head).tobytes(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot of a window with the same spans."""
        self._times, self._gross, self._long = array("q"), array("q"), array("q")
        self._times.frombytes(snapshot["times"])
        self._gross.frombytes(snapshot["gross"])
        self._long.frombytes(snapshot["long"])
        self._heads = [0] * len(self.spans_ms)
        self._largest = None
        self.dropped = snapshot["dropped"]
        self.now_ms = 0
        self._in_order_from_ms = self._times[-1] if self._times else 0
        self.advance(snapshot["now_ms"])

    def _insert(self, ts_ms: int, cents: int, *, is_long: bool) -> bool:
        position = bisect_right(self._times, ts_ms)
        if ts_ms <= self.now_ms - self.spans_ms[-1] or position < self._heads[-1]:
            return False
        self._times.insert(position, ts_ms)
        for totals, amount in ((self._gross, cents), (self._long, cents if is_long else 0)):
            totals.insert(position + 1, totals[position])
            np.frombuffer(totals, dtype=np.int64)[position + 1 :] += amount
        for index, span in enumerate(self.spans_ms):
            if ts_ms <= self.now_ms - span:
                self._heads[index] += 1
        if self._largest is not None:
            self._largest = max(self._largest, cents)
        if len(self) > self.capacity:
            self._drop_oldest()
        return True

    def _drop_oldest(self) -> None:
        oldest = self._heads[-1]
        self._heads = [max(head, oldest + 1) for head in self._heads]
        if self._gross[oldest + 1] - self._gross[oldest] == self._largest:
            self._largest = None
        self.dropped += 1

    def _forget_largest(self, start: int, stop: int) -> None:
        """Mark the largest as unknown if it was among those that have just left."""
        gone = np.diff(np.frombuffer(self._gross, dtype=np.int64)[start : stop + 1])
        if gone.max(initial=-1) == self._largest:
            self._largest = None

    def _compact(self) -> None:
        head = self._heads[-1]
        self._times = self._times[head:]
        self._gross, self._long = _from_zero(self._gross, head), _from_zero(self._long, head)
        self._heads = [other - head for other in self._heads]


def _from_zero(totals: "array[int]", head: int) -> "array[int]":
    """The totals from `head` on, begun again at 0."""
    return array("q", (np.frombuffer(totals, dtype=np.int64)[head:] - totals[head]).tobytes())

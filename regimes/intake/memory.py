"""What has been seen already, in bounded memory."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from regimes.features.pieces import packed, unpacked
from regimes.intake.faults import Fault, Reason, moment

GRID_LIMIT: Final = 10_000
"""Bars of one series that are remembered: 416 days of hours."""
_ALL: Final = (1 << GRID_LIMIT) - 1
VALUES_KEPT: Final = 16


class GridMemory:
    """Which bars of one series have been seen: one bit each, counted back from the newest.

    The values of the last VALUES_KEPT are kept as well, to tell a conflict from a mere double.
    """

    def __init__(self, step_ms: int) -> None:
        self._step_ms = step_ms
        self._newest_ms = 0
        self._bits = 0
        self._values: dict[int, tuple[float, ...]] = {}
        self._piece: msgspec.Raw | None = None

    def admit(self, open_ms: int, values: tuple[float, ...]) -> Fault | None:
        """Take a bar that has not been seen yet; its first version stays."""
        age = (self._newest_ms - open_ms) // self._step_ms
        if age < 0:
            self._bits = (self._bits << -age | 1) & _ALL if -age < GRID_LIMIT else 1
            self._newest_ms = open_ms
        else:
            fault = self._fault(open_ms, age, values)
            if fault is not None:
                return fault
            self._bits |= 1 << age
        self._piece = None
        self._values[open_ms] = values
        if len(self._values) > VALUES_KEPT:
            del self._values[next(iter(self._values))]
        return None

    def admit_unfinished(self, open_ms: int) -> Fault | None:
        """Let the present state of a bar pass, unless that bar has closed."""
        age = (self._newest_ms - open_ms) // self._step_ms
        if age >= 0 and (age >= GRID_LIMIT or self._bits >> age & 1):
            return Reason.OUT_OF_ORDER, moment(open_ms), "an unfinished bar comes before its close"
        return None

    def _fault(self, open_ms: int, age: int, values: tuple[float, ...]) -> Fault | None:
        if age >= GRID_LIMIT:
            return Reason.TOO_OLD, moment(open_ms), f"at most {GRID_LIMIT} bars before the newest"
        if not self._bits >> age & 1:
            return None
        first = self._values.get(open_ms)
        if first is None or first == values:
            return Reason.DUPLICATE, moment(open_ms), "each closed bar or settlement counts once"
        return Reason.CONFLICT, f"{moment(open_ms)} {values}", f"the first version stays: {first}"

    def snapshot(self) -> msgspec.Raw:
        """Step, newest, bits as bytes, values."""
        if self._piece is None:
            size = (self._bits.bit_length() + 7) // 8
            bits = self._bits.to_bytes(size, "big")
            self._piece = packed([self._step_ms, self._newest_ms, bits, list(self._values.items())])
        return self._piece

    @classmethod
    def of(cls, snapshot: msgspec.Raw | list[Any]) -> "GridMemory":
        """From a snapshot."""
        step_ms, newest_ms, bits, values = unpacked(snapshot)
        memory = cls(step_ms)
        memory._newest_ms, memory._bits = newest_ms, int.from_bytes(bits, "big")
        memory._values = {open_ms: tuple(row) for open_ms, row in values}
        return memory


class OrderKey(msgspec.Struct, frozen=True, gc=False):
    """What makes a forced order the same one. No tuple: tens of thousands of those are walked by the garbage collector."""

    venue: str
    symbol: str
    closed: str
    ts_ms: int
    base_qty: float
    fill_price: float


class OrderMemory:
    """Which forced orders have been seen in the last `span_ms` to 2 x `span_ms` of event time.

    When more than `capacity` come within a span, the oldest are forgotten sooner: at least the last
    `capacity` are always known.
    """

    def __init__(self, *, span_ms: int, capacity: int) -> None:
        self._span_ms = span_ms
        self._capacity = capacity
        self._since_ms = 0
        self._new: dict[OrderKey, None] = {}
        self._old: dict[OrderKey, None] = {}

    def add(self, key: OrderKey) -> bool:
        """Whether the order is new; it is remembered then."""
        if self._old and key in self._old:
            return False
        before = len(self._new)
        self._new[key] = None
        if len(self._new) == before:
            return False
        if key.ts_ms - self._since_ms >= self._span_ms or len(self._new) > self._capacity:
            self._old, self._new, self._since_ms = self._new, {}, max(key.ts_ms, self._since_ms)
        return True

    def snapshot(self) -> dict[str, Any]:
        """Both generations."""
        return {
            "since_ms": self._since_ms,
            "new": [msgspec.structs.astuple(key) for key in self._new],
            "old": [msgspec.structs.astuple(key) for key in self._old],
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take back a snapshot."""
        self._since_ms = snapshot["since_ms"]
        self._new = {OrderKey(*key): None for key in snapshot["new"]}
        self._old = {OrderKey(*key): None for key in snapshot["old"]}

"""The sequential test of every pair, led through the panel hour by hour."""

from typing import Any, NamedTuple

import numpy as np

from regimes.features.correlation_engine.pairs import PANEL_HOURS
from regimes.maths.correlation import IntArray
from regimes.maths.correlation_watch import CorrelationWatch, Evidence
from regimes.windows.panel import NEVER, ReturnPanel


class Watched(NamedTuple):
    """The rows of each watched pair, and what is known of it."""

    first: IntArray
    second: IntArray
    evidence: Evidence


class Watch:
    """Goes through each hour of the panel once; what comes later is left out. rows: so many symbols are watched."""

    def __init__(self, panel: ReturnPanel, rows: int) -> None:
        self._panel = panel
        self._rows = rows
        self._first, self._second = (index.astype(np.int64) for index in np.triu_indices(rows, 1))
        self._hour = NEVER
        self._tests = self._new()

    def forget(self) -> None:
        """Begin anew with what the panel holds."""
        self._tests, self._hour = self._new(), NEVER

    def advance(self) -> None:
        """Take the hours up to the panel's newest."""
        head = self._panel.head
        hours = PANEL_HOURS if self._hour == NEVER else min(head - self._hour, PANEL_HOURS)
        if hours > 0:
            for returns in self._panel.returns(hours)[: self._rows].T:
                self._tests.step(returns)
            self._hour = head

    def found(self) -> Watched:
        """What is known as of the newest hour."""
        return Watched(self._first, self._second, self._tests.found())

    def snapshot(self) -> dict[str, Any]:
        """All state."""
        arrays = {name: values.tobytes() for name, values in self._tests.arrays.items()}
        return {"hour": self._hour, "arrays": arrays}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot with as many symbols."""
        self._hour = snapshot["hour"]
        for name, values in self._tests.arrays.items():
            values[...] = np.frombuffer(snapshot["arrays"][name]).reshape(values.shape)

    def _new(self) -> CorrelationWatch:
        return CorrelationWatch(self._rows, self._first, self._second)

"""How late the event loop wakes its tasks: the first thing to look at when data seems old."""

import asyncio
from collections import deque
from typing import Final

from regimes.clock import Clock

PERIOD_S: Final = 0.1
KEPT: Final = 600


class LoopLag:
    """Lateness of the newest 600 wake-ups, one every 0.1 s."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._late_s: deque[float] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock.monotonic() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self.record(self._clock.monotonic() - due)

    def record(self, late_s: float) -> None:
        """Take one measurement, seconds; a wake-up before its time counts as on time."""
        self._late_s.append(max(late_s, 0.0))

    def quantile_ms(self, share: float) -> float | None:
        """Lateness that `share` of the wake-ups stay under, milliseconds; None before the first."""
        ordered = sorted(self._late_s)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000 if ordered else None

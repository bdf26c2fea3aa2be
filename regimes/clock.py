"""Time, read in one place. Nothing else in the package imports `time`."""

import asyncio
import time
from typing import Final, Protocol

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", None)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _steady_ms() -> int:
    return (time.monotonic_ns() if _STEADY is None else time.clock_gettime_ns(_STEADY)) // 1_000_000


class Clock(Protocol):
    """Event time, and waiting for it to pass."""

    @property
    def speed(self) -> float:
        """How many seconds of event time pass in one real second."""
        ...

    def now_ms(self) -> int:
        """Event time now, ms UTC."""
        ...

    def monotonic(self) -> float:
        """Real seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, event_seconds: float) -> None:
        """Wait until so much event time has passed."""
        ...


class SystemClock:
    """The machine's clock on the wall, with every step that somebody makes it take."""

    speed = 1.0

    def now_ms(self) -> int:
        return _wall_ms()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, event_seconds: float) -> None:
        await asyncio.sleep(event_seconds)


class MarketClock:
    """Time of a live market: read off the wall once, carried by a clock that nobody sets, corrected by the exchange's.

    When the machine's clock jumps (a time server, a person), no window empties and no alert waits. Time that a suspended machine
    slept through counts where the system tells it.
    """

    speed = 1.0

    def __init__(self) -> None:
        self._origin_ms = _wall_ms() - _steady_ms()

    @property
    def ahead_ms(self) -> int:
        """This time minus the wall's."""
        return self.now_ms() - _wall_ms()

    def correct(self, by_ms: int) -> None:
        """Set it forward, or back where negative."""
        self._origin_ms += by_ms

    def now_ms(self) -> int:
        return self._origin_ms + _steady_ms()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, event_seconds: float) -> None:
        await asyncio.sleep(event_seconds)


class ScaledClock:
    """Event time that starts where it is told and runs `speed` times as fast as real time.

    running: False holds event time at its start until `start` is called, so that a replay loses nothing
    while connections are made; `sleep` still waits `event_seconds / speed` real seconds.
    """

    def __init__(self, start_ms: int, speed: float, *, running: bool = True) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be > 0 (got {speed})")
        self.speed = speed
        self._start_ms = start_ms
        self._origin: float | None = time.monotonic() if running else None

    def start(self) -> None:
        """Let event time run from now on; does nothing when it runs."""
        if self._origin is None:
            self._origin = time.monotonic()

    def now_ms(self) -> int:
        if self._origin is None:
            return self._start_ms
        return self._start_ms + int((time.monotonic() - self._origin) * 1000 * self.speed)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, event_seconds: float) -> None:
        await asyncio.sleep(event_seconds / self.speed)

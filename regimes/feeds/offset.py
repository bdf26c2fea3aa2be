"""How far an exchange's clock is from ours."""

import asyncio
from statistics import median
from typing import Final

import structlog

from regimes.clock import Clock, MarketClock
from regimes.feeds.rest import Rest, RestFailedError

_log = structlog.get_logger()

_SAMPLES: Final = 5
_BETWEEN_S: Final = 0.05
WARN_MS: Final = 1_000


async def measure_offset_ms(rest: Rest, clock: Clock) -> int | None:
    """Exchange time minus `clock`'s, the median of five; None when the exchange does not answer.

    Each sample takes the exchange's time for that half-way between asking and hearing the answer.
    """
    samples = []
    for number in range(_SAMPLES):
        if number:
            await asyncio.sleep(_BETWEEN_S)
        try:
            asked_ms = clock.now_ms()
            server_ms = await rest.server_time_ms()
        except RestFailedError as error:
            _log.info("clock_not_compared", venue=rest.venue, error=str(error)[:200])
            break
        samples.append(server_ms - (asked_ms + clock.now_ms()) / 2)
    return round(median(samples)) if samples else None


def from_wall_ms(clock: Clock, residual_ms: int) -> int:
    """Exchange time minus that of the machine's clock on the wall, from what was measured with `clock`."""
    return residual_ms + (clock.ahead_ms if isinstance(clock, MarketClock) else 0)


def follow(clock: Clock, residual_ms: int, venue: str) -> None:
    """Set a market's clock right by what was measured with it; other clocks are only judged."""
    total_ms = from_wall_ms(clock, residual_ms)
    if isinstance(clock, MarketClock):
        clock.correct(residual_ms)
    if abs(total_ms) > WARN_MS * max(1.0, clock.speed):
        _log.warning(
            "clock_differs",
            venue=venue,
            offset_ms=total_ms,
            remedy="set this machine's clock (NTP); the exchange's time is used meanwhile",
        )

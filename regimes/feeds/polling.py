"""What comes by asking again and again, within a share of the request weight."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec
import structlog

from regimes.clock import Clock
from regimes.errors import DataError
from regimes.feeds.rest import RestFailedError
from regimes.feeds.status import Meter

_log = structlog.get_logger()

_SHORTEST_S: Final = 0.2
Ask: TypeAlias = Callable[[str], Awaitable[int]]
"""Asks for one symbol's datum and passes it on; gives its own time (ms)."""


class Pacing(msgspec.Struct, frozen=True):
    """Real seconds between two requests: in the first round, when nothing is known yet, and afterwards."""

    first_s: float
    later_s: float


def pacing(interval_s: float, count: int, *, weight: float, weight_per_minute: float, speed: float) -> Pacing:
    """Let `count` symbols each have a request every `interval_s` of event time.

    weight: of one request. weight_per_minute: what may be spent on all; it wins over the interval.
    """
    least_s = max(weight * 60.0 / weight_per_minute, _SHORTEST_S / max(1, count))
    return Pacing(first_s=least_s, later_s=max(least_s, interval_s / speed / max(1, count)))


async def round_robin(
    what: str, symbols: Sequence[str], ask: Ask, meter: Meter, clock: Clock, pace: Pacing
) -> None:
    """Ask for one symbol after the other for ever.

    A failure costs that turn only; the first of a row of failures is logged.
    """
    failing = False
    pause_s = pace.first_s
    while symbols:
        for symbol in symbols:
            try:
                event_ms = await ask(symbol)
            except (RestFailedError, DataError) as error:
                meter.poison += isinstance(error, DataError)
                if not failing:
                    _log.warning("poll_failed", what=what, symbol=symbol, error=str(error)[:200])
                failing = True
            else:
                failing = False
                meter.hear(clock.monotonic(), event_ms)
            await asyncio.sleep(pause_s)
        pause_s = pace.later_s

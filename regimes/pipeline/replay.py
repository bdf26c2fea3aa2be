"""History through the engine, as if the program had been running: in time order, with ticks."""

import asyncio
from collections.abc import Iterable
from typing import Final

from regimes.engine import Engine
from regimes.observations import Candle, Observation, Tick
from regimes.timeframe import HOUR_MS, to_ms

HOURS_A_SLICE: Final = 24


def known_at_ms(observation: Observation) -> int:
    """When an observation could first have been known: a bar at its close, everything else at its own time."""
    if isinstance(observation, Candle):
        return observation.open_ms + to_ms(observation.timeframe)
    return observation.ts_ms


async def replay(engine: Engine, history: Iterable[Observation], now_ms: int, *, interval_ms: int) -> int:
    """Take history up to `now_ms` with a tick at each full hour and one interval after it; return how many entered.

    Episodes open and close where they would have; what they announced is not passed on. Other tasks get a turn
    after each day of history.
    """
    ordered = sorted((item for item in history if known_at_ms(item) <= now_ms), key=known_at_ms)
    hour_ms, hours = None, 0
    for item in ordered:
        own_hour_ms = known_at_ms(item) // HOUR_MS * HOUR_MS
        if own_hour_ms != hour_ms:
            if hour_ms is not None:
                engine.step(Tick(hour_ms + interval_ms))
            engine.step(Tick(own_hour_ms))
            hour_ms, hours = own_hour_ms, hours + 1
            if hours % HOURS_A_SLICE == 0:
                await asyncio.sleep(0)
        engine.step(item)
    engine.step(Tick(now_ms))
    return len(ordered)

"""History through the engine, as if the program had been running: in time order, with ticks."""

import asyncio
from collections.abc import Iterable
from typing import Final

from regimes.engine import Engine
from regimes.observations import Candle, Observation, Tick
from regimes.timeframe import DAY_MS, HOUR_MS, to_ms

HOURLY_DAYS: Final = 14
SLICES_A_TURN: Final = 24


def known_at_ms(observation: Observation) -> int:
    """When an observation could first have been known: a bar at its close, everything else at its own time."""
    if isinstance(observation, Candle):
        return observation.open_ms + to_ms(observation.timeframe)
    return observation.ts_ms


async def replay(engine: Engine, history: Iterable[Observation], now_ms: int, *, interval_ms: int) -> int:
    """Take history known by `now_ms`, with a tick an hour in the last 14 days and a tick a day before.

    history: in order of `known_at_ms`. interval_ms: each tick after data comes so long after their hour. Episodes
    open and close where they would have; what they announced then is not passed on. Other tasks get a turn now
    and then. Returns how many observations were taken.
    """
    end_ms, slices, taken = 0, 0, 0
    for item in history:
        known_ms = known_at_ms(item)
        if known_ms > now_ms:
            break
        if known_ms > end_ms:
            if end_ms:
                _tick(engine, end_ms + interval_ms, now_ms)
            end_ms = _slice_end(known_ms, now_ms)
            _tick(engine, end_ms, now_ms)
            slices += 1
            if slices % SLICES_A_TURN == 0:
                await asyncio.sleep(0)
        engine.step(item)
        taken += 1
    engine.step(Tick(now_ms))
    return taken


def _slice_end(known_ms: int, now_ms: int) -> int:
    """End of the hour, or further back of the day, in which something was known; its own end belongs to it."""
    length_ms = HOUR_MS if known_ms > now_ms - HOURLY_DAYS * DAY_MS else DAY_MS
    return -(-known_ms // length_ms) * length_ms


def _tick(engine: Engine, ts_ms: int, now_ms: int) -> None:
    if engine.now_ms <= ts_ms <= now_ms:
        engine.step(Tick(ts_ms))

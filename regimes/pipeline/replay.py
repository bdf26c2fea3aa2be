"""History through the engine, as if the program had been running: in time order, with ticks."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from regimes.engine import Engine
from regimes.events import Event
from regimes.observations import Observation, Tick
from regimes.timeframe import HOUR_MS, known_at_ms

JUDGED_HOURS: Final = 14 * 24
"""How many hours are judged one by one, at most; what is older only fills the windows."""
FEWEST_HOURS: Final = 48
SYMBOL_HOURS: Final = 50 * JUDGED_HOURS
"""Judged hours of all symbols together: with more than 50 symbols there are fewer hours, for a start in seconds."""
TURN: Final = 250
"""So many observations take some milliseconds, and so does the judging of one hour: others wait no longer."""


class Replayed(msgspec.Struct):
    """How many observations were taken, and the events they brought about."""

    taken: int = 0
    events: list[Event] = []


async def replay(
    engine: Engine,
    history: Iterable[Observation],
    now_ms: int,
    *,
    interval_ms: int,
    on_step: Callable[[Observation], None] | None = None,
) -> Replayed:
    """Take history known by `now_ms`, with a tick an hour in its last days and a single one for all before.

    history: in order of `known_at_ms`. interval_ms: each tick after data comes so long after their hour. Episodes
    of these last 14 days (fewer with more than 50 symbols, at least 2) open and close where they would have. Other
    tasks get a turn after each hour that is judged, and after some hundred observations. on_step: called with all that the engine is given, before it is.
    """
    done, end_ms = Replayed(), 0
    judged_from_ms = (now_ms // HOUR_MS - _judged_hours(len(engine.universe.symbols))) * HOUR_MS

    def step(observation: Observation) -> None:
        if on_step is not None:
            on_step(observation)
        done.events += engine.step(observation).events

    def tick(ts_ms: int) -> None:
        if engine.now_ms <= ts_ms <= now_ms:
            step(Tick(ts_ms))

    for item in history:
        known_ms = known_at_ms(item)
        if known_ms > now_ms:
            break
        if known_ms > end_ms:
            if end_ms:
                tick(end_ms + interval_ms)
                await asyncio.sleep(0)
            # The hour in which it was known, or all that is too old to be judged hour by hour.
            end_ms = max(-(-known_ms // HOUR_MS) * HOUR_MS, judged_from_ms)
            # Time goes before data, else the newest would be refused as coming from the future.
            tick(min(end_ms, now_ms))
        step(item)
        done.taken += 1
        if done.taken % TURN == 0:
            await asyncio.sleep(0)
    step(Tick(now_ms))
    return done


def _judged_hours(symbols: int) -> int:
    return max(FEWEST_HOURS, min(JUDGED_HOURS, SYMBOL_HOURS // max(symbols, 1)))

"""Waiting for something that only a counter tells."""

import asyncio
from collections.abc import Callable
from typing import Final

WAIT_S: Final = 60.0


async def until(condition: Callable[[], bool]) -> bool:
    """Wait until something is so; False when it is not within a minute."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110  # counters have no event to wait for
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True

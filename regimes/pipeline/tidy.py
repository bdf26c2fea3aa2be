"""Memory that is free goes back to the system; what stays is not walked again and again."""

import asyncio
import ctypes
import gc
from contextlib import suppress
from typing import Final

_PAUSE_S: Final = 60.0


def tidy() -> None:
    """After the history is in: collect garbage once more, give memory back, exempt the rest from later collections.

    What the program holds by then (code, markets, windows) lives as long as it does. Walking it again and again would
    stop the event loop for a tenth of a second with hundreds of symbols.
    """
    gc.collect()
    gc.freeze()
    _give_back()


async def keep_tidy() -> None:
    """Give back every minute what threads and bursts have left behind: an arena each, of some ten megabytes."""
    while True:
        await asyncio.sleep(_PAUSE_S)
        await asyncio.to_thread(_give_back)


def _give_back() -> None:
    # glibc has it; elsewhere free memory goes back by itself.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

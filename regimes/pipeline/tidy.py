"""Memory that is free goes back to the system; what stays is not walked again and again."""

import asyncio
import ctypes
import gc
from contextlib import suppress
from typing import Final

_PAUSE_S: Final = 60.0
_YOUNG: Final = (700, 10)
_NEVER: Final = 1 << 30


def tidy() -> None:
    """After the history is in: collect garbage once more, give memory back, exempt the rest from later collections.

    What the program holds by then (code, markets, windows) lives as long as it does. Walking it again and again would
    stop the event loop for a tenth of a second with hundreds of symbols. What has come since and has grown old is
    walked by `keep_tidy` alone: by itself Python would do so every few seconds, and best of all amid an alert.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_YOUNG, _NEVER)
    _give_back()


async def keep_tidy() -> None:
    """Collect garbage every minute, and give back what threads and bursts have left behind: an arena each, of some ten megabytes."""
    while True:
        await asyncio.sleep(_PAUSE_S)
        gc.collect()
        await asyncio.to_thread(_give_back)


def _give_back() -> None:
    # glibc has it; elsewhere free memory goes back by itself.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

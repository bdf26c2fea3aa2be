"""After the history is in: much of the memory it took is free, and what is left stays."""

import ctypes
import gc
from contextlib import suppress


def tidy() -> None:
    """Collect garbage once more, give free memory back to the system, and exempt what is left from later collections.

    What the program holds by then (code, markets, windows) lives as long as it does. Walking it again and again would
    stop the event loop for a tenth of a second with hundreds of symbols.
    """
    gc.collect()
    gc.freeze()
    # glibc has it; elsewhere free memory goes back by itself.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

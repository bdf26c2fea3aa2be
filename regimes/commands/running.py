"""Running a coroutine to its end, and the exit codes all commands share."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import IntEnum
from typing import Any, Final, TypeVar

Result = TypeVar("Result")


MOST_FILES: Final = 65_536


class ExitCode(IntEnum):
    """What a command's exit code says; docs/cli.md lists them too."""

    OK = 0
    CHECK_FAILED = 1
    CONFIG = 2
    VENUE = 3
    STORAGE = 4
    BUG = 70
    INTERRUPTED = 130


def allow_open_files() -> int:
    """Raise how many files and connections this process may have open, as far as it may; how many these are."""
    try:
        import resource  # noqa: PLC0415  # not on every platform
    except ImportError:
        return MOST_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft


SWITCH_S: Final = 0.001
"""How long a thread that wants to go on may be kept waiting by another: a transaction gives way at each statement."""


def run_to_end(main: Coroutine[Any, Any, Result]) -> Result:
    """Run on uvloop where there is one, else on asyncio's own loop."""
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

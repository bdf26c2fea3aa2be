"""Waiting for a database that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from regimes.delivery.counters import Counters
from regimes.errors import StorageError

_PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_log = structlog.get_logger(__name__)


class Patience:
    """Counts the failures of one user of the database and says how long to wait; tells the first in a row."""

    def __init__(self, counters: Counters, who: str) -> None:
        self._counters = counters
        self._who = who
        self._failures = 0

    def succeeded(self) -> None:
        """The database answered."""
        self._failures = 0

    def failed(self, error: StorageError) -> float:
        """Seconds to wait before the next call."""
        self._counters.storage_errors += 1
        if not self._failures:
            _log.warning("storage_away", who=self._who, error=str(error))
        pause_s = _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
        self._failures += 1
        return pause_s

    async def until_done(self, call: Callable[[], Awaitable[object]]) -> None:
        """Call again and again until it succeeds: what was sent must not be forgotten."""
        while True:
            try:
                await call()
            except StorageError as error:
                await asyncio.sleep(self.failed(error))
            else:
                return self.succeeded()

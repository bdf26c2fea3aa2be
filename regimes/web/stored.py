"""Events out of storage, for readers of the stream who were away."""

import asyncio
from typing import Final

import structlog

from regimes.errors import StorageError
from regimes.events import EventBody
from regimes.storage.base import EventQuery, Storage
from regimes.web.frames import NO_STATE, parse_state, state_id
from regimes.web.log import EventLog

PAGE: Final = 200
NEWEST: Final = 500
RETRY_S: Final = 2.0
AT_ONCE: Final = 8
_log = structlog.get_logger(__name__)


class StoredStates:
    """Asks again while the database is away. begun: set once it is known where storage stands."""

    def __init__(self, storage: Storage) -> None:
        self.begun = asyncio.Event()
        self._storage = storage
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def begin(self, log: EventLog) -> None:
        """Tell a log where storage stands; the database may be away when the program starts."""
        while True:
            try:
                last = await self._storage.last_state()
                newest = await self._storage.events(EventQuery(limit=NEWEST))
            except StorageError as error:
                _log.warning("stream_begins_later", error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                log.begin(state_id(*last) if last else NO_STATE, newest.events)
                self.begun.set()
                return

    async def page(self, event_id: str, revision: int) -> list[EventBody] | None:
        """Up to `PAGE` states that were stored after this one; None when it is not stored (any more)."""
        while True:
            try:
                async with self._turns:
                    found = await self._storage.states_after(event_id, revision, limit=PAGE)
            except StorageError as error:
                _log.warning("stream_waits_for_storage", error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return None if found is None else [*found]

    async def after(self, state: str) -> list[EventBody] | None:
        """The same by a state's name."""
        known = parse_state(state)
        return None if known is None else await self.page(*known)

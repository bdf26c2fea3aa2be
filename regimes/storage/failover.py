"""PostgreSQL with a local spool: while the server is away everything goes to the spool, and flows back in order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from regimes.clock import Clock
from regimes.errors import DataError, RegimesError, StorageError
from regimes.storage import memory, spool
from regimes.storage.base import Delivery, StorageAwayError, StorageTakenError
from regimes.storage.changes import AddRows, Change, Commit, DeleteSilence, PutEndpoint, PutSilence, Settle
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage
from regimes.storage.store import ResultT, Store, Work

SPOOL_LIMIT_BYTES: Final = 1 << 30
OnState = Callable[[int | None], None]
OnTaken = Callable[[StorageTakenError], None]


class FailoverStorage(Store):
    """One of the two serves at a time, so a delivery is never handed out by both.

    on_state: told when the server goes away (since when, ms UTC) and when it serves again (None); must not raise.
    on_taken: told when the server is back and another service has it by then: this one goes on in its spool, and
    returns no more; must not raise.
    retry_s: real seconds between attempts to return. mirror_s: how often what a restart needs is copied to the spool
    while the server is there, for a start without it. limit_bytes: a spool beyond this size takes no more
    liquidations and readings; events and deliveries it always takes.
    """

    def __init__(
        self,
        primary: PostgresStorage,
        local: SqliteStorage,
        clock: Clock,
        *,
        on_state: OnState | None = None,
        on_taken: OnTaken | None = None,
        retry_s: float = 2.0,
        mirror_s: float = 10.0,
        limit_bytes: int = SPOOL_LIMIT_BYTES,
    ) -> None:
        super().__init__()
        self.primary = primary
        self.local = local
        self.down_since_ms: int | None = None
        """When the server went away; None while it serves."""
        self.last_error = ""
        self._clock = clock
        self._on_state = on_state or (lambda _since_ms: None)
        self._on_taken = on_taken or (lambda _error: None)
        self._retry_s = retry_s
        self._mirror_s = mirror_s
        self._limit_bytes = limit_bytes
        self._spool_id = ""
        self._memory = memory.Memory()
        self._mirrored = True
        self._turns = 0
        """How often the two have changed places: an error of an earlier turn says nothing about this one."""
        self._gate = asyncio.Lock()
        self._went_down = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.local.open()
        try:
            self._spool_id = await self.local.write(spool.identity)
            waiting_since_ms = await self.local.read(spool.since_ms)
            self.down_since_ms = self._now_ms() if waiting_since_ms is None else waiting_since_ms
            try:
                await self._return()
            except (StorageAwayError, DataError) as error:
                self.last_error = str(error)
        except BaseException:
            self.primary.abandon()
            await self.local.close()
            raise
        if self.down_since_ms is not None:
            self._went_down.set()
            self._on_state(self.down_since_ms)
        self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        try:
            await self.buffer.close()
        finally:
            if self._tending is not None:
                self._tending.cancel()
                await asyncio.wait([self._tending])
            with suppress(StorageError):
                await self._mirror()
            await self.primary.close()
            await self.local.close()

    async def apply(self, change: Change) -> int:
        return await self._serve(partial(self._apply_there, change), partial(self._apply_here, change))

    async def read(self, work: Work[ResultT]) -> ResultT:
        return await self._serve(partial(self.primary.read, work), partial(self.local.read, work))

    async def write(self, work: Work[ResultT]) -> ResultT:
        return await self._serve(partial(self.primary.write, work), partial(self.local.write, work))

    async def claim(self, endpoint: str, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[Delivery]:
        there = partial(self.primary.claim, endpoint, now_ms=now_ms, lease_ms=lease_ms, limit=limit)
        taken = partial(spool.claim, endpoint=endpoint, now_ms=now_ms, lease_ms=lease_ms, limit=limit)
        return await self._serve(there, partial(self.local.write, taken))

    async def bytes_used(self) -> int:
        return await self._serve(self.primary.bytes_used, self.local.bytes_used)

    async def stats(self) -> dict[str, Any]:
        failover = {"down_since_ms": self.down_since_ms, "last_error": self.last_error}
        return {**await super().stats(), "failover": failover}

    async def _serve(
        self, there: Callable[[], Awaitable[ResultT]], here: Callable[[], Awaitable[ResultT]]
    ) -> ResultT:
        """Ask the server while it serves, else the spool."""
        while True:
            turn = self._turns
            if self.down_since_ms is None:
                try:
                    return await there()
                except StorageError as error:
                    await self._leave(turn, error)
            async with self._gate:
                if self.down_since_ms is not None:
                    return await here()

    async def _apply_there(self, change: Change) -> int:
        found = await self.primary.apply(change)
        self._remember(change)
        return found

    async def _apply_here(self, change: Change) -> int:
        if isinstance(change, AddRows) and await self.local.bytes_used() > self._limit_bytes:
            self.buffer.dropped["spool_full"] += len(change.liquidations) + len(change.readings)
            return 0
        found = await self.local.write(partial(spool.append, change=change, now_ms=self._now_ms()))
        # A delivery taken from the server is settled there when it is back.
        return 1 if isinstance(change, Settle) else found

    async def _leave(self, turn: int, error: StorageError) -> None:
        """Let the spool serve."""
        async with self._gate:
            if turn != self._turns:
                return
            self._turns += 1
            self.last_error = str(error)
            self.down_since_ms = self._now_ms()
            self.primary.abandon()
            # A full disk here is told to whoever writes next.
            with suppress(StorageError):
                await self._mirror()
        self._went_down.set()
        self._on_state(self.down_since_ms)

    async def _return(self) -> None:
        """Connect, let everything flow back, let the server serve. Raises where that does not succeed."""
        await self.primary.open()
        done = await self.primary.read(partial(spool.progress, spool_id=self._spool_id))
        while await self.local.read(partial(spool.count_waiting, after=done)) > spool.BATCH:
            done = await self._send_back(await self.local.read(partial(spool.waiting, after=done)))
        # The last few while nothing new can come.
        async with self._gate:
            while entries := await self.local.read(partial(spool.waiting, after=done)):
                done = await self._send_back(entries)
            self._memory, self._mirrored = await self.primary.read(memory.load), False
            await self.local.write(partial(spool.clear, spool_id=self._spool_id))
            self._turns += 1
            self.down_since_ms = None
            self._went_down.clear()

    async def _send_back(self, entries: Sequence[spool.Entry]) -> int:
        return await self.primary.write(partial(spool.receive, spool_id=self._spool_id, entries=entries))

    async def _tend(self) -> None:
        while True:
            if self.down_since_ms is not None:
                await asyncio.sleep(self._retry_s)
                try:
                    await self._try_to_return()
                except StorageTakenError as error:
                    self._on_taken(error)
                    return
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._mirror_s):
                        await self._went_down.wait()
                if self.down_since_ms is None:
                    with suppress(StorageError):
                        await self._serve(self.primary.look_after, _nothing)
                        await self._mirror()

    async def _try_to_return(self) -> None:
        try:
            await self._return()
        except RegimesError as error:
            self.last_error = str(error)
            self.primary.abandon()
            if isinstance(error, StorageTakenError):
                raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the spool serves on and the next try may succeed
            self.last_error = f"return failed: {type(error).__name__}"
            self.primary.abandon()
        else:
            self._on_state(None)

    def _remember(self, change: Change) -> None:
        """Keep a copy of what a restart without the server will need."""
        match change:
            case Commit(step) if step.state:
                self._memory.state.update(step.state)
            case PutEndpoint(name, state):
                self._memory.endpoints[name] = state
            case PutSilence(silence):
                self._memory.silences[silence.id] = silence
            case DeleteSilence(silence_id):
                self._memory.silences.pop(silence_id, None)
            case _:
                return
        self._mirrored = False

    async def _mirror(self) -> None:
        """Copy that to the spool."""
        if self._mirrored:
            return
        self._mirrored = True
        try:
            await self.local.write(partial(memory.replace, memory=self._memory.copy()))
        except BaseException:
            self._mirrored = False
            raise

    def _now_ms(self) -> int:
        return self._clock.now_ms()


async def _nothing() -> None:
    """The spool has no connection to look after."""

"""Where an earlier run stopped, so that this one goes on from there."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import structlog

from regimes.engine import Engine
from regimes.errors import DataError
from regimes.observations import Liquidation
from regimes.timeframe import DAY_MS

LATE_MS: Final = 10_000
"""How much earlier than the engine's time a liquidation may have happened that its snapshot does not hold yet."""
ReadLiquidations: TypeAlias = Callable[[int], Awaitable[Sequence[Liquidation]]]
_log = structlog.get_logger(__name__)


async def _none(_since_ms: int) -> Sequence[Liquidation]:
    return ()


class Resume:
    """The engine's last snapshot, and the way to the liquidations stored since a time, oldest first."""

    def __init__(self, snapshot: bytes | None = None, read: ReadLiquidations = _none) -> None:
        self.liquidations: Sequence[Liquidation] = ()
        """What the engine has not seen yet; known after `into`."""
        self.goes_on = False
        """Whether the engine goes on where it stopped, so that what comes out of the history is news."""
        self._snapshot = snapshot
        self._read = read

    async def into(self, engine: Engine, now_ms: int) -> int | None:
        """Restore the engine; the time up to which it has seen everything, None when it begins anew.

        A snapshot that does not fit (other settings, another version) is left aside with a line in the log.
        Raises StorageError.
        """
        self.goes_on = self._restored(engine)
        if not self.goes_on:
            self.liquidations = await self._read(now_ms - DAY_MS)
            return None
        # What is in its windows must not enter them again, and the intake knows doubles of the last minutes only.
        self.liquidations = await self._read(engine.now_ms - LATE_MS)
        return max([engine.now_ms, *(last.ts_ms for last in self.liquidations[-1:])])

    def _restored(self, engine: Engine) -> bool:
        if self._snapshot is None:
            return False
        try:
            engine.restore(self._snapshot)
        except DataError as error:
            _log.warning("snapshot_not_used", error=str(error))
            return False
        return True

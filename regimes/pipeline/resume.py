"""Where an earlier run stopped, so that this one goes on from there."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import structlog

from regimes.engine import Engine
from regimes.errors import DataError
from regimes.events import Event, EventType
from regimes.observations import Liquidation, Tick
from regimes.pipeline.states import gist_of, whole_of
from regimes.timeframe import DAY_MS

LATE_MS: Final = 10_000
"""How much earlier than the engine's time a liquidation may have happened that its snapshot does not hold yet."""
SAVED_LATE: Final = 2.0
"""How many times that interval may pass where the machine is busy."""
ReadLiquidations: TypeAlias = Callable[[int], Awaitable[Sequence[Liquidation]]]
_log = structlog.get_logger(__name__)


async def _none(_since_ms: int) -> Sequence[Liquidation]:
    return ()


class Resume:
    """The engine's state as stored, and the way to the liquidations stored since a time, oldest first.

    saved_every_ms: how old a running program lets that state become, event time. Liquidations are stored later than
    that only by a start that ended before its history was in.
    """

    def __init__(
        self,
        state: Mapping[str, bytes] | None = None,
        read: ReadLiquidations = _none,
        *,
        saved_every_ms: int = DAY_MS,
    ) -> None:
        self.liquidations: Sequence[Liquidation] = ()
        """Those of the last day, for an engine that begins anew; known after `into`."""
        self.goes_on = False
        """Whether the engine goes on where it stopped, so that what comes out of the history is news."""
        self._state = state or {}
        self._read = read
        self._seen_ms = round(SAVED_LATE * saved_every_ms)

    def is_news(self, event: Event) -> bool:
        """Whether an event of the history was never told: liquidations are stored, and no state was ever."""
        told = self.goes_on or bool(whole_of(self._state))
        return not told and bool(self.liquidations) and event.type is EventType.LIQUIDATION_CASCADE

    async def into(self, engine: Engine, now_ms: int) -> int | None:
        """Restore the engine; the time up to which it has seen everything, None when it begins anew.

        A snapshot that does not fit (other settings, another version) is left aside with a line in the log.
        Raises StorageError.
        """
        self.goes_on = self._restored(engine)
        if not self.goes_on:
            self.liquidations = await self._read(now_ms - DAY_MS)
            return None
        saved_ms = engine.now_ms
        # Not more of them: what is in its windows must not enter them again, and the intake knows but the last doubles.
        liquidations = await self._read(engine.now_ms - LATE_MS)
        self._catch_up(engine, liquidations, now_ms)
        # What was stored after that came to a start that was cut short: it proves nothing of the time before it.
        watched = [one.ts_ms for one in liquidations if one.ts_ms <= saved_ms + self._seen_ms]
        return max([engine.now_ms, *watched[-1:]])

    def _restored(self, engine: Engine) -> bool:
        whole = whole_of(self._state)
        if not whole:
            return False
        try:
            engine.restore_parts(whole)
        except DataError as error:
            _log.warning("snapshot_not_used", error=str(error))
            return False
        return True

    def _catch_up(self, engine: Engine, liquidations: Sequence[Liquidation], now_ms: int) -> None:
        """Fill the windows up to the crash, then let the engine know what it had told by then.

        The events on the way are either those, and forgotten here, or come again with the next tick, as news.
        """
        engine.step(Tick(now_ms))
        for liquidation in liquidations:
            engine.step(liquidation)
        try:
            engine.restore_parts(gist_of(self._state))
        except DataError as error:
            _log.warning("gist_not_used", error=str(error))

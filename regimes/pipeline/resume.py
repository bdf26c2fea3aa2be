"""Where an earlier run stopped, so that this one goes on from there."""

from collections.abc import Sequence

import msgspec
import structlog

from regimes.engine import Engine
from regimes.errors import DataError
from regimes.observations import Liquidation

_log = structlog.get_logger(__name__)


class Resume(msgspec.Struct):
    """The engine's last snapshot, and the liquidations of the last day, oldest first."""

    snapshot: bytes | None = None
    liquidations: Sequence[Liquidation] = ()

    def into(self, engine: Engine) -> int | None:
        """Restore the engine; the time up to which it has seen everything, None when it begins anew.

        A snapshot that does not fit (other settings, another version) is left aside with a line in the log.
        """
        if self.snapshot is None:
            return None
        try:
            engine.restore(self.snapshot)
        except DataError as error:
            _log.warning("snapshot_not_used", error=str(error))
            self.snapshot = None
            return None
        return max([engine.now_ms, *(last.ts_ms for last in self.liquidations[-1:])])

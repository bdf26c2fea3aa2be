"""Feed, queue, engine and timer, put together."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import structlog

from regimes.clock import Clock, SystemClock
from regimes.config import Settings, load
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.events import Event
from regimes.features.base import Reading
from regimes.feeds.base import ObservationQueue
from regimes.feeds.binance import BinanceFeed
from regimes.feeds.history import Progress
from regimes.feeds.status import StreamStatus
from regimes.feeds.top import resolve_symbols
from regimes.observations import Observation
from regimes.pipeline.lag import LoopLag
from regimes.pipeline.replay import replay
from regimes.pipeline.status import Readiness, judge, line
from regimes.pipeline.timed import TimedSink

BATCH: Final = 500
SHORTEST_PAUSE_S: Final = 0.02
OnReading: TypeAlias = Callable[[Reading], None]
OnEvent: TypeAlias = Callable[[Event], None]
OnProgress: TypeAlias = Callable[[Progress], None]
log = structlog.get_logger()


class Pipeline:
    """The program without its process: `run` it until told to stop, or compute everything once.

    settings: what to watch and how; read from files and environment when left out. clock: event time; the
    machine's when left out. One instance runs once.
    """

    def __init__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> None:
        self.settings = settings or load()
        self.clock = clock or SystemClock()
        self.queue = ObservationQueue(self.settings.pipeline.queue_capacity)
        self.lag = LoopLag(self.clock)
        self.live = asyncio.Event()
        """Set once the history is in and observations flow through the engine."""
        self._sink = TimedSink(self.queue, self.clock)
        self._engine: Engine | None = None
        self._feed: BinanceFeed | None = None
        self._on_reading: list[OnReading] = []
        self._on_event: list[OnEvent] = []
        self._on_progress: list[OnProgress] = []

    @property
    def engine(self) -> Engine:
        """The engine, once the symbols are known. Raises RuntimeError before."""
        if self._engine is None:
            raise RuntimeError("the pipeline has no engine before it is started")
        return self._engine

    def subscribe(
        self,
        *,
        on_reading: OnReading | None = None,
        on_event: OnEvent | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Call back for each reading, each event, and each part of the history that is in.

        Callbacks run inside the engine's turn: they must be quick, and what they raise ends the pipeline.
        """
        self._on_reading += [on_reading] if on_reading else []
        self._on_event += [on_event] if on_event else []
        self._on_progress += [on_progress] if on_progress else []

    async def compute_all_features(self) -> Mapping[str, dict[str, Any]]:
        """Fetch the history, compute everything once, and return the combined package of each symbol.

        Liquidations have no history, so cascades say `warming`. Raises ConfigError, VenueError.
        """
        feed, engine = await self._prepare()
        async with feed:
            await self._warm_up(feed, engine)
            for missing in feed.unavailable():
                engine.step(missing)
            self._step_all([])
        return engine.packages()

    async def run(self, stop: asyncio.Event) -> None:
        """Go live and stay so until `stop` is set; then stop the feed, drain the queue, close.

        Raises VenueError when no venue will serve us, and whatever a bug raises.
        """
        feed, engine = await self._prepare()
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._go_live(feed, engine))
                helpers = [group.create_task(self.lag.run()), group.create_task(self._report())]
                group.create_task(_until(stop, [work, *helpers]))
        except* Exception as errors:
            raise _innermost(errors) from None
        finally:
            await feed.close()
        self._drain()

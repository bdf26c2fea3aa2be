"""Feed, queue, engine and timer, put together."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import merge
from typing import Any, Final, TypeAlias

import structlog

from regimes.clock import Clock, MarketClock
from regimes.config import Settings, load
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.errors import VenueError
from regimes.events import Event
from regimes.features.base import Reading
from regimes.feeds.base import ObservationQueue
from regimes.feeds.binance import BinanceFeed
from regimes.feeds.cache import CandleCache
from regimes.feeds.history import Progress
from regimes.feeds.status import StreamStatus
from regimes.feeds.top import resolve_symbols
from regimes.history.tape.recorder import Recorder, TapeState
from regimes.observations import FundingRate, Liquidation, Observation, Tick
from regimes.pipeline.basis import feature_settings
from regimes.pipeline.batch import Batch, Gatherer
from regimes.pipeline.keeper import CandleKeeper
from regimes.pipeline.lag import LoopLag
from regimes.pipeline.replay import replay
from regimes.pipeline.resume import Resume
from regimes.pipeline.status import Readiness, judge, line
from regimes.pipeline.stopwatch import timed
from regimes.pipeline.tidy import keep_tidy, tidy
from regimes.pipeline.timed import TimedSink
from regimes.timeframe import known_at_ms

BATCH: Final = 50
"""An alert amid a burst takes some ten turns of the loop to be stored and sent, and waits in each for one of these."""
SHORTEST_PAUSE_S: Final = 0.02
OnReading: TypeAlias = Callable[[Reading], None]
OnEvent: TypeAlias = Callable[[Event], None]
OnProgress: TypeAlias = Callable[[Progress], None]
OnBatch: TypeAlias = Callable[[Batch], None]
OnFunding: TypeAlias = Callable[[Iterable[FundingRate]], None]
OnWaiting: TypeAlias = Callable[[Liquidation], None]
log = structlog.get_logger()


class Pipeline:
    """The program without its process: `run` it until told to stop, or compute everything once.

    settings: what to watch and how; read from files and environment when left out. clock: event time; that
    of a live market when left out. resume: where an earlier run stopped. recorder: the tape of this run. One instance runs once.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        resume: Resume | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.settings = settings or load()
        self.clock = clock or MarketClock()
        self.queue = ObservationQueue(self.settings.pipeline.queue_capacity)
        self.lag = LoopLag(self.clock)
        self.live = asyncio.Event()
        """Set once the history is in and observations flow through the engine."""
        self._recorder = recorder
        self._sink = TimedSink(self.queue, self.clock, recorder, on_waiting=self._waits)
        self._engine: Engine | None = None
        self._feed: BinanceFeed | None = None
        self._on_reading: list[OnReading] = []
        self._on_event: list[OnEvent] = []
        self._on_progress: list[OnProgress] = []
        self._on_batch: list[OnBatch] = []
        self._on_funding_history: list[OnFunding] = []
        self._on_waiting: list[OnWaiting] = []
        self.progress: Progress | None = None
        """How far the history is in."""
        self.feature_seconds: dict[str, float] = {}
        self.engine_seconds = 0.0
        self.taken = 0
        """Observations the engine has been given since it went live."""
        self._resume = resume or Resume()
        self.keeper = CandleKeeper(CandleCache(self.settings.storage.cache_dir.expanduser()))
        """Adds the bars that close to those on disk."""
        self.subscribe(on_batch=self.keeper.take)

    @property
    def is_built(self) -> bool:
        """Whether there is an engine."""
        return self._engine is not None

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
        on_batch: OnBatch | None = None,
        on_funding_history: OnFunding | None = None,
        on_waiting: OnWaiting | None = None,
    ) -> None:
        """Call back for each reading, each event, each part of the history that is in, and each turn of the engine.

        on_funding_history: called once, with the settlements of the past. on_waiting: called with each liquidation that
        has to wait until the history is in; the turn that takes it comes later. Callbacks run inside the engine's turn: they must be quick, and what they raise ends the pipeline.
        """
        self._on_reading += [on_reading] if on_reading else []
        self._on_event += [on_event] if on_event else []
        self._on_progress += [on_progress] if on_progress else []
        self._on_batch += [on_batch] if on_batch else []
        self._on_funding_history += [on_funding_history] if on_funding_history else []
        self._on_waiting += [on_waiting] if on_waiting else []

    async def compute_all_features(self) -> Mapping[str, dict[str, Any]]:
        """Fetch the history, compute everything once, and return the combined package of each symbol.

        Liquidations have no history, so cascades say `warming`. Raises ConfigError, and VenueError when no venue
        can be reached.
        """
        feed, engine = await self._prepare()
        async with feed:
            _refuse_silence(feed, self.settings)
            await self._warm_up(feed, engine)
            self._step_all([*feed.unavailable(), Tick(self.clock.now_ms())])
        return engine.packages()

    async def run(self, stop: asyncio.Event) -> None:
        """Go live and stay so until `stop` is set; then stop the feed, drain the queue, close.

        Raises ConfigError for a symbol no venue has, VenueError when no venue will serve us, and whatever a bug
        raises.
        """
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait({work, stopping})
        if not work.cancelled():
            work.result()
        while len(self.queue):
            self._step_all(await self.queue.take(BATCH))

    def status(self) -> Sequence[StreamStatus]:
        """How live each stream is; empty before the feed runs."""
        return self._feed.status() if self._feed else []

    def venue_problems(self) -> Mapping[str, str]:
        """By venue, why it does not serve us now; venues in order are left out."""
        return self._feed.problems() if self._feed else {}

    def clock_offsets_ms(self) -> Mapping[str, int]:
        """Each venue's time minus this machine's, as far as it has been compared."""
        return self._feed.clock_offsets_ms() if self._feed else {}

    def readiness(self) -> Readiness:
        """What is missing before everything works."""
        if self._feed is None or self._engine is None:
            return Readiness(["starting"])
        readings = self._engine.latest.values()
        unwritten = "" if (tape := self.tape()) is None else tape.error
        return judge(
            self.status(), self.venue_problems(), readings, live=self.live.is_set(), unwritten=unwritten
        )

    def tape(self) -> TapeState | None:
        """How the tape does; None where nothing is recorded."""
        return None if self._recorder is None else self._recorder.state()

    async def _prepare(self) -> tuple[BinanceFeed, Engine]:
        symbols = await resolve_symbols(self.settings.symbols, self.settings.venues, self.clock)
        universe = self.settings.universe(symbols)
        if self._recorder is not None:
            self._recorder.watch(universe.symbols)
        kinds = timed(installed(), self.clock, self.feature_seconds)
        self._engine = Engine.build(kinds, universe, feature_settings(self.settings))
        seen_until_ms = await self._resume.into(self._engine, self.clock.now_ms())
        self._feed = BinanceFeed(
            self.settings.venues,
            universe,
            self.clock,
            self.settings.storage.cache_dir.expanduser(),
            seen_until_ms=seen_until_ms,
            needs=self._engine.needs(),
        )
        return self._feed, self._engine

    async def _warm_up(self, feed: BinanceFeed, engine: Engine) -> Batch:
        """Take the history; what became true while nobody watched, or what an engine that begins anew finds open."""
        began = self.clock.monotonic()
        history = await feed.warmup(engine.needs(), self._progress)
        for on_funding in self._on_funding_history:
            on_funding(history.settlements)
        replayed = await replay(
            engine,
            merge(history.observations(), self._resume.liquidations, key=known_at_ms),
            self.clock.now_ms(),
            interval_ms=int(self.settings.pipeline.interval_seconds * 1000),
            on_step=None if self._recorder is None else self._recorder.took,
        )
        log.info("warmed_up", observations=replayed.taken, seconds=round(self.clock.monotonic() - began, 1))
        if self._resume.goes_on:
            return Batch(engine.now_ms, events=replayed.events)
        news = [event for event in replayed.events if self._resume.is_news(event)]
        known = [event for event in replayed.events if not self._resume.is_news(event)]
        standing = [event for event in known if event.id in engine.open_events]
        return Batch(engine.now_ms, events=news, standing=standing)

    def _waits(self, liquidation: Liquidation) -> None:
        for on_waiting in self._on_waiting:
            on_waiting(liquidation)

    def _progress(self, progress: Progress) -> None:
        self.progress = progress
        for callback in self._on_progress:
            callback(progress)

    async def _work(self) -> None:
        feed, engine = await self._prepare()
        async with feed:
            try:
                async with asyncio.TaskGroup() as group:
                    # Nobody can ask for a liquidation later, so these come in while history is fetched, and wait.
                    warm = asyncio.Event()
                    group.create_task(feed.run(self._sink, warm=warm))
                    found = await self._warm_up(feed, engine)
                    tidy()
                    # No pause from here to the hand-over: whoever stores the events stores the engine's state with them.
                    self.live.set()
                    self._hand_on(found)
                    warm.set()
                    # What waited is older than this moment, and may be much newer than the end of the history.
                    self._step_all([Tick(self.clock.now_ms())])
                    self._sink.tick()
                    parts = [self._consume(), self._tick(), self.lag.run(), self._report()]
                    for part in (*parts, self.keeper.run(), keep_tidy()):
                        group.create_task(part)
            except* Exception as errors:
                raise only(errors) from errors

    async def _consume(self) -> None:
        while True:
            self._step_all(await self.queue.take(BATCH))
            await asyncio.sleep(0)

    def _step_all(self, observations: Iterable[Observation]) -> None:
        """Take observations as one turn; what they bring about is handed on together."""
        step, turn = self.engine.step, Gatherer()
        began = self.clock.monotonic()
        for observation in observations:
            self.taken += 1
            if self._recorder is not None:
                self._recorder.took(observation)
            outcome = step(observation)
            if outcome.rejected is None:
                turn.accepted(observation)
            if outcome.events:
                turn.events += outcome.events
            if outcome.readings:
                turn.readings.add(outcome.readings)
        self.engine_seconds += self.clock.monotonic() - began
        self._hand_on(turn.batch(self.engine.now_ms))

    def _hand_on(self, batch: Batch) -> None:
        for event in batch.events:
            for on_event in self._on_event:
                on_event(event)
        for on_reading in self._on_reading:
            for reading in batch.readings:
                on_reading(reading)
        for on_batch in self._on_batch:
            on_batch(batch)

    async def _tick(self) -> None:
        pause_s = max(self.settings.pipeline.interval_seconds / self.clock.speed, SHORTEST_PAUSE_S)
        while True:
            self._sink.tick()
            await asyncio.sleep(pause_s)

    async def _report(self) -> None:
        """Say every minute how live each stream is."""
        while True:
            await asyncio.sleep(self.settings.pipeline.status_seconds)
            lag_ms = self.lag.quantile_ms(0.99)
            log.info(
                "status",
                streams=[line(stream) for stream in self.status()],
                market=self.engine.market()["state"],
                open_events=len(self.engine.open_events),
                queued=len(self.queue),
                dropped=self.queue.dropped.total(),
                rejected=self.engine.intake.rejected.total(),
                loop_lag_p99_ms=None if lag_ms is None else round(lag_ms, 1),
                problems=list(self.readiness().problems),
            )


def _refuse_silence(feed: BinanceFeed, settings: Settings) -> None:
    """Stop where no venue answers: nothing could be computed, and that is no state of the market."""
    problems = feed.problems()
    venues = {settings.venues.spot, settings.venues.derivatives} - {""}
    if venues <= problems.keys():
        words = "; ".join(f"{venue}: {why}" for venue, why in problems.items())
        raise VenueError(f"no venue can be reached ({words}); check the network, or run `regimes doctor`")


def only(errors: ExceptionGroup[Exception]) -> Exception:
    """The error inside a group of one, however deep; the group itself where there are several."""
    error: Exception = errors
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

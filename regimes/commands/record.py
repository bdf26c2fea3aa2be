"""`regimes record`: the tape alone, without engine, database and alerts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from regimes.clock import Clock, MarketClock
from regimes.commands.running import run_to_end
from regimes.config import Settings
from regimes.feeds.binance import BinanceFeed
from regimes.feeds.top import resolve_symbols
from regimes.history.tape.recorder import Recorder
from regimes.history.tape.settings import TapeSettings
from regimes.logs import configure
from regimes.observations import DataKind, Observation, Tick
from regimes.pipeline.pipeline import only
from regimes.pipeline.status import line
from regimes.redact import Redactor
from regimes.service import stop_on_signals

_log = structlog.get_logger(__name__)


class RecordingSink:
    """The sink of a feed whose observations go to the tape and nowhere else."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def put(self, observation: Observation) -> None:
        self._recorder.record(observation)

    def put_frame(self, found: Sequence[Observation], frame: str | bytes) -> None:
        """Take observations and the exchange's own text."""
        for observation in found:
            self._recorder.record(observation, frame)


def execute(
    settings: Settings, folder: Path | None, kinds: Sequence[DataKind], symbols: Sequence[str]
) -> None:
    """Record until SIGTERM or SIGINT; what is not given is as configured.

    Raises ConfigError, and VenueError when no venue will serve us.
    """
    configure(settings.log, redact=Redactor.of(settings))
    given = {"folder": folder, "kinds": tuple(kinds)}
    tape = settings.tape.model_copy(update={name: value for name, value in given.items() if value})
    run_to_end(_record(settings, tape, symbols or settings.symbols))


async def _record(settings: Settings, tape: TapeSettings, entries: Sequence[str]) -> None:
    stop, clock = asyncio.Event(), MarketClock()
    stop_on_signals(stop)
    symbols = await resolve_symbols(entries, settings.venues, clock)
    feed = BinanceFeed(settings.venues, settings.universe(symbols), clock)
    with Recorder(tape, clock, of_engine=False) as recorder:
        recorder.watch(symbols)
        _log.info("recording", folder=str(tape.folder), kinds=list(tape.kinds), symbols=list(symbols))
        work = asyncio.create_task(_work(settings, feed, recorder, clock))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait({work, stopping})
    state = recorder.state()
    _log.info("tape_closed", written=state.written, dropped=state.dropped, bytes=state.bytes)
    if not work.cancelled():
        work.result()


async def _work(settings: Settings, feed: BinanceFeed, recorder: Recorder, clock: Clock) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(feed.run(RecordingSink(recorder)))
            group.create_task(_tick(settings, recorder, clock))
            group.create_task(_report(settings, feed, recorder))
    except* Exception as errors:
        raise only(errors) from errors


async def _tick(settings: Settings, recorder: Recorder, clock: Clock) -> None:
    while True:
        recorder.record(Tick(clock.now_ms()))
        await asyncio.sleep(settings.pipeline.interval_seconds)


async def _report(settings: Settings, feed: BinanceFeed, recorder: Recorder) -> None:
    """Say every minute how live each stream is and how much is on the tape."""
    while True:
        await asyncio.sleep(settings.pipeline.status_seconds)
        state = recorder.state()
        _log.info(
            "recorded",
            streams=[line(stream) for stream in feed.status()],
            written=state.written,
            waiting=state.waiting,
            dropped=state.dropped,
            megabytes=round(state.bytes / 1e6, 1),
            error=state.error,
        )

"""One process: the pipeline, the signals that end it, and a log of what happens."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog

from regimes.clock import Clock, MarketClock
from regimes.config import Settings
from regimes.events import Event, Severity
from regimes.feeds.history import Progress
from regimes.history.tape.recorder import Recorder
from regimes.pipeline import Pipeline
from regimes.pipeline.alerts import Alerts, open_alerts
from regimes.pipeline.live_source import LiveSource
from regimes.pipeline.pipeline import only
from regimes.pipeline.reload import Reload
from regimes.storage.base import StorageTakenError
from regimes.web.app import Beside, WebServer

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_LEVELS: Final = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "error"}
log = structlog.get_logger()


async def serve(
    settings: Settings,
    *,
    clock: Clock | None = None,
    read: Callable[[], Settings] | None = None,
    learn: Callable[[Settings], None] = lambda _: None,
) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends the process at once.

    read: reads the settings anew after SIGHUP; without it that signal is not heeded. learn: told what was read.
    Raises ConfigError, StorageError when the database is of another version or another service has it, VenueError when
    no venue will serve us, and whatever a bug raises.
    """
    stop = asyncio.Event()
    taken: list[StorageTakenError] = []

    def give_way(error: StorageTakenError) -> None:
        log.error("database_taken", error=str(error))
        taken.append(error)
        stop.set()

    clock = clock or MarketClock()
    stop_on_signals(stop)
    log.info("starting", symbols=list(settings.symbols), timeframes=list(settings.timeframes))
    asked = asyncio.Event() if read is None else asked_by_hangups()
    async with open_alerts(settings, clock, give_way) as alerts:
        log.info("endpoints", names=[endpoint.name for endpoint in alerts.endpoints])
        with recorder_of(settings, clock) as recorder:
            pipeline = Pipeline(settings, clock=clock, resume=await alerts.resume(), recorder=recorder)
            pipeline.subscribe(on_event=log_event, on_progress=log_progress)
            reload = None if read is None else Reload(alerts, read, learn, asked)
            async with web_of(settings, clock, pipeline, alerts):
                await run_together(pipeline, alerts, stop, reload)
    log.info("stopped", dropped=pipeline.queue.dropped.total())
    if taken:
        raise taken[0]


async def run_together(
    pipeline: Pipeline, alerts: Alerts, stop: asyncio.Event, reload: Reload | None = None
) -> None:
    """Run a pipeline and its alerts until `stop` is set; then the pipeline ends first and the alerts close in order."""
    alerts.attach(pipeline)
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(alerts.run())]
            beside += [] if reload is None else [group.create_task(reload.run())]
            await pipeline.run(stop)
            await alerts.close()
            for task in beside:
                task.cancel()
    except* Exception as errors:
        raise only(errors) from errors


@contextmanager
def recorder_of(settings: Settings, clock: Clock) -> Iterator[Recorder | None]:
    """The tape of a run, None when that is off."""
    if not settings.tape.enabled:
        yield None
        return
    with Recorder(settings.tape, clock) as recorder:
        yield recorder
    state = recorder.state()
    log.info("tape_closed", written=state.written, dropped=state.dropped, bytes=state.bytes)


@asynccontextmanager
async def web_of(
    settings: Settings, clock: Clock, pipeline: Pipeline, alerts: Alerts, beside: Beside | None = None
) -> AsyncIterator[WebServer | None]:
    """Serve pages, API, stream and metrics of a pipeline that is about to run; None when that is off."""
    if not settings.web.enabled:
        yield None
        return
    server = WebServer(settings.web, LiveSource(settings, clock, pipeline, alerts), beside=beside)

    pipeline.subscribe(on_batch=server.took, on_funding_history=server.live.board.take_funding)
    alerts.on_written(lambda written: server.wrote(written.events, written.decisions))
    async with server.serving():
        yield server


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let the first SIGTERM or SIGINT ask for an orderly end, and the second end the process."""

    def asked(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        log.info("stopping", signal=number.name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, asked, number)


def asked_by_hangups() -> asyncio.Event:
    """Set by each SIGHUP, where the platform has it."""
    asked = asyncio.Event()
    if hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    return asked


def log_event(event: Event) -> None:
    """Write one event to the log, at the level of its severity."""
    getattr(log, _LEVELS[event.severity])(
        "market_event",
        type=event.type.value,
        symbol=event.symbol,
        severity=event.severity.name,
        phase=event.phase.value,
        title=event.title,
        why=event.why,
        id=event.id,
    )


def log_progress(progress: Progress) -> None:
    """Write each tenth of the warm-up to the log."""
    tenth = max(1, progress.total // 10)
    if progress.done % tenth == 0 or progress.done == progress.total:
        log.info("warming_up", done=progress.done, of=progress.total)

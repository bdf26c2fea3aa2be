"""The demo from its beginning to its summary."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from regimes.clock import ScaledClock, SystemClock
from regimes.commands.demo.inbox import EXAMPLE, PATH as INBOX_PATH, Inbox
from regimes.commands.demo.options import Options, plain_symbols
from regimes.commands.demo.screen import Screen, choose
from regimes.commands.demo.summary import Summary
from regimes.commands.receiver import LocalReceiver, Received
from regimes.commands.running import ExitCode, run_to_end
from regimes.config import Settings
from regimes.config.settings import Origin
from regimes.delivery.channel import Channel
from regimes.delivery.settings import DeliverySettings
from regimes.events import iso_utc
from regimes.features.base import Status
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.logs import LogSettings, configure
from regimes.pipeline import Pipeline
from regimes.pipeline.alerts import Alerts
from regimes.redact import Redactor
from regimes.service import run_together, stop_on_signals, web_of
from regimes.storage.factory import storage_for
from regimes.timeframe import HOUR_MS
from regimes.web.app import is_free

LOOPBACK: Final = "127.0.0.1"
LOOK_S: Final = 0.02
SETTLE_S: Final = 5.0
ONCE_AT_MOST_MS: Final = 6 * HOUR_MS


def execute(settings: Settings, options: Options) -> ExitCode:
    """Run the demo; CHECK_FAILED when something that was sent did not arrive, or no full package came about."""
    # Beside the demo's own output only what needs attention is logged, unless a file or a level was asked for.
    quiet = settings.log.file is None and settings.log.level == "INFO"
    configure(LogSettings(level="WARNING") if quiet else settings.log, redact=Redactor.of(settings))
    screen = choose(once=options.once, as_json=options.as_json)
    with tempfile.TemporaryDirectory(prefix="regimes-demo-") as folder:
        try:
            return run_to_end(Demo(settings, options, screen, Path(folder)).run())
        finally:
            screen.close()


class Demo:
    """One exchange, one pipeline and one webhook receiver, on one clock that starts when all are connected."""

    def __init__(self, settings: Settings, options: Options, screen: Screen, folder: Path) -> None:
        self._options = options
        self._screen = screen
        self._symbols = plain_symbols(settings.symbols)
        self._settings = settings
        self._folder = folder
        self._clock = ScaledClock(options.start_ms, options.event_speed, running=False)
        self._stop = asyncio.Event()

    async def run(self) -> ExitCode:
        """Connect, start the clock, show what happens, end, sum up."""
        source = self._options.source(self._symbols)
        inbox = Inbox()

        def arrived(received: Received) -> None:
            self._screen.message(received)
            inbox.take(received)

        receiver = LocalReceiver(arrived)
        async with (
            LoopbackExchange(source, self._clock) as exchange,
            receiver.serving(),
            receiver.channels() as channels,
        ):
            settings = self._against(exchange)
            stop_on_signals(self._stop)
            async with self._alerts(settings, channels) as alerts:
                pipeline = Pipeline(settings, clock=self._clock)
                summary = Summary(exchange, pipeline, alerts, receiver)
                pipeline.subscribe(on_event=self._screen.event)
                pipeline.subscribe(on_event=summary.count)
                self._announce(exchange, alerts)
                async with web_of(settings, self._clock, pipeline, alerts, inbox.beside()) as server:
                    if server is not None:
                        self._screen.say(
                            f"dashboard on {server.address}, messages on {server.address}{INBOX_PATH}"
                        )
                    return await self._watch(pipeline, alerts, exchange, summary)

    @asynccontextmanager
    async def _alerts(self, settings: Settings, channels: tuple[Channel, ...]) -> AsyncIterator[Alerts]:
        """The service's own alerts on a database that is gone afterwards."""
        real = SystemClock()
        storage = storage_for(settings.storage.url.get_secret_value(), clock=real)
        await storage.open()
        try:
            yield Alerts(settings, self._clock, storage, channels, real)
        finally:
            await storage.close()

    async def _watch(
        self, pipeline: Pipeline, alerts: Alerts, exchange: LoopbackExchange, summary: Summary
    ) -> ExitCode:
        running = asyncio.create_task(run_together(pipeline, alerts, self._stop))
        showing = asyncio.create_task(self._show(pipeline, exchange, summary))
        try:
            await asyncio.wait({running, showing}, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            await running
            return await showing
        finally:
            showing.cancel()

    def _against(self, exchange: LoopbackExchange) -> Settings:
        """The settings in effect with everything that leads out replaced: venues, keys, database, webhooks."""
        return self._settings.replaced(
            Origin("demo", ""),
            symbols=self._symbols,
            storage={
                "url": f"sqlite:///{self._folder / 'demo.db'}",
                "spool": self._folder / "spool.db",
                "cache_dir": self._folder / "cache",
            },
            delivery=DeliverySettings(dashboard_url=EXAMPLE),
            web=self._web(),
            narrative={"api_key": None},
            venues={
                "spot": "binanceus",
                "derivatives": "binanceusdm",
                "spot_url": exchange.base_url,
                "derivatives_url": exchange.base_url,
                "api_key": None,
                "secret": None,
            },
        )

    def _web(self) -> dict[str, Any]:
        """On loopback and open, as nothing in it is anybody's; beside a service that runs here, on another port."""
        web, port = self._settings.web, self._options.port
        if port is None:
            port = web.port if is_free(LOOPBACK, web.port) else 0
        wanted = web.enabled and not self._options.once
        return {"enabled": wanted, "host": LOOPBACK, "port": port, "token": None, "metrics_token": None}

    def _announce(self, exchange: LoopbackExchange, alerts: Alerts) -> None:
        options = self._options
        what = (
            f"recordings in {options.data}"
            if options.data
            else f"scenario {options.scenario}, seed {options.seed}"
        )
        until = f" to {iso_utc(options.end_ms)}" if options.end_ms else ""
        self._screen.say(
            f"exchange on {exchange.base_url}: {what}, from {iso_utc(options.start_ms)}{until}, "
            f"{options.event_speed:g} s of market time a second"
        )
        names = ", ".join(endpoint.name for endpoint in alerts.endpoints)
        self._screen.say(f"webhook receiver on loopback: {names}")

    async def _show(self, pipeline: Pipeline, exchange: LoopbackExchange, summary: Summary) -> ExitCode:
        began = self._clock.monotonic()
        while not _connected(pipeline):
            await self._pause(LOOK_S)
            if self._stop.is_set():
                return ExitCode.OK
        self._clock.start()
        self._screen.say(f"history fetched, streams connected: {self._clock.monotonic() - began:.1f} s")
        full = await (
            self._until_full(pipeline) if self._options.once else self._until_end(pipeline, exchange)
        )
        await self._settle(summary)
        self._screen.packages(pipeline.engine.packages())
        self._screen.say(summary.words())
        messages = await summary.messages()
        self._screen.say(messages.words())
        arrived = not summary.lost and not messages.lost
        return ExitCode.OK if full and arrived else ExitCode.CHECK_FAILED

    async def _until_full(self, pipeline: Pipeline) -> bool:
        """Wait for a package in which every signal is ok; whether it came about in time."""
        while not self._stop.is_set() and self._clock.now_ms() < self._options.start_ms + ONCE_AT_MOST_MS:
            readings = pipeline.engine.latest.values()
            if all(reading.status is Status.OK for reading in readings):
                return True
            await self._pause(LOOK_S)
        return self._stop.is_set()

    async def _until_end(self, pipeline: Pipeline, exchange: LoopbackExchange) -> bool:
        shown_at = 0.0
        while not self._stop.is_set() and not exchange.ended.is_set():
            if self._clock.monotonic() - shown_at >= self._screen.every_s:
                self._screen.packages(pipeline.engine.packages())
                shown_at = self._clock.monotonic()
            await self._pause(LOOK_S)
        return True

    async def _settle(self, summary: Summary) -> None:
        """Give what is on its way time to arrive, the engine time to take it, and its alerts time to be delivered."""
        sent = summary.sent
        until = self._clock.monotonic() + SETTLE_S
        while not summary.has_arrived(sent) and self._clock.monotonic() < until:  # noqa: ASYNC110  # counters
            await asyncio.sleep(LOOK_S)
        while await summary.is_sending() and self._clock.monotonic() < until:  # noqa: ASYNC110  # rows of a table
            await asyncio.sleep(LOOK_S)

    async def _pause(self, real_s: float) -> None:
        """Wait, but not longer than until somebody asks to stop."""
        try:
            async with asyncio.timeout(real_s):
                await self._stop.wait()
        except TimeoutError:
            return


def _connected(pipeline: Pipeline) -> bool:
    streams = pipeline.status()
    return pipeline.live.is_set() and bool(streams) and all(stream.connected for stream in streams)

"""Everything between the engine's events and the people: storage, policy, outbox, and the watch over the service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import quote

import msgspec
import structlog

from regimes.alerting.message import Parcel, pack, unpack
from regimes.alerting.policy import Policy
from regimes.alerting.records import Route
from regimes.alerting.render import render
from regimes.alerting.system import SystemWatch
from regimes.clock import Clock, MarketClock, SystemClock
from regimes.config import Settings
from regimes.delivery.channel import Channel, open_channels
from regimes.delivery.desk import AlertDesk, Written
from regimes.delivery.endpoints import Endpoint, parse_endpoints
from regimes.delivery.exchange import exchange
from regimes.delivery.outbox import Outbox
from regimes.delivery.signing import parse_secrets
from regimes.delivery.targets import apprise
from regimes.engine import Engine
from regimes.errors import ConfigError, StorageError
from regimes.events import Event, EventType, Phase, Severity, body
from regimes.observations import Liquidation
from regimes.pipeline.archive import Archive
from regimes.pipeline.batch import Batch
from regimes.pipeline.health import Health
from regimes.pipeline.pipeline import Pipeline
from regimes.pipeline.resume import Resume
from regimes.pipeline.states import States
from regimes.pipeline.telling import Telling
from regimes.redact import Redactor, secrets_in
from regimes.storage.base import Storage
from regimes.storage.factory import storage_for
from regimes.storage.failover import OnTaken
from regimes.web.source import Trial

POLICY_S: Final = 0.5
HEALTH_S: Final = 2.0
CLOSE_S: Final = 4.0
_MOST_LIQUIDATIONS: Final = 1_000_000
_log = structlog.get_logger(__name__)


class Alerts:
    """One pipeline's alerts. Open with `open_alerts`, hand `resume` to the pipeline, `attach` it, then `run`.

    storage, outbox, desk, telling and health are there to be asked by commands and pages.
    """

    def __init__(
        self, settings: Settings, clock: Clock, storage: Storage, channels: tuple[Channel, ...], real: Clock
    ) -> None:
        self.settings = settings
        self.storage = storage
        self._channels = {channel.endpoint.name: channel for channel in channels}
        self._real = real
        self.watch = SystemWatch()
        redact = self._redact = Redactor.of(settings)
        self.outbox = Outbox(
            channels,
            storage,
            real,
            timeout_s=settings.delivery.timeout_seconds,
            fallback=settings.delivery.fallback,
            on_disabled=self._disabled,
            redact=redact,
        )
        self.telling = Telling(storage, settings.narrative, real)
        self.desk = AlertDesk(
            Policy(settings.alerting, routes(self.endpoints, settings)),
            storage,
            self.endpoints,
            real,
            states=self,
            links=links_of(settings),
            enrich=self.telling.enrich,
            wake=self.outbox.wake,
            on_written=self._written,
            settings=settings.delivery,
        )
        self.health = Health(settings, self.watch, channels, real, redact=redact)
        self._archive = Archive(storage, settings.storage, clock, real)
        self._clock = clock
        self._pipeline: Pipeline | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._states = States(self._small_states, self._live_engine)
        self._sent = asyncio.Event()
        self._on_written: list[Callable[[Written], None]] = []

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The receivers that are served."""
        return tuple(channel.endpoint for channel in self._channels.values())

    def change(self, settings: Settings, channels: tuple[Channel, ...]) -> None:
        """Go on with other settings and the channels that they ask for. Raises ConfigError, and changes nothing then."""
        self._redact.learn(secrets_in(settings))
        delivery = settings.delivery
        self.outbox.change(channels, timeout_s=delivery.timeout_seconds, fallback=delivery.fallback)
        self.settings = settings
        self._channels = {channel.endpoint.name: channel for channel in channels}
        self.desk.policy.change(settings.alerting, routes(self.endpoints, settings))
        self.desk.change(self.endpoints, links_of(settings), delivery)
        self.health.emergency.change(channels)

    def on_written(self, callback: Callable[[Written], None]) -> None:
        """Tell of events once they are on disk."""
        self._on_written.append(callback)

    async def resume(self) -> Resume:
        """Read what the run before this one left. Raises StorageError."""
        state = await self.storage.load_state()
        if "policy" in state:
            self.desk.policy.restore(state["policy"])
        if "system" in state:
            self.watch.restore(state["system"])
        await self.desk.load_silences()
        await self.telling.look()
        saved_every_ms = round(self.settings.storage.snapshot_seconds * 1000 * self._clock.speed)
        return Resume(state, self._liquidations_since, saved_every_ms=saved_every_ms)

    def attach(self, pipeline: Pipeline) -> None:
        """Take what the pipeline brings about."""
        self._pipeline = pipeline
        pipeline.subscribe(on_batch=self._took, on_waiting=self._archive.keep)

    async def run(self) -> None:
        """Decide, write, send and watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (
                self.desk.run(),
                self._send(),
                self._archive.run(self._save),
                self._save_first(),
                self.telling.narrator.run(),
                self._every(POLICY_S, self._let_policy_speak),
                self._every(HEALTH_S, self.look),
            ):
                group.create_task(part)

    async def try_endpoint(self, name: str) -> Trial:
        """Send one test message past policy and storage. Raises ConfigError when there is no such endpoint."""
        channel = self._channels.get(name)
        if channel is None:
            raise ConfigError(f"no endpoint {name!r}; there are {', '.join(self._channels) or 'none'}")
        tried = await exchange(
            channel.target,
            channel.transport,
            _test_parcel(channel, self._real),
            self._real,
            edit=None,
            memory={},
        )
        note = self._redact(tried.reply.note)
        return Trial(name, tried.outcome.value, tried.status_code, note, tried.duration_ms)

    async def close(self) -> None:
        """Write the last state and what still waits; finish what is being sent, send nothing more."""
        await self._archive.hand_over()
        self._save()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.desk.drained()
        except TimeoutError:
            _log.error("alerts_left_unstored", waiting=self.desk.waiting, error=self.desk.last_error)
        self.outbox.close()
        # What takes longer is left to its lease, and sent again by the next run.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S / 2):
                await self._sent.wait()

    async def _send(self) -> None:
        try:
            await self.outbox.run()
        finally:
            self._sent.set()

    async def _liquidations_since(self, since_ms: int) -> Sequence[Liquidation]:
        return await self.storage.liquidations(since_ms=since_ms, symbol=None, limit=_MOST_LIQUIDATIONS)

    def _took(self, batch: Batch) -> None:
        self._archive.take(batch)
        if batch.standing:
            self.desk.note(batch.standing, batch.now_ms)
        events = [*batch.events, *self.health.gaps(batch)]
        if events:
            self.desk.take(events, batch.now_ms)

    def _let_policy_speak(self) -> None:
        if self._is_live:
            # Before that an episode may look open that has ended while nobody watched.
            self.desk.tick(self._now_ms())

    async def look(self) -> None:
        """Look at the whole service now; what is wrong, or well again, is told."""
        with suppress(StorageError):
            await self.desk.load_silences()
        await self.telling.look()
        if self._pipeline is not None:
            events = await self.health.look(self._pipeline, self.storage, self.desk, self._now_ms())
            self._tell(events)

    def _tell(self, events: list[Event]) -> None:
        if events:
            self.desk.take(events, self._now_ms())

    async def _disabled(self, endpoint: Endpoint, reason: str, _now_ms: int) -> None:
        self._tell(self.health.disabled(endpoint, reason, self._now_ms()))

    def _written(self, written: Written) -> None:
        self.telling.narrator.take(written.events)
        for callback in self._on_written:
            callback(written)

    async def _save_first(self) -> None:
        """Let a restart know from the first liquidation on that whatever comes out of the stored ones is news."""
        if self._pipeline is not None:
            await self._pipeline.live.wait()
            self.desk.save()

    def _save(self) -> None:
        if self._is_live:
            self.desk.save()

    def take(self, *, whole: bool) -> Mapping[str, bytes]:
        """What must be written with the events that the desk is about to write."""
        # The engine's gist leaves to the stored liquidations what they can bring back: they are written with it.
        self._flushing = asyncio.create_task(self._flush())
        return self._states.take(whole=whole)

    def stored(self) -> None:
        """What was last taken is on disk."""
        self._states.stored()

    def _small_states(self) -> Mapping[str, bytes]:
        return {"policy": self.desk.policy.snapshot(), "system": self.watch.snapshot()}

    def _live_engine(self) -> Engine | None:
        return self._pipeline.engine if self._pipeline is not None and self._is_live else None

    async def _flush(self) -> None:
        await self._archive.hand_over()
        with suppress(StorageError):
            await self.storage.flush()

    @property
    def _is_live(self) -> bool:
        """Whether the engine has taken its history: what it knows before that must not replace what is stored."""
        return self._pipeline is not None and self._pipeline.live.is_set()

    def _now_ms(self) -> int:
        return self._clock.now_ms()

    async def _every(self, real_s: float, act: Callable[[], object]) -> None:
        while True:
            done = act()
            if asyncio.iscoroutine(done):
                await done
            await asyncio.sleep(real_s)


@asynccontextmanager
async def open_alerts(
    settings: Settings, clock: Clock, on_taken: OnTaken | None = None
) -> AsyncIterator[Alerts]:
    """Storage and channels as configured, closed at the end. Raises ConfigError, StorageError.

    on_taken: told when another service has the database, and this one has to end.
    """
    real = clock if isinstance(clock, MarketClock) else SystemClock()
    served: list[Outbox] = []

    def database_moved(down_since_ms: int | None) -> None:
        if down_since_ms is None:
            _log.info("database_back")
        else:
            _log.error("database_away", spool=str(settings.storage.spool))
        # What waited in the database that is back can be seen again only now.
        for outbox in served:
            outbox.wake()

    storage = storage_for(
        settings.storage.url.get_secret_value(),
        clock=real,
        spool=settings.storage.spool.expanduser(),
        on_state=database_moved,
        on_taken=on_taken,
    )
    endpoints, secrets = endpoints_of(settings), signing_secrets(settings)
    await storage.open()
    try:
        async with open_channels(endpoints, settings.delivery, secrets=secrets) as channels:
            alerts = Alerts(settings, clock, storage, channels, real)
            served.append(alerts.outbox)
            yield alerts
    finally:
        await storage.close()


def endpoints_of(settings: Settings) -> tuple[Endpoint, ...]:
    """The configured receivers. Raises ConfigError for a URL that is none."""
    return parse_endpoints(settings.delivery.urls, with_apprise=apprise.is_installed())


def signing_secrets(settings: Settings) -> tuple[bytes, ...]:
    """What signs the bodies for HTTP endpoints, the newest first. Raises ConfigError."""
    secret = settings.delivery.webhook_secret
    return parse_secrets(secret.get_secret_value()) if secret else ()


def routes(endpoints: tuple[Endpoint, ...], settings: Settings) -> list[Route]:
    """What each endpoint wants."""
    return [
        Route(endpoint=endpoint.name, sources=endpoint.routes, minimum=settings.alerting.minimum)
        for endpoint in endpoints
    ]


def _test_parcel(channel: Channel, real: Clock) -> Parcel:
    """What a test message says."""
    now_ms = real.now_ms()
    whole = body(
        Event(
            type=EventType.SYSTEM_DIGEST,
            symbol=channel.endpoint.name,
            severity=Severity.INFO,
            phase=Phase.OPENED,
            ts_ms=now_ms,
            started_ms=now_ms,
            revision=0,
            title="Test message",
            description=f"The endpoint {channel.endpoint.name} gets messages.",
            why="somebody asked for it on the dashboard",
            data={"is_test": True},
        )
    )
    return unpack(pack(whole, msgspec.structs.replace(render(whole), is_test=True)))


def links_of(settings: Settings) -> Callable[[Event], Mapping[str, str]]:
    """What makes the links of an event: to the dashboard, where it has an address, else none."""
    base = settings.delivery.dashboard_url.rstrip("/")

    def links(event: Event) -> Mapping[str, str]:
        return {
            "dashboard": f"{base}/?event={event.id}",
            "more": f"{base}/realtime?symbol={quote(event.symbol, safe='')}",
        }

    return links if base else lambda _event: {}

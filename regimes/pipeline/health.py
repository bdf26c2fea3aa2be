"""Looks at the service itself and says what is wrong with it, as events."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from regimes.alerting.system import SystemWatch, Trouble
from regimes.clock import Clock
from regimes.config import Settings
from regimes.delivery.channel import Channel
from regimes.delivery.desk import AlertDesk
from regimes.delivery.emergency import Emergency
from regimes.delivery.endpoints import Endpoint
from regimes.events import Event, EventType, Severity
from regimes.feeds.status import StreamStatus
from regimes.observations import FeedGap
from regimes.pipeline.batch import Batch
from regimes.pipeline.pipeline import Pipeline
from regimes.storage.base import Storage
from regimes.storage.failover import FailoverStorage
from regimes.timeframe import DAY_MS, MINUTE_MS
from regimes.wording import duration

_MB: Final = 1_000_000
_STARTING_MS: Final = DAY_MS - MINUTE_MS
"""A gap of nearly a day before the first connection is no gap but the beginning."""
_UNSTORED_S: Final = 5.0
_log = structlog.get_logger(__name__)


class Health:
    """One look at everything every few seconds. Real time measures how long something is wrong.

    redact: masks secrets in foreign words before they become part of an event.
    """

    def __init__(
        self,
        settings: Settings,
        watch: SystemWatch,
        channels: tuple[Channel, ...],
        real: Clock,
        *,
        redact: Callable[[str], str],
    ) -> None:
        self._admin = settings.admin
        self._watch = watch
        self._real = real
        self._bad_since: dict[str, float] = {}
        self._folder = _folder(settings)
        self.emergency = Emergency(channels, real)
        self._redact = redact

    async def look(self, pipeline: Pipeline, storage: Storage, desk: AlertDesk, now_ms: int) -> list[Event]:
        """Look at streams, clock, database and disk; what is to be told."""
        events = self._streams(pipeline, now_ms) + self._clock_skew(pipeline, now_ms)
        events += self._database(storage, now_ms) + self._disk(now_ms)
        await self._unstored(desk, now_ms)
        return events

    def gaps(self, batch: Batch) -> list[Event]:
        """Tell of gaps in the liquidations that have ended in this turn."""
        return [self._gap(gap, batch.now_ms) for gap in batch.gaps if self._is_told(gap)]

    def disabled(self, endpoint: Endpoint, reason: str, now_ms: int) -> list[Event]:
        """Tell that nothing is sent to an endpoint any more."""
        trouble = Trouble(
            severity=Severity.CRITICAL,
            title=f"Endpoint {endpoint.name} disabled",
            description="Nothing is sent to it until it is enabled again or its URL is changed. What it should have got "
            "is kept and can be replayed.",
            why=reason,
            data={"endpoint": endpoint.name, "kind": endpoint.kind.value},
        )
        return [self._watch.tell(EventType.SYSTEM_ENDPOINT_DISABLED, endpoint.name, trouble, now_ms)]

    def _is_told(self, gap: FeedGap) -> bool:
        if gap.kind != "liquidation" or gap.to_ms is None:
            return False
        return self._admin.gap_seconds * 1000 <= gap.to_ms - gap.from_ms < _STARTING_MS

    def _gap(self, gap: FeedGap, now_ms: int) -> Event:
        length_ms = (gap.to_ms or now_ms) - gap.from_ms
        trouble = Trouble(
            severity=Severity.WARNING,
            title=f"No liquidations from {gap.venue} for {duration(length_ms)}",
            description="What was liquidated in that time is in no sum: no exchange gives it out afterwards.",
            why=self._redact(gap.reason),
            since_ms=gap.from_ms,
            data={"venue": gap.venue, "seconds": length_ms / 1000, "symbol": gap.symbol},
        )
        return self._watch.tell(EventType.SYSTEM_FEED_GAP, f"{gap.venue} {gap.kind}", trouble, now_ms)

    def _streams(self, pipeline: Pipeline, now_ms: int) -> list[Event]:
        events: list[Event] = []
        # While history is fetched not every stream has begun.
        for stream in pipeline.status() if pipeline.live.is_set() else ():
            name = f"{stream.venue} {stream.stream}"
            lasted_s = self._lasted_s(name, is_bad=not stream.connected)
            is_stale = lasted_s >= self._admin.feed_stale_seconds
            # One that was told before a restart is not over while it has not connected yet.
            if is_stale or stream.connected:
                trouble = _stale(stream, lasted_s, now_ms) if is_stale else None
                events += self._watch.report(EventType.SYSTEM_FEED_STALE, name, trouble, now_ms)
        return events

    def _clock_skew(self, pipeline: Pipeline, now_ms: int) -> list[Event]:
        offsets = pipeline.clock_offsets_ms()
        venue, offset_ms = max(offsets.items(), key=lambda item: abs(item[1]), default=("", 0))
        trouble = None
        if abs(offset_ms) > self._admin.clock_skew_seconds * 1000:
            direction = "behind" if offset_ms > 0 else "ahead of"
            trouble = Trouble(
                severity=Severity.WARNING,
                title=f"Clock {duration(abs(offset_ms))} {direction} {venue}",
                description="The exchange's time is used, so signals are right; correct this machine's clock (NTP).",
                why=f"offset {offset_ms / 1000:+.1f} s, limit {self._admin.clock_skew_seconds:g} s",
                data={"venue": venue, "offset_seconds": offset_ms / 1000},
            )
        return self._watch.report(EventType.SYSTEM_CLOCK_SKEW, "clock", trouble, now_ms)

    def _database(self, storage: Storage, now_ms: int) -> list[Event]:
        since_ms = storage.down_since_ms if isinstance(storage, FailoverStorage) else None
        away_ms = self._real.now_ms() - since_ms if since_ms is not None else 0
        trouble = None
        if since_ms is not None and away_ms >= self._admin.db_down_minutes * MINUTE_MS:
            trouble = Trouble(
                severity=Severity.CRITICAL,
                title="Database away",
                description="Everything goes to the local spool and flows back when the server returns. Nothing is lost "
                "while this machine's disk has room.",
                why=f"PostgreSQL has not answered for {duration(away_ms)}",
            )
        return self._watch.report(EventType.SYSTEM_DB_DOWN, "database", trouble, now_ms)

    def _disk(self, now_ms: int) -> list[Event]:
        free_mb = shutil.disk_usage(self._folder).free / _MB
        trouble = None
        if free_mb < self._admin.disk_free_mb:
            trouble = Trouble(
                severity=Severity.CRITICAL,
                title=f"Disk nearly full: {free_mb:,.0f} MB free",
                description="When it is full nothing more can be stored. Free some space or shorten storage.keep_*_days.",
                why=f"{free_mb:,.0f} MB free < {self._admin.disk_free_mb:,.0f} MB",
                data={"free_mb": round(free_mb)},
            )
        return self._watch.report(EventType.SYSTEM_DISK_LOW, "disk", trouble, now_ms)

    async def _unstored(self, desk: AlertDesk, now_ms: int) -> None:
        """What cannot be stored cannot be queued either: people are told at once, without the database."""
        since = desk.failing_since
        if since is None or self._real.monotonic() - since < _UNSTORED_S:
            return
        trouble = Trouble(
            severity=Severity.CRITICAL,
            title="Alerts cannot be stored",
            description=f"{desk.waiting} steps wait in memory and leave when the database takes them; a restart now would "
            "lose them.",
            why=self._redact(desk.last_error),
        )
        event = self._watch.tell(EventType.SYSTEM_DISK_LOW, "storage", trouble, now_ms)
        await self.emergency.send(event)

    def _lasted_s(self, name: str, *, is_bad: bool) -> float:
        """Real seconds for which something has been bad without a break."""
        if not is_bad:
            self._bad_since.pop(name, None)
            return -1.0
        return self._real.monotonic() - self._bad_since.setdefault(name, self._real.monotonic())


def _stale(stream: StreamStatus, lasted_s: float, now_ms: int) -> Trouble:
    lasted_ms = int(lasted_s * 1000)
    return Trouble(
        severity=Severity.CRITICAL if stream.stream == "liquidation" else Severity.WARNING,
        title=f"Blind: no {stream.stream.replace('_', ' ')} data from {stream.venue}",
        description="The service keeps dialling. Signals that need this data are marked stale.",
        why=f"not connected for {duration(lasted_ms)}",
        since_ms=now_ms - lasted_ms,
        data={"venue": stream.venue, "stream": stream.stream, "reconnects": stream.reconnects},
    )


def _folder(settings: Settings) -> Path:
    """Where data are written: the database's folder, or the spool's."""
    url = settings.storage.url.get_secret_value()
    place = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else settings.storage.spool
    folder = place.expanduser().absolute().parent
    while not folder.exists():
        folder = folder.parent
    return folder

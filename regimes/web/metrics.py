"""`/metrics`: read from the running program when it is asked, at most once a second, and written off the loop."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from regimes import __version__
from regimes.alerting.records import Action, Decision, Reason
from regimes.clock import SystemClock
from regimes.delivery.breaker import BreakerPhase
from regimes.delivery.counters import WAITED_UP_TO_S
from regimes.errors import StorageError
from regimes.events import EventBody, EventType, Severity
from regimes.features.base import Reading, Status
from regimes.history.tape.recorder import TapeState
from regimes.intake.faults import Reason as Refusal
from regimes.storage.base import DeliveryStatus
from regimes.web.hub import Hub
from regimes.web.source import WebSource

KEPT_S: Final = 1.0
STORAGE_EVERY_S: Final = 60.0
_HELD_BACK: Final = frozenset({Action.SUPPRESS, Action.DIGEST, Action.HOLD})
_DATA_KINDS: Final = ("candle", "liquidation", "funding", "mark_price", "open_interest", "depth")


class Metrics:
    """Collects at each scrape. `wrote` counts events and decisions as they become durable."""

    def __init__(self, source: WebSource, hub: Hub) -> None:
        self._source = source
        self._hub = hub
        self._real = SystemClock()
        self._events = {(kind, level): 0 for kind in EventType for level in Severity}
        self._held_back = dict.fromkeys(Reason, 0)
        self._stored: dict[str, Any] = {}
        self._storage_s = 0.0
        self._scraped_at = -KEPT_S
        self._text = b""
        self._rendering = asyncio.Lock()
        self._machine = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._machine)
        PlatformCollector(registry=self._machine)
        GCCollector(registry=self._machine)

    def wrote(self, events: Iterable[EventBody], decisions: Iterable[Decision]) -> None:
        """Count what has just become durable."""
        for event in events:
            if event.phase == "opened":
                self._events[EventType(event.event_type), Severity[event.severity]] += 1
        for decision in decisions:
            if decision.action in _HELD_BACK:
                self._held_back[decision.reason] += 1

    async def run(self) -> None:
        """Ask storage now and then for what is too slow to count at each scrape."""
        while True:
            began = self._real.monotonic()
            try:
                self._stored = await self._source.storage.stats()
                self._storage_s = self._real.monotonic() - began
            except StorageError:
                self._stored = {}
            await asyncio.sleep(STORAGE_EVERY_S)

    async def handle(self, _request: web.Request) -> web.Response:
        """The answer to a scrape."""
        return web.Response(
            body=await self.text(), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
        )

    async def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        async with self._rendering:
            now = self._real.monotonic()
            if now - self._scraped_at >= KEPT_S:
                families = list(self.collect())
                self._text = await asyncio.to_thread(self._rendered, families)
                self._scraped_at = now
            return self._text

    def _rendered(self, families: list[Metric]) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Given(families))
        return generate_latest(registry) + generate_latest(self._machine)

    def collect(self) -> Iterator[Metric]:
        """All families of our own."""
        yield InfoMetricFamily("regimes_build", "Version of the program.", {"version": __version__})
        yield _gauge(
            "regimes_live", "1 once the history is in and observations flow.", float(self._source.is_live)
        )
        yield from self._stream_families()
        yield from self._engine_families()
        yield from self._queue_families()
        yield from self._event_families()
        yield from self._delivery_families()
        yield from self._storage_families()
        yield from self._tape_families()
        yield from self._web_families()
        yield self._narrative_family()

    def _stream_families(self) -> Iterator[Metric]:
        labels = ("venue", "stream")
        gauges: dict[str, GaugeMetricFamily] = {
            "connected": _gauges("regimes_stream_connected", "1 while the stream is connected.", labels),
            "age_s": _gauges("regimes_stream_age_seconds", "Seconds since its last message.", labels),
            "lag_ms": _gauges("regimes_stream_lag_seconds", "Arrival minus the exchange's own time.", labels),
        }
        counters = {
            "messages": _counters("regimes_stream_messages", "Messages received.", labels),
            "poison": _counters("regimes_stream_poison", "Messages that could not be used.", labels),
            "ignored": _counters("regimes_stream_ignored", "Messages nobody asked for.", labels),
            "gaps": _counters("regimes_stream_gaps", "Spans that may lack data.", labels),
            "reconnects": _counters("regimes_stream_reconnects", "New connections after the first.", labels),
        }
        for stream in self._source.streams():
            place = (stream.venue, stream.stream)
            families: dict[str, Any] = {**gauges, **counters}
            for name, family in families.items():
                value = getattr(stream, name)
                if value is not None:
                    family.add_metric(place, value / 1000 if name == "lag_ms" else float(value))
        yield from (*gauges.values(), *counters.values())

    def _engine_families(self) -> Iterator[Metric]:
        work, engine = self._source.work(), self._source.engine
        yield _counter("regimes_engine_observations", "Observations given to the engine.", work.observations)
        yield _counter("regimes_engine_seconds", "Seconds the engine has computed.", work.engine_seconds)
        spent = _counters("regimes_feature_seconds", "Seconds a feature has computed.", ("feature",))
        for name, seconds in work.feature_seconds.items():
            spent.add_metric((name,), seconds)
        yield spent
        lag = _gauges(
            "regimes_loop_lag_seconds", "How late the event loop wakes its tasks, by share.", ("quantile",)
        )
        for share, seconds in work.loop_lag_s.items():
            lag.add_metric((f"{share:g}",), seconds)
        yield lag
        counts = {} if engine is None else _readings(engine.latest.values())
        told = _gauges("regimes_readings", "Readings by feature and status.", ("feature", "status"))
        for place, count in counts.items():
            told.add_metric(place, count)
        yield told
        yield self._refused()
        open_events = 0 if engine is None else len(engine.open_events)
        yield _gauge("regimes_open_events", "Episodes of the market that have not ended.", open_events)

    def _refused(self) -> Metric:
        engine = self._source.engine
        rejected = {} if engine is None else engine.intake.rejected
        family = _counters(
            "regimes_observations_rejected", "Observations refused at the door.", ("kind", "reason")
        )
        for kind in _DATA_KINDS:
            for reason in Refusal:
                family.add_metric((kind, reason.value), rejected.get((kind, reason), 0))
        return family

    def _queue_families(self) -> Iterator[Metric]:
        queue = self._source.queue
        yield _gauge("regimes_queue_depth", "Observations that wait for the engine.", len(queue))
        yield _gauge("regimes_queue_capacity", "How many may wait before feeds stop reading.", queue.capacity)
        yield _gauge(
            "regimes_queue_pressure", "1 while feeds are asked to stop reading.", float(queue.pressure)
        )
        yield _counter(
            "regimes_queue_dropped", "Observations refused because too many waited.", queue.dropped.total()
        )
        yield _gauge("regimes_alerts_waiting", "Steps that are not on disk yet.", self._source.desk.waiting)

    def _event_families(self) -> Iterator[Metric]:
        opened = _counters(
            "regimes_events", "Episodes opened, by type and first severity.", ("type", "severity")
        )
        for (kind, level), count in self._events.items():
            opened.add_metric((kind.value, level.name), count)
        yield opened
        held = _counters(
            "regimes_events_held_back", "Times an endpoint was not sent an event, by reason.", ("reason",)
        )
        for reason, count in self._held_back.items():
            held.add_metric((reason.value,), count)
        yield held

    def _delivery_families(self) -> Iterator[Metric]:
        counters = self._source.outbox.counters
        tries = _counters("regimes_delivery_tries", "Tries by endpoint and outcome.", ("endpoint", "outcome"))
        for (name, outcome), count in counters.tries.items():
            tries.add_metric((name, outcome.value), count)
        ended = _counters(
            "regimes_deliveries",
            "Deliveries that have ended, by endpoint and status.",
            ("endpoint", "status"),
        )
        for (name, status), count in counters.ended.items():
            ended.add_metric((name, status.value), count)
        diverted = _counters(
            "regimes_deliveries_diverted", "Deliveries given to the fallback.", ("endpoint",)
        )
        for name, count in counters.diverted.items():
            diverted.add_metric((name,), count)
        spent = SummaryMetricFamily(
            "regimes_delivery_try_seconds", "Seconds spent in tries.", labels=("endpoint",)
        )
        for name, seconds in counters.seconds.items():
            count = sum(n for (endpoint, _), n in counters.tries.items() if endpoint == name)
            spent.add_metric((name,), count_value=count, sum_value=seconds)
        yield from (tries, ended, diverted, spent, self._waited(), *self._endpoint_families())

    def _waited(self) -> Metric:
        family = HistogramMetricFamily(
            "regimes_delivery_latency_seconds",
            "Seconds from an event on disk to its delivery.",
            labels=("endpoint",),
        )
        for name, waited in self._source.outbox.counters.waited.items():
            total, buckets = 0, []
            for bound, count in zip((*map(str, WAITED_UP_TO_S), "+Inf"), waited.counts, strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric((name,), buckets, waited.seconds)
        return family

    def _endpoint_families(self) -> Iterator[Metric]:
        phases = _gauges(
            "regimes_endpoint_breaker", "1 for the state its breaker is in.", ("endpoint", "state")
        )
        under_way = _gauges("regimes_endpoint_under_way", "Deliveries being sent now.", ("endpoint",))
        for status in self._source.outbox.status():
            for phase in BreakerPhase:
                phases.add_metric((status.name, phase.value), float(status.phase is phase))
            under_way.add_metric((status.name,), status.under_way)
        yield from (phases, under_way)

    def _storage_families(self) -> Iterator[Metric]:
        desk, stored = self._source.desk, self._stored
        commits = SummaryMetricFamily(
            "regimes_storage_commit_seconds", "Seconds until a step of alerts is on disk."
        )
        commits.add_metric((), count_value=desk.commits, sum_value=desk.commit_seconds)
        yield commits
        yield _gauge(
            "regimes_storage_read_seconds", "Seconds the last look at all tables took.", self._storage_s
        )
        failing = float(desk.failing_since is not None)
        yield _gauge("regimes_storage_refusing", "1 while the database refuses alerts.", failing)
        errors = self._source.outbox.counters.storage_errors
        yield _counter("regimes_storage_errors", "Calls of the outbox to the database that failed.", errors)
        away = float(stored.get("failover", {}).get("down_since_ms") is not None)
        yield _gauge(
            "regimes_storage_spooling", "1 while the database is away and the spool takes everything.", away
        )
        yield _gauge("regimes_storage_spool_bytes", "Size of the spool.", self._source.spool_bytes())
        yield _gauge("regimes_storage_bytes", "Size of the database.", stored.get("bytes", 0))
        rows = _gauges("regimes_storage_rows", "Rows by table, as of the last look.", ("table",))
        for table, count in stored.get("rows", {}).items():
            rows.add_metric((table,), count)
        yield rows
        waiting = _gauges(
            "regimes_deliveries_stored", "Deliveries by status, as of the last look.", ("status",)
        )
        for status in DeliveryStatus:
            waiting.add_metric((status.value,), stored.get("deliveries", {}).get(status.value, 0))
        yield waiting
        dropped = stored.get("buffer", {}).get("dropped", {})
        lost = _counters("regimes_storage_rows_lost", "Rows of history that were never stored.", ("reason",))
        for reason in ("full", "refused", "closed", "spool_full"):
            lost.add_metric((reason,), dropped.get(reason, 0))
        yield lost

    def _tape_families(self) -> Iterator[Metric]:
        tape = self._source.tape() or TapeState(0, 0, 0, 0, "")
        yield _counter("regimes_tape_written", "Observations on the tape.", tape.written)
        yield _gauge("regimes_tape_waiting", "Observations that wait for the tape.", tape.waiting)
        yield _counter("regimes_tape_dropped", "Observations that were not recorded.", tape.dropped)
        yield _gauge(
            "regimes_tape_failing", "1 while the disk does not take the tape.", float(bool(tape.error))
        )

    def _narrative_family(self) -> Metric:
        paragraphs = _counters(
            "regimes_narrative_paragraphs",
            "Paragraphs that were to be put into other words, by what became of it.",
            ("outcome",),
        )
        for outcome, count in self._source.narrative_counts().items():
            paragraphs.add_metric((outcome,), count)
        return paragraphs

    def _web_families(self) -> Iterator[Metric]:
        counts = self._hub.counts
        yield _gauge("regimes_sse_clients", "Event streams that are open.", self._hub.clients)
        yield _counter("regimes_sse_frames", "Frames given to event streams.", counts.deliveries)
        yield _counter("regimes_sse_conflated", "Readings left out for slow event streams.", counts.conflated)
        yield _counter("regimes_sse_stuck", "Event streams cut off as nobody read them.", counts.stuck)
        yield _counter("regimes_sse_resumed", "Event streams that went on from storage.", counts.resumed)


class _Given:
    """Families that were collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _readings(latest: Iterable[Reading]) -> dict[tuple[str, str], int]:
    counts = Counter((reading.feature, reading.status) for reading in latest)
    features = {feature: None for feature, _ in counts}
    return {(feature, status.value): counts[feature, status] for feature in features for status in Status}


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(name, words, value=value)


def _gauges(name: str, words: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, labels=labels)


def _counters(name: str, words: str, labels: tuple[str, ...]) -> CounterMetricFamily:
    return CounterMetricFamily(name, words, labels=labels)

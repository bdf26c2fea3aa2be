"""The running program as the web room sees it."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from regimes.alerting.track_record import ScoreTable
from regimes.clock import Clock
from regimes.config import Settings
from regimes.config.load import leaves
from regimes.engine import Engine
from regimes.events import EventBody
from regimes.feeds.cache import CandleCache, to_candles
from regimes.feeds.history import Progress
from regimes.feeds.status import StreamStatus
from regimes.history.tape.recorder import TapeState
from regimes.observations import Candle
from regimes.pipeline.alerts import Alerts
from regimes.pipeline.pipeline import Pipeline
from regimes.redact import MASK
from regimes.web.source import Setting, Trial, Work

SHARES: Final = (0.5, 0.99)
KEPT_FILES: Final = 16


class LiveSource:
    """Reads a pipeline and its alerts; `WebSource` says what each part is."""

    def __init__(self, settings: Settings, clock: Clock, pipeline: Pipeline, alerts: Alerts) -> None:
        self.clock = clock
        self.storage = alerts.storage
        self.outbox = alerts.outbox
        self.desk = alerts.desk
        self.queue = pipeline.queue
        self.volatility: Any = settings.section("volatility")
        self._pipeline = pipeline
        self._alerts = alerts
        self._cache = CandleCache(settings.storage.cache_dir.expanduser())
        self._bars: dict[Path, tuple[int, Sequence[Candle]]] = {}

    @property
    def _settings(self) -> Settings:
        return self._alerts.settings

    @property
    def engine(self) -> Engine | None:
        return self._pipeline.engine if self._pipeline.is_built else None

    @property
    def is_live(self) -> bool:
        return self._pipeline.live.is_set()

    @property
    def progress(self) -> Progress | None:
        return self._pipeline.progress

    def streams(self) -> Sequence[StreamStatus]:
        return self._pipeline.status()

    def venue_problems(self) -> Mapping[str, str]:
        return self._pipeline.venue_problems()

    def problems(self) -> Sequence[str]:
        return self._pipeline.readiness().problems

    def work(self) -> Work:
        lag = self._pipeline.lag
        known = {share: lag.quantile_ms(share) for share in SHARES}
        return Work(
            feature_seconds=self._pipeline.feature_seconds,
            engine_seconds=self._pipeline.engine_seconds,
            observations=self._pipeline.taken,
            loop_lag_s={share: ms / 1000 for share, ms in known.items() if ms is not None},
        )

    def tape(self) -> TapeState | None:
        return self._pipeline.tape()

    def settings(self) -> Sequence[Setting]:
        return [
            Setting(path, _shown(self._settings, path), str(self._settings.origin(path)))
            for path, _ in leaves(type(self._settings))
        ]

    def spool_bytes(self) -> int:
        spool = self._settings.storage.spool.expanduser()
        return spool.stat().st_size if spool.exists() else 0

    @property
    def score_table(self) -> ScoreTable | None:
        return self._alerts.telling.table

    def narrated(self, package: Mapping[str, Any]) -> str:
        return self._alerts.telling.narrator.package(package)

    def better(self, event: EventBody) -> EventBody:
        return self._alerts.telling.narrator.better(event)

    def narrative_counts(self) -> Mapping[str, int]:
        return self._alerts.telling.narrator.counts

    async def bars(self, symbol: str) -> Sequence[Candle]:
        venue = self._settings.venues.spot or self._settings.venues.derivatives
        return await asyncio.to_thread(self._from_disk, venue, symbol)

    async def try_endpoint(self, name: str) -> Trial:
        return await self._alerts.try_endpoint(name)

    def _from_disk(self, venue: str, symbol: str) -> Sequence[Candle]:
        """The bars of one file, kept while it does not change."""
        path = self._cache.path(venue, symbol, "1h")
        if not path.exists():
            return ()
        changed = path.stat().st_mtime_ns
        known = self._bars.get(path)
        if known is None or known[0] != changed:
            frame = self._cache.load(venue, symbol, "1h")
            known = (changed, to_candles(frame, venue=venue, symbol=symbol, timeframe="1h"))
            while len(self._bars) >= KEPT_FILES:
                self._bars.pop(next(iter(self._bars)))
            self._bars[path] = known
        return known[1]


def _shown(settings: Settings, path: str) -> Any:
    """A setting's value as JSON; a secret is masked."""
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    if isinstance(value, SecretStr):
        return MASK
    return [*value] if isinstance(value, tuple) else (str(value) if isinstance(value, Path) else value)

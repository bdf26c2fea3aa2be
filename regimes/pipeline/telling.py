"""What an event carries beside its own numbers: what followed earlier ones, and the words for people."""

from pathlib import Path
from typing import Final

import msgspec
import structlog

from regimes.alerting.track_record import ScoreTable, TrackRecords
from regimes.clock import Clock
from regimes.config.sources import shipped_config
from regimes.errors import StorageError
from regimes.events import EventBody
from regimes.narrative.narrator import Narrator
from regimes.narrative.settings import NarrativeSettings
from regimes.storage.base import ScoreRow, Storage

SHIPPED: Final = "track_record.json"
LOOK_S: Final = 60.0
_log = structlog.get_logger(__name__)


def shipped_table(path: Path | None = None) -> ScoreTable | None:
    """The table that came with the program; None where it is not there or of another release."""
    try:
        table = read_table((path or shipped_config(SHIPPED)).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return msgspec.structs.replace(table, shipped=True)


def read_table(body: bytes) -> ScoreTable:
    """A table as it is stored. Raises msgspec.DecodeError."""
    return msgspec.json.decode(body, type=ScoreTable)


class Telling:
    """Adds track record and narrative to events. The user's own score is used as soon as there is one."""

    def __init__(self, storage: Storage, settings: NarrativeSettings, clock: Clock) -> None:
        self.narrator = Narrator(settings, clock)
        self.table = shipped_table()
        self._storage = storage
        self._clock = clock
        self._records = TrackRecords(self.table) if self.table else None
        self._made_ms = 0
        self._looked_s: float | None = None

    def enrich(self, event: EventBody) -> EventBody:
        """The event with its record and its words; nothing is waited for."""
        record = self._records and self._records.of(event.event_type, event.symbol, event.data)
        known = msgspec.structs.replace(event, track_record=record)
        return msgspec.structs.replace(known, narrative=self.narrator.event(known))

    async def look(self) -> None:
        """Read a newer score, now and then."""
        now = self._clock.monotonic()
        if self._looked_s is not None and now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        try:
            found = await self._storage.score(after_ms=self._made_ms)
        except StorageError:
            return
        if found is not None:
            self._use(found)

    def _use(self, row: ScoreRow) -> None:
        self._made_ms = row.made_ms
        try:
            self.table = read_table(row.body)
        except msgspec.DecodeError as error:
            _log.warning("score_not_used", error=str(error))
            return
        self._records = TrackRecords(self.table)
        _log.info("score_in_use", source=row.source, events=self.table.events)

"""What can be done through the API: silences, replays, tests, enabling an endpoint."""

from typing import Final
from uuid import uuid4

import structlog

from regimes.alerting.records import Silence
from regimes.clock import SystemClock
from regimes.errors import ConfigError
from regimes.events import EventType, Severity
from regimes.timeframe import HOUR_MS
from regimes.web import params, shapes
from regimes.web.problem import ProblemError
from regimes.web.source import WebSource
from regimes.web.views import silence_view

REPLAY_EXPIRES_MS: Final = HOUR_MS
MOST_SILENCES: Final = 500
_log = structlog.get_logger(__name__)


class Writes:
    """One method a route; each is written to the log."""

    def __init__(self, source: WebSource) -> None:
        self._source = source
        self._real = SystemClock()

    async def silence(
        self, _path: params.Nothing, _query: params.Nothing, new: shapes.NewSilence
    ) -> shapes.SilenceView:
        if new.event_type not in {"", *EventType}:
            raise ProblemError(
                400, f"event_type {new.event_type!r} is none; /api/events shows those there are"
            )
        if len(await self._source.storage.silences()) >= MOST_SILENCES:
            raise ProblemError(400, f"there are {MOST_SILENCES} silences already; delete some first")
        now_ms = self._source.clock.now_ms()
        made = Silence(
            id=f"sil_{uuid4().hex[:12]}",
            created_ms=now_ms,
            until_ms=now_ms + round(new.hours * HOUR_MS),
            comment=new.comment,
            event_type=new.event_type,
            symbol=new.symbol,
            up_to=Severity[new.up_to],
        )
        await self._source.storage.put_silence(made)
        await self._source.desk.load_silences()
        _log.info("silence_made", id=made.id, event_type=made.event_type, symbol=made.symbol, hours=new.hours)
        return silence_view(made, now_ms)

    async def unsilence(self, path: params.ById, _query: params.Nothing, _body: None) -> shapes.Done:
        if not await self._source.storage.delete_silence(path.id):
            raise ProblemError(404, f"there is no silence {path.id!r}")
        await self._source.desk.load_silences()
        _log.info("silence_deleted", id=path.id)
        return shapes.Done()

    async def replay(self, path: params.ById, _query: params.Nothing, _body: None) -> shapes.Replayed:
        if await self._source.storage.delivery(path.id) is None:
            raise ProblemError(404, f"there is no delivery {path.id!r}")
        expires_at_ms = self._real.now_ms() + REPLAY_EXPIRES_MS
        count = await self._source.outbox.replay(expires_at_ms=expires_at_ms, delivery_id=path.id)
        _log.info("delivery_replayed", id=path.id, count=count)
        return shapes.Replayed(count)

    async def enable(self, path: params.ByName, _query: params.Nothing, _body: None) -> shapes.Done:
        try:
            await self._source.outbox.enable(path.name)
        except ConfigError as error:
            raise ProblemError(404, str(error)) from error
        _log.info("endpoint_enabled", endpoint=path.name)
        return shapes.Done()

    async def test(self, path: params.ByName, _query: params.Nothing, _body: None) -> shapes.TrialView:
        try:
            tried = await self._source.try_endpoint(path.name)
        except ConfigError as error:
            raise ProblemError(404, str(error)) from error
        _log.info("endpoint_tested", endpoint=path.name, outcome=tried.outcome)
        return shapes.TrialView(
            tried.endpoint, tried.outcome, tried.status_code, tried.note, tried.duration_ms
        )

"""`/api/score`: what was announced lately, and what followed such events."""

from typing import TYPE_CHECKING, Final

from regimes.storage.base import EventQuery
from regimes.timeframe import DAY_MS
from regimes.web import params, shapes
from regimes.web.source import WebSource
from regimes.web.views import tracks

if TYPE_CHECKING:
    from regimes.events import EventBody

PAGES: Final = 10
PAGE: Final = 200
KEPT_S: Final = 60.0


class Scores:
    """Counts stored episodes at most once a minute; the table of what followed is in memory."""

    def __init__(self, source: WebSource) -> None:
        self._source = source
        self._counted: dict[int, tuple[float, shapes.Score]] = {}

    async def answer(self, query: params.ScoreQuery) -> shapes.Score:
        """Everything that `/api/score` tells."""
        made_at, known = self._counted.get(query.days, (0.0, None))
        now = self._source.clock.monotonic()
        if known is None or now - made_at > KEPT_S:
            known = await self._count(query.days)
            self._counted = {query.days: (now, known)}
        return shapes.Score(known.days, known.complete, known.tracks, self._source.score_table)

    async def _count(self, days: int) -> shapes.Score:
        since_ms = self._source.clock.now_ms() - days * DAY_MS
        events: list[EventBody] = []
        cursor: str | None = None
        for _ in range(PAGES):
            wanted = EventQuery(from_ms=since_ms, limit=PAGE, cursor=cursor)
            page = await self._source.storage.events(wanted)
            events += page.events
            cursor = page.cursor
            if cursor is None:
                break
        return shapes.Score(days, cursor is None, tracks(events))

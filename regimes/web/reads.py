"""What can be asked: the live routes answer from memory, the others from storage."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from regimes.errors import StorageError
from regimes.events import EventBody
from regimes.observations import MARKET, Candle
from regimes.storage.base import EventQuery, Liquidated, ReadingRow
from regimes.timeframe import DAY_MS, HOUR_MS, bar_open, to_ms
from regimes.web import cursors, params, shapes
from regimes.web.bands import states
from regimes.web.live import Live
from regimes.web.payload import Payload
from regimes.web.problem import ProblemError
from regimes.web.score import Scores
from regimes.web.source import WebSource
from regimes.web.views import (
    bar_views,
    delivery_view,
    endpoint_view,
    grouped,
    silence_view,
    whole_hours_end_ms,
)

EPISODES: Final = 200
HISTORY_PAGE: Final = 2_000


class Reads:
    """One method a route."""

    def __init__(self, source: WebSource, live: Live) -> None:
        self._source = source
        self._live = live
        self.scores = Scores(source)

    # -- from memory ----------------------------------------------------------------------------------------------

    async def features(self, query: params.BySymbol) -> Payload:
        symbols = self._live.checked(query.symbol)
        return await self._live.payload(
            "features", query.symbol, make=lambda: self._live.features(symbols), ahead=symbols
        )

    async def cascades(self, query: params.CascadesQuery) -> dict[str, Any]:
        now = self._live.signals("cascades", self._live.checked(query.symbol))
        return {**now, "hours": query.hours, "episodes": await self._begun(query)}

    async def _begun(self, query: params.CascadesQuery) -> Sequence[EventBody] | None:
        """Cascades that began lately; None while the database is away."""
        since_ms = self._source.clock.now_ms() - query.hours * HOUR_MS
        wanted = EventQuery(
            event_type="LIQUIDATION_CASCADE", symbol=query.symbol, from_ms=since_ms, limit=EPISODES
        )
        try:
            return (await self._source.storage.events(wanted)).events
        except StorageError:
            return None

    async def funding(self, query: params.BySymbol) -> Payload:
        symbols = self._live.checked(query.symbol)

        def make() -> dict[str, Any]:
            rates = {symbol: self._live.board.funding(symbol) for symbol in symbols if symbol != MARKET}
            return {**self._live.signals("funding", symbols), "history": rates}

        return await self._live.payload("funding", query.symbol, make=make)

    async def volatility(self, query: params.BySymbol) -> Payload:
        return await self._signal("volatility", query)

    async def regimes(self, query: params.BySymbol) -> Payload:
        return await self._signal("regimes", query)

    async def correlation(self, query: params.BySymbol) -> Payload:
        return await self._signal("correlations", query)

    async def _signal(self, key: str, query: params.BySymbol) -> Payload:
        symbols = self._live.checked(query.symbol)
        return await self._live.payload(key, query.symbol, make=lambda: self._live.signals(key, symbols))

    async def status(self, _query: params.Nothing) -> shapes.Status:
        return self._live.status()

    async def endpoints(self, _query: params.Nothing) -> shapes.Endpoints:
        outbox = self._source.outbox
        return shapes.Endpoints([endpoint_view(status, outbox.counters) for status in outbox.status()])

    async def config(self, _query: params.Nothing) -> shapes.Config:
        return shapes.Config(self._source.settings())

    # -- from storage ---------------------------------------------------------------------------------------------

    async def events(self, query: params.EventsQuery) -> shapes.Events:
        from_ms = None if query.from_ is None else params.moment_ms(query.from_, 0)
        to_ms = None if query.to is None else params.moment_ms(query.to, 0)
        page = await self._source.storage.events(
            EventQuery(
                event_type=query.type,
                symbol=query.symbol,
                severity=query.severity,
                from_ms=from_ms,
                to_ms=to_ms,
                limit=query.limit,
                cursor=query.cursor,
            )
        )
        return shapes.Events(page.events, page.cursor)

    async def event(self, path: params.ById, _query: params.Nothing) -> shapes.EventWhole:
        storage = self._source.storage
        event = await storage.event(path.id)
        if event is None:
            raise ProblemError(404, f"there is no event {path.id!r}")
        decisions, deliveries = await asyncio.gather(
            storage.decisions(path.id), storage.deliveries(event_id=path.id, status=None, limit=500)
        )
        best = self._source.better(event)
        return shapes.EventWhole(best, decisions, [delivery_view(one) for one in deliveries])

    async def deliveries(self, query: params.DeliveriesQuery) -> shapes.Deliveries:
        before = None if query.cursor is None else cursors.delivery_place(query.cursor)
        found = await self._source.storage.deliveries(
            event_id=query.event,
            status=query.status,
            endpoint=query.endpoint,
            limit=query.limit + 1,
            before=before,
        )
        page = [delivery_view(one) for one in found[: query.limit]]
        more = len(found) > len(page)
        return shapes.Deliveries(page, cursors.of_delivery(page[-1]) if more else None)

    async def delivery(self, path: params.ById, _query: params.Nothing) -> shapes.DeliveryWhole:
        found = await self._source.storage.delivery(path.id)
        if found is None:
            raise ProblemError(404, f"there is no delivery {path.id!r}")
        return shapes.DeliveryWhole(delivery_view(found), await self._source.storage.attempts(path.id))

    async def silences(self, _query: params.Nothing) -> shapes.Silences:
        now_ms = self._source.clock.now_ms()
        found = await self._source.storage.silences()
        return shapes.Silences([silence_view(one, now_ms) for one in found])

    async def history(self, query: params.HistoryQuery) -> shapes.History:
        from_ms, to_ms = params.span_ms(query.from_, query.to, self._source.clock.now_ms())
        ask = partial(
            self._source.storage.readings,
            feature=self._live.feature_name(query.feature),
            symbol=query.symbol,
            to_ms=to_ms,
            limit=HISTORY_PAGE,
        )
        kept: list[ReadingRow] = []
        due_ms, next_ms = from_ms, from_ms
        while len(kept) < query.limit:
            rows = await ask(from_ms=next_ms)
            for row in rows:
                if row.ts_ms >= due_ms and len(kept) < query.limit:
                    kept.append(row)
                    due_ms = row.ts_ms + query.step * 1000
            if len(rows) < HISTORY_PAGE or len(kept) >= query.limit:
                break
            next_ms = max(rows[-1].ts_ms + 1, due_ms)
        more = len(kept) >= query.limit
        return shapes.History(
            feature=query.feature,
            symbol=query.symbol,
            step_seconds=query.step,
            points=[shapes.Point(row.ts_ms, msgspec.json.decode(row.body)) for row in kept],
            next_from_ms=max(kept[-1].ts_ms + 1, due_ms) if more else None,
        )

    async def candles(self, query: params.CandlesQuery) -> shapes.Candles:
        (symbol,) = self._live.checked(query.symbol)
        now_ms, step_ms = self._source.clock.now_ms(), to_ms(query.timeframe)
        from_ms, to_ms_ = params.span_ms(query.from_, query.to, now_ms, default_ms=query.limit * step_ms)
        first_ms = max(bar_open(from_ms, step_ms), bar_open(to_ms_, step_ms) - query.limit * step_ms)
        hours = await self._hours(symbol)
        # Outside the loop: some thousand bars take longer than a frame may wait.
        return await asyncio.to_thread(
            self._drawn, query, hours, await self._sums(symbol, first_ms, to_ms_), first_ms, to_ms_
        )

    def _drawn(
        self,
        query: params.CandlesQuery,
        hours: Sequence[Candle],
        sums: Sequence[Liquidated] | None,
        first_ms: int,
        end_ms: int,
    ) -> shapes.Candles:
        closed = [bar for bar in hours if bar.closed]
        bands = states(closed, self._source.volatility, query.limit) if query.timeframe == "1h" else {}
        wanted = [bar for bar in hours if first_ms <= bar.open_ms < end_ms]
        bars = grouped(wanted, query.timeframe)[-query.limit :]
        views = bar_views(bars, query.timeframe, sums, bands, whole_hours_end_ms(hours))
        return shapes.Candles(query.symbol, query.timeframe, views)

    async def _hours(self, symbol: str) -> Sequence[Candle]:
        """Hourly bars from disk and those since, the unfinished one last."""
        bars = {bar.open_ms: bar for bar in await self._source.bars(symbol)}
        bars.update((bar.open_ms, bar) for bar in self._live.board.closed(symbol))
        unfinished = self._live.board.unfinished(symbol)
        if unfinished is not None:
            bars.setdefault(unfinished.open_ms, unfinished)
        return [bars[open_ms] for open_ms in sorted(bars)]

    async def _sums(self, symbol: str, from_ms: int, to_ms_: int) -> Sequence[Liquidated] | None:
        try:
            return await self._source.storage.liquidated(
                symbol=symbol, from_ms=from_ms, to_ms=to_ms_, step_ms=HOUR_MS
            )
        except StorageError:
            return None

    async def liquidations(self, query: params.LiquidationsQuery) -> shapes.Liquidations:
        since_ms = params.moment_ms(query.from_, self._source.clock.now_ms() - DAY_MS)
        symbol = None if query.symbol == MARKET else query.symbol
        found = await self._source.storage.liquidations(
            since_ms=since_ms,
            symbol=symbol,
            limit=query.limit + 1,
            before=None if query.cursor is None else cursors.liquidation_place(query.cursor),
        )
        newest = [*reversed(found)]
        page = newest[: query.limit]
        return shapes.Liquidations(
            page, cursors.of_liquidation(page[-1]) if len(newest) > len(page) else None
        )

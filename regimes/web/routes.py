"""Every route of the API in one table: what it takes, what it answers, and what its description says."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from regimes.web import params, shapes
from regimes.web.reads import Reads
from regimes.web.writes import Writes

Handler: TypeAlias = Callable[..., Awaitable[Any]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. path is as aiohttp and OpenAPI write it. is_write: needs more than the right to read.

    A handler takes its query; one with parameters in its path or a body takes path, query and, for writes, body.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: type
    query: type[msgspec.Struct] = params.Nothing
    where: type[msgspec.Struct] = params.Nothing
    body: type[msgspec.Struct] | None = None
    status: int = 200
    errors: tuple[int, ...] = ()

    @property
    def is_write(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"


def api_routes(reads: Reads, writes: Writes) -> Sequence[Route]:
    """All operations, in the order of the documentation."""
    return [*_live(reads), *_stored(reads), *_writes(writes)]


def _get(path: str, handler: Handler, summary: str, answer: type, **more: Any) -> Route:
    return Route(method="GET", path=path, handler=handler, summary=summary, answer=answer, **more)


def _live(reads: Reads) -> Sequence[Route]:
    one = {"query": params.BySymbol, "errors": (404,)}
    return [
        _get("/api/features", reads.features, "Everything known now, by symbol", shapes.Features, **one),
        _get(
            "/api/cascades",
            reads.cascades,
            "Liquidation cascades now, and those that began lately",
            shapes.Cascades,
            query=params.CascadesQuery,
            errors=(404,),
        ),
        _get("/api/funding", reads.funding, "Funding now, and settlements", shapes.Funding, **one),
        _get("/api/volatility", reads.volatility, "Volatility now", shapes.SignalsNow, **one),
        _get("/api/regimes", reads.regimes, "Multi-timeframe regimes now", shapes.SignalsNow, **one),
        _get("/api/correlation", reads.correlation, "Correlations now", shapes.SignalsNow, **one),
        _get("/api/status", reads.status, "How live the program is", shapes.Status),
        _get("/api/endpoints", reads.endpoints, "Receivers of messages", shapes.Endpoints),
        _get("/api/config", reads.config, "Settings in effect, secrets masked", shapes.Config),
    ]


def _stored(reads: Reads) -> Sequence[Route]:
    by_id = {"where": params.ById, "errors": (404,)}
    return [
        _get(
            "/api/events",
            reads.events,
            "Episodes, newest first; from and to look at their beginning",
            shapes.Events,
            query=params.EventsQuery,
        ),
        _get(
            "/api/events/{id}", reads.event, "One episode, decisions, deliveries", shapes.EventWhole, **by_id
        ),
        _get(
            "/api/history",
            reads.history,
            "Stored readings of one signal",
            shapes.History,
            query=params.HistoryQuery,
        ),
        _get(
            "/api/candles",
            reads.candles,
            "Bars with what was liquidated in them",
            shapes.Candles,
            query=params.CandlesQuery,
            errors=(404,),
        ),
        _get(
            "/api/liquidations",
            reads.liquidations,
            "Liquidations, newest first",
            shapes.Liquidations,
            query=params.LiquidationsQuery,
        ),
        _get(
            "/api/deliveries",
            reads.deliveries,
            "Messages, newest first",
            shapes.Deliveries,
            query=params.DeliveriesQuery,
        ),
        _get(
            "/api/deliveries/{id}", reads.delivery, "One message and its tries", shapes.DeliveryWhole, **by_id
        ),
        _get("/api/silences", reads.silences, "What is held back", shapes.Silences),
        _get(
            "/api/score",
            reads.scores.answer,
            "What was announced, how it went, and what followed such events",
            shapes.Score,
            query=params.ScoreQuery,
        ),
    ]


def _writes(writes: Writes) -> Sequence[Route]:
    return [
        Route(
            method="POST",
            path="/api/silences",
            handler=writes.silence,
            summary="Hold matching events back",
            answer=shapes.SilenceView,
            body=shapes.NewSilence,
            status=201,
        ),
        Route(
            method="DELETE",
            path="/api/silences/{id}",
            handler=writes.unsilence,
            summary="End a silence",
            answer=shapes.Done,
            where=params.ById,
            errors=(404,),
        ),
        Route(
            method="POST",
            path="/api/deliveries/{id}/replay",
            handler=writes.replay,
            summary="Send a message again",
            answer=shapes.Replayed,
            where=params.ById,
            status=202,
            errors=(404,),
        ),
        Route(
            method="POST",
            path="/api/endpoints/{name}/test",
            handler=writes.test,
            summary="Send a test message",
            answer=shapes.TrialView,
            where=params.ByName,
            errors=(404,),
        ),
        Route(
            method="POST",
            path="/api/endpoints/{name}/enable",
            handler=writes.enable,
            summary="Send to a parked receiver again",
            answer=shapes.Done,
            where=params.ByName,
            errors=(404,),
        ),
    ]

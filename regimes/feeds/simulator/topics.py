"""The names of Binance's streams, and what each asks for."""

import re
from typing import Final, Literal, NamedTuple, TypeAlias

from regimes.timeframe import to_ms

TopicKind: TypeAlias = Literal[
    "kline",
    "mark_price",
    "mark_price_all",
    "force_order",
    "force_order_all",
    "depth_diff",
    "depth_top",
    "agg_trade",
]
Route: TypeAlias = Literal["spot", "market", "public", "legacy"]
"""Which websocket path a connection came in by; `legacy` accepts and stays silent."""

TIMEFRAMES: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
_MARK_MS: Final = {"": 3000, "@1s": 1000}
_PUBLIC: Final = {"depth_diff", "depth_top"}
_SPOT: Final = {"kline", "agg_trade", "depth_diff", "depth_top"}
_ALL_MARKETS: Final[dict[str, tuple[TopicKind, int]]] = {
    "!forceOrder@arr": ("force_order_all", 0),
    "!markPrice@arr": ("mark_price_all", 3000),
    "!markPrice@arr@1s": ("mark_price_all", 1000),
}
_DEPTH: Final = re.compile(r"depth(5|10|20)?(?:@(100|250|500|1000)ms)?")


class Topic(NamedTuple):
    """One stream as asked for.

    symbol_id: None for the streams of all markets. period_ms: least time between two states; 0 where each event is sent.
    step_ms: bar length of a kline. levels: of a partial book.
    """

    stream: str
    kind: TopicKind
    symbol_id: str | None
    period_ms: int
    timeframe: str = ""
    step_ms: int = 0
    levels: int = 0


def parse_topic(stream: str, route: Route) -> Topic | None:
    """Read a stream's name; None if this route does not serve such a stream (it then stays silent)."""
    if stream in _ALL_MARKETS:
        kind, period_ms = _ALL_MARKETS[stream]
        topic: Topic | None = Topic(stream, kind, None, period_ms)
    else:
        name, _, channel = stream.partition("@")
        topic = _symbol_topic(stream, name.upper(), channel, spot=route == "spot")
    return topic if topic is not None and _served(topic, route) else None


def _symbol_topic(stream: str, symbol_id: str, channel: str, *, spot: bool) -> Topic | None:
    if channel == "forceOrder":
        return Topic(stream, "force_order", symbol_id, 0)
    if channel == "aggTrade":
        return Topic(stream, "agg_trade", symbol_id, 1000)
    if channel.startswith("markPrice") and channel.removeprefix("markPrice") in _MARK_MS:
        return Topic(stream, "mark_price", symbol_id, _MARK_MS[channel.removeprefix("markPrice")])
    if channel.startswith("kline_") and (timeframe := channel.removeprefix("kline_")) in TIMEFRAMES:
        return Topic(stream, "kline", symbol_id, 1000 if spot else 250, timeframe, to_ms(timeframe))
    if match := _DEPTH.fullmatch(channel):
        period_ms = int(match[2] or (1000 if spot else 250))
        return Topic(
            stream, "depth_top" if match[1] else "depth_diff", symbol_id, period_ms, levels=int(match[1] or 0)
        )
    return None


def _served(topic: Topic, route: Route) -> bool:
    match route:
        case "spot":
            return topic.kind in _SPOT
        case "market":
            return topic.kind not in _PUBLIC
        case "public":
            return topic.kind in _PUBLIC
        case _:
            return False

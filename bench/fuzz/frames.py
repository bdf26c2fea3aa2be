"""Frames through all that stands between a socket and the engine, and through the engine."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import WSMessage, WSMsgType

from regimes.clock import ScaledClock
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.errors import DataError
from regimes.features.base import Universe
from regimes.feeds import frames as usual, parse
from regimes.feeds.bars import BarAccount
from regimes.feeds.client import build_exchange
from regimes.feeds.connection import Connection
from regimes.feeds.funding import FundingAccount
from regimes.feeds.gaps import GapTeller
from regimes.feeds.line import Line
from regimes.feeds.receiver import Receiver
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.simulator import frames
from regimes.feeds.simulator.malformed import MALFORMED
from regimes.feeds.simulator.source import Bar, ForcedOrder, Listing, Mark
from regimes.feeds.status import Meter
from regimes.feeds.symbols import SymbolMap
from regimes.observations import DataKind, Observation, Tick
from regimes.timeframe import HOUR_MS

START_MS: Final = 1_736_121_600_000
VENUE: Final = "binanceusdm"
SYMBOLS: Final = ("BTC/USDT", "ETH/USDT")
URL: Final = "ws://127.0.0.1:9/market/ws/0"
_TICK_EVERY: Final = 500
# The decoder says RecursionError of what is nested too deep.
_FORESEEN: Final = (DataError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def samples() -> Sequence[bytes]:
    """One good frame of each kind, the array of mark prices, and what is broken on purpose elsewhere."""
    listing = Listing("BTCUSDT", "BTC", "USDT", 2, 3)
    bar = Bar(START_MS - HOUR_MS, 100.0, 101.0, 99.0, 100.5, 10.0, 1000.0, 5.0)
    mark = frames.mark_price(listing, Mark(100.0, 100.1, 0.0001, START_MS + HOUR_MS), START_MS, 0)
    order = ForcedOrder(START_MS - 5, "BTCUSDT", "SELL", 1.0, 100.0, 100.1, 1.0, 1.0)
    good = [
        frames.forced_order(listing, order, START_MS, 0),
        frames.kline(listing, "spot", "1h", HOUR_MS, bar, START_MS, closed=True),
        frames.kline(listing, "spot", "1h", HOUR_MS, bar, START_MS, closed=False),
        mark,
        b"[" + mark + b"," + mark.replace(b"BTCUSDT", b"ETHUSDT") + b"]",
        b'{"result":null,"id":1}',
        b'{"error":{"code":2,"msg":"Invalid request"},"id":2}',
    ]
    wrapped = [b'{"stream":"x","data":' + frame + b"}" for frame in good[:4]]
    return [*good, *wrapped, *(broken.payload for broken in MALFORMED.values() if _is_json(broken.payload))]


def as_parsed(frame: str, symbols: SymbolMap) -> Any:
    """What the readers for unusual frames make of one; what a frame says beside an event is no concern of theirs."""
    message = msgspec.json.decode(frame)
    event = message.get("data", message) if isinstance(message, dict) else message
    context: dict[str, Any] = {"venue": VENUE, "symbol_of": symbols.symbol}
    if isinstance(event, list):
        return None, [parse.mark_price(mark, **context) for mark in event]
    match event["e"]:
        case "forceOrder":
            return parse.event_time(event), parse.liquidation(event, **context)
        case "kline":
            return parse.event_time(event), parse.candle(event, **context)
        case "markPriceUpdate":
            return None, [parse.mark_price(event, **context)]
    raise AssertionError(f"{frame} is no frame that is usual")


class Ear(Receiver):
    """A receiver that lets go of nothing it did not foresee, and reads each frame both ways."""

    def take(self, url: str, frame: str | bytes) -> bool:
        taken = super().take(url, frame)
        if taken and isinstance(frame, str):
            self._compare(frame)
        return taken

    def _compare(self, frame: str) -> None:
        found = usual.read(frame, VENUE, self.symbols.by_id, ("1h",))
        try:
            expected = as_parsed(frame, self.symbols)
        except msgspec.ValidationError:
            return  # A number that nobody reads is larger than any type of ours.
        except DataError as error:
            raise AssertionError(frame) from error
        assert repr(expected) == repr(found), frame

    def poison(self, url: str, error: Exception, raw: object) -> None:
        if not isinstance(error, _FORESEEN):
            raise error
        super().poison(url, error, raw)


class FrameTarget:
    """Give it frames; it raises what no frame may bring about. Needs a running loop."""

    def __init__(self) -> None:
        clock, settings = ScaledClock(START_MS, 1.0, running=False), VenuesSettings()
        self._engine = Engine.build(installed(), Universe(SYMBOLS, ("1h", "4h")))
        ids = {symbol: symbol.replace("/", "") for symbol in SYMBOLS}
        self._ear = Ear(
            VENUE,
            clock=clock,
            put=self._take,
            bars={"1h": BarAccount(ids, "1h", START_MS)},
            funding=FundingAccount(ids, START_MS),
            liquidation_gaps=GapTeller(VENUE, "liquidation", clock, self._put),
        )
        self._ear.symbols = SymbolMap({name: symbol for symbol, name in ids.items()})
        self._ear.wanted = frozenset(SYMBOLS)
        exchange: Any = build_exchange(VENUE, settings, clock)
        exchange.tap = self._ear
        kinds: Sequence[DataKind] = ("liquidation", "candle", "mark_price")
        line = Line(
            exchange,
            "all",
            ["!forceOrder@arr"],
            next_url=lambda: URL,
            meters={kind: Meter() for kind in kinds},
            limits_s={},
            settings=settings,
            clock=clock,
            watcher=self,
            register=self._ear.register,
        )
        self._ear.register(URL, line, Connection(exchange, URL, ["!forceOrder@arr"]))
        self._exchange = exchange
        self._client = exchange.clients[URL]
        self.observed = 0
        self._given = 0
        self._engine.step(Tick(START_MS))

    def line_up(self, line: Line) -> None: ...

    def line_down(self, line: Line, last_heard: float, reason: str) -> None: ...

    def __call__(self, data: bytes) -> None:
        self._given += 1
        self._client.gate.take(_message(data))
        if self._given % _TICK_EVERY == 0:
            self._engine.step(Tick(START_MS + self._given))

    async def close(self) -> None:
        """Let go of what ccxt holds."""
        await self._exchange.close()

    def _take(self, found: Sequence[Observation], frame: str | bytes) -> None:
        del frame
        for observation in found:
            self._put(observation)

    def _put(self, observation: Observation) -> None:
        self.observed += 1
        self._engine.step(observation)


def _message(data: bytes) -> WSMessage:
    """As the websocket hands it over: what is no UTF-8 can only have come as a binary message."""
    try:
        return WSMessage(WSMsgType.TEXT, data.decode(), None)
    except UnicodeDecodeError:
        return WSMessage(WSMsgType.BINARY, data, None)


def _is_json(payload: bytes) -> bool:
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True

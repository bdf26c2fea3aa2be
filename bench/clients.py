"""Three ways from the exchange's wire to a queue of observations: ours, ccxt.pro awaited, and a bare client."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol, Self

import aiohttp
import ccxt.pro
import msgspec

from regimes.clock import Clock
from regimes.features.base import Universe
from regimes.feeds.base import ObservationQueue
from regimes.feeds.binance import BinanceFeed
from regimes.feeds.settings import VenuesSettings
from regimes.observations import Candle, Liquidation, MarkPrice, Observation, Side
from regimes.pipeline.timed import TimedSink

SPOT: Final = "binanceus"
DERIVATIVES: Final = "binanceusdm"


class Client(Protocol):
    """Puts what one exchange sends into `queue`; an async context manager."""

    queue: ObservationQueue

    def received(self) -> int:
        """Messages taken so far (items, for arrays)."""
        ...


def quiet(base_url: str) -> VenuesSettings:
    """Settings for an exchange that may be silent between rounds, with polls as rare as they can be."""
    return VenuesSettings(
        spot_url=base_url,
        derivatives_url=base_url,
        stale_candles_seconds=3600,
        stale_mark_price_seconds=600,
        rest_weight_per_minute=100_000,
        depth_seconds=3600,
        depth_levels=100,
        open_interest_seconds=3600,
    )


class Product:
    """The whole feed of the service, its accounts, gaps and meters included."""

    def __init__(self, base_url: str, universe: Universe, clock: Clock) -> None:
        self.queue = ObservationQueue()
        self._sink = TimedSink(self.queue, clock)
        self._feed = BinanceFeed(quiet(base_url), universe, clock)
        self._universe = universe
        self._polled = ("depth", "open_interest")

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._feed.run(self._sink))
        while not self._settled():
            if self._running.done():
                self._running.result()
            await asyncio.sleep(0.05)
        return self

    def _settled(self) -> bool:
        """Whether all is connected, and the first round of polls is over."""
        streams = self._feed.status()
        polled = [s.messages for s in streams if s.stream in self._polled]
        return (
            len(polled) == len(self._polled)
            and all(stream.connected for stream in streams)
            and min(polled) >= len(self._universe.symbols)
        )

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    def received(self) -> int:
        return sum(s.messages for s in self._feed.status() if s.stream not in self._polled)


class _Order(msgspec.Struct, gc=False):
    s: str
    S: str
    p: str
    ap: str
    z: str
    T: int


class _ForceOrder(msgspec.Struct, gc=False):
    o: _Order


class _Bar(msgspec.Struct, gc=False):
    t: int
    s: str
    i: str
    o: str
    h: str
    l: str  # noqa: E741  # Binance's name
    c: str
    v: str
    q: str
    V: str
    x: bool


class _Kline(msgspec.Struct, gc=False):
    k: _Bar


class _Envelope(msgspec.Struct, gc=False):
    data: _Kline


class _Mark(msgspec.Struct, gc=False):
    E: int
    s: str
    p: str
    i: str
    r: str
    T: int


_read_order = msgspec.json.Decoder(_ForceOrder).decode
_read_bar = msgspec.json.Decoder(_Envelope).decode
_read_marks = msgspec.json.Decoder(list[_Mark]).decode


class Bare:
    """aiohttp and msgspec with typed decoding: the least that gets the same observations into the same queue."""

    def __init__(self, base_url: str, universe: Universe, *, klines: bool = True) -> None:
        self.queue = ObservationQueue()
        self._base_url = base_url.replace("http", "ws", 1)
        self._klines = klines
        self._symbols = {symbol.replace("/", ""): symbol for symbol in universe.symbols}
        self._count = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        readers: dict[str, Callable[[bytes], int]] = {
            "/market/ws?streams=!forceOrder@arr": self._force_order,
            "/market/ws?streams=!markPrice@arr@1s": self._marks,
        }
        if self._klines:
            streams = "/".join(f"{name.lower()}@kline_1h" for name in self._symbols)
            readers[f"/stream?streams={streams}"] = self._kline
        for path, read in readers.items():
            socket = await session.ws_connect(self._base_url + path, compress=0)
            self._stack.callback(asyncio.create_task(self._read(socket, read)).cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def received(self) -> int:
        return self._count

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, read: Callable[[bytes], int]) -> None:
        async for message in socket:
            self._count += read(message.data)

    def _force_order(self, data: bytes) -> int:
        order = _read_order(data).o
        price, quantity = float(order.ap) or float(order.p), float(order.z)
        symbol = self._symbols[order.s]
        closed: Side = "long" if order.S == "SELL" else "short"
        self.queue.put(Liquidation(order.T, DERIVATIVES, symbol, closed, price, quantity, price * quantity))
        return 1

    def _kline(self, data: bytes) -> int:
        bar = _read_bar(data).data.k
        prices = float(bar.o), float(bar.h), float(bar.l), float(bar.c)
        volumes = float(bar.v), float(bar.q), float(bar.V)
        self.queue.put(Candle(SPOT, self._symbols[bar.s], bar.i, bar.t, *prices, *volumes, bar.x))
        return 1

    def _marks(self, data: bytes) -> int:
        marks = _read_marks(data)
        for mark in marks:
            symbol = self._symbols[mark.s]
            price, index = float(mark.p), float(mark.i)
            self.queue.put(MarkPrice(mark.E, DERIVATIVES, symbol, price, index, float(mark.r), mark.T))
        return len(marks)


def loopback_pair(base_url: str) -> tuple[Any, Any]:
    """Plain ccxt.pro exchanges, spot and derivatives, whose only hosts are on loopback."""
    socket = base_url.replace("http", "ws", 1)
    options = {"options": {"fetchCurrencies": False, "fetchMargins": False}}
    spot, usdm = getattr(ccxt.pro, SPOT)(options), getattr(ccxt.pro, DERIVATIVES)(options)
    spot.urls["api"] = {"public": base_url + "/api/v3", "ws": {"spot": socket + "/stream"}}
    usdm.urls["api"] = {"fapiPublic": base_url + "/fapi/v1", "ws": {"linear": socket + "/ws"}}
    return spot, usdm


class Awaited:
    """ccxt.pro as its manual shows it: one event an await."""

    def __init__(self, base_url: str, universe: Universe, *, klines: bool = True) -> None:
        self.queue = ObservationQueue()
        self._universe = universe
        self._klines = klines
        self._count = 0
        self._spot, self._usdm = loopback_pair(base_url)

    async def __aenter__(self) -> Self:
        await asyncio.gather(self._spot.load_markets(), self._usdm.load_markets())
        watches = [self._watch_liquidations, self._watch_marks]
        watches += [self._watch_bars] if self._klines else []
        self._tasks = [asyncio.create_task(watch()) for watch in watches]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await asyncio.gather(self._spot.close(), self._usdm.close())

    def received(self) -> int:
        return self._count

    def _put(self, observation: Observation) -> None:
        self._count += 1
        self.queue.put(observation)

    async def _watch_liquidations(self) -> None:
        while True:
            for found in await self._usdm.watch_liquidations_for_symbols([]):
                price, quantity = found["price"], found["contracts"]
                closed: Side = "long" if found["side"] == "sell" else "short"
                symbol = found["symbol"].partition(":")[0]
                self._put(
                    Liquidation(
                        found["timestamp"], DERIVATIVES, symbol, closed, price, quantity, price * quantity
                    )
                )

    async def _watch_bars(self) -> None:
        wanted = [[symbol, "1h"] for symbol in self._universe.symbols]
        while True:
            for symbol, bars in (await self._spot.watch_ohlcv_for_symbols(wanted)).items():
                for open_ms, open_, high, low, close, volume, *_ in bars["1h"]:
                    self._put(
                        Candle(SPOT, symbol, "1h", open_ms, open_, high, low, close, volume, closed=False)
                    )

    async def _watch_marks(self) -> None:
        while True:
            for symbol, mark in (await self._usdm.watch_mark_prices()).items():
                price, index = float(mark["markPrice"]), float(mark["indexPrice"])
                rate, due = float(mark["info"]["r"]), mark["info"]["T"]
                self._put(
                    MarkPrice(
                        mark["timestamp"], DERIVATIVES, symbol.partition(":")[0], price, index, rate, due
                    )
                )

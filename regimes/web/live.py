"""The present state as pages and programs get it: encoded at most once a turn of the engine, however many ask."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from regimes.clock import SystemClock
from regimes.engine import Engine
from regimes.events import iso_utc
from regimes.features.deferred import places
from regimes.feeds.status import StreamStatus
from regimes.observations import MARKET
from regimes.package import flatten
from regimes.web.board import Board, Price
from regimes.web.payload import Payload
from regimes.web.problem import ProblemError
from regimes.web.shapes import Market, ProgressView, Status
from regimes.web.source import Turn, WebSource

KEPT_PAYLOADS: Final = 256
TURN: Final = 10
REST: Final = 10
LONGEST_REST_S: Final = 1.0
_encode = msgspec.json.Encoder().encode


class Live:
    """Reads the engine. `took` tells it that the engine has moved on.

    changed: by symbol, the number of the turn in which its readings last changed. priced: the same of its price.
    """

    def __init__(
        self, source: WebSource, board: Board, *, writes: bool, links: Mapping[str, str] | None = None
    ) -> None:
        self.board = board
        self.turn = 0
        self.changed: dict[str, int] = {}
        self.priced: dict[str, int] = {}
        self._version = 0
        self._source = source
        self._writes = writes
        self._links = links or {}
        self._real = SystemClock()
        self._payloads: dict[tuple[Any, ...], tuple[int, float, Payload]] = {}
        self._packages: dict[str, tuple[int, msgspec.Raw]] = {}
        self._market: tuple[int, dict[str, Any]] = (-1, {})

    def took(self, turn: Turn) -> None:
        """Take note of a turn of the engine; quick, as it runs inside it."""
        self.turn += 1
        self.board.take_candles(turn.candles)
        self.board.take_marks(turn.marks)
        self.board.take_funding(turn.funding)
        for told in (turn.candles, turn.marks):
            self.priced.update((one.symbol, self.turn) for one in told)
        if turn.readings:
            self._version += 1
            self.changed.update((symbol, self.turn) for _, symbol in places(turn.readings))

    @property
    def engine(self) -> Engine:
        """The engine. Raises ProblemError before there is one."""
        engine = self._source.engine
        if engine is None:
            raise ProblemError(503, "the program is starting; ask again in a moment", Retry_After="2")
        return engine

    def symbols(self) -> tuple[str, ...]:
        """Everything that has a package: the configured symbols and the market."""
        return (*self.engine.universe.symbols, MARKET)

    def checked(self, symbol: str | None) -> tuple[str, ...]:
        """One known symbol, or all. Raises ProblemError for an unknown one."""
        known = self.symbols()
        if symbol is None:
            return known
        if symbol not in known:
            raise ProblemError(404, f"symbol {symbol!r} is not watched; /api/status lists those that are")
        return (symbol,)

    def feature_name(self, key: str) -> str:
        """The feature behind a key of the package, such as `liquidation_cascade` behind `cascades`."""
        names = (feature.name for feature in self.engine.features if feature.package_key == key)
        return next(names, key)

    def _package(self, symbol: str) -> msgspec.Raw:
        """One package as JSON, encoded once for each change of readings."""
        version, encoded = self._packages.get(symbol, (-1, msgspec.Raw()))
        if version != self._version:
            package = self.engine.package(symbol, self.summary())
            package["narrative"] = self._source.narrated(package)
            encoded = msgspec.Raw(_encode(package))
            self._packages[symbol] = (self._version, encoded)
        return encoded

    async def encode(self, symbols: Iterable[str]) -> None:
        """Encode these packages ahead, giving other tasks a turn between some and the next."""
        for number, symbol in enumerate(symbols, start=1):
            self._package(symbol)
            if number % TURN == 0:
                await asyncio.sleep(0)

    def summary(self) -> dict[str, Any]:
        """The state of the market, judged once for each change of readings."""
        version, market = self._market
        if version != self._version:
            market = self.engine.market()
            self._market = (self._version, market)
        return market

    def prices(self, symbols: Iterable[str]) -> Mapping[str, Price]:
        """The newest price of each symbol that has one."""
        found = ((symbol, self.board.price(symbol)) for symbol in symbols)
        return {symbol: price for symbol, price in found if price is not None}

    def features(self, symbols: Iterable[str], priced: Iterable[str] | None = None) -> dict[str, Any]:
        """What `Features` describes, its packages encoded already. priced: whose prices, where not the same."""
        return {
            "timestamp": iso_utc(self.engine.now_ms),
            "market": self.summary(),
            "packages": {symbol: self._package(symbol) for symbol in symbols},
            "prices": self.prices(symbols if priced is None else priced),
        }

    def signals(self, key: str, symbols: Sequence[str]) -> dict[str, Any]:
        """One signal of each of these symbols, as `SignalsNow` describes it."""
        engine = self.engine
        names = [feature.name for feature in engine.features if feature.package_key == key]
        places = [(name, symbol) for name in names for symbol in symbols if (name, symbol) in engine.latest]
        return {
            "timestamp": iso_utc(engine.now_ms),
            "symbols": {symbol: flatten(engine.latest[name, symbol]) for name, symbol in places},
        }

    async def payload(self, *key: Any, make: Any, ahead: Iterable[str] = ()) -> Payload:
        """What was encoded for this key, or what `make` gives now. ahead: symbols whose packages it needs.

        It is as old as the last turn, or by at most `REST` times as long as it took to make: however many ask, however
        often the engine moves on, and however much there is to tell, making it takes a small share of the time.
        """
        found = self._fresh(key)
        if found is None:
            await self.encode(ahead)
            found = self._fresh(key)
        if found is None:
            if len(self._payloads) >= KEPT_PAYLOADS:
                self._payloads.clear()
            found = Payload(make())
            self._payloads[key] = (self.turn, self._real.monotonic(), found)
        return found

    def _fresh(self, key: tuple[Any, ...]) -> Payload | None:
        turn, made_at, payload = self._payloads.get(key, (0, 0.0, None))
        if payload is None or turn == self.turn:
            return payload
        rested = self._real.monotonic() - made_at
        return payload if rested < min(REST * payload.spent_s, LONGEST_REST_S) else None

    def market(self) -> Market | None:
        """The state of the market; None while the program starts."""
        return None if self._source.engine is None else msgspec.convert(self.summary(), Market)

    def judged(self) -> Market | None:
        """The state of the market once a signal has a value or alerts; before that, NORMAL would be a guess."""
        market = self.market()
        if market is None or market.state != "NORMAL":
            return market
        return market if any(reading.ready for reading in self.engine.latest.values()) else None

    def status(self, *, closing: bool = False, conflated: int = 0, delayed_events: int = 0) -> Status:
        """How live everything is."""
        source = self._source
        problems, streams, engine = source.problems(), source.streams(), source.engine
        ages = [stream.age_s for stream in streams if stream.connected and stream.age_s is not None]
        progress = source.progress
        return Status(
            state=program_state(source, streams, closing=closing),
            now_ms=source.clock.now_ms(),
            speed=source.clock.speed,
            market=self.market(),
            problems=problems,
            progress=None
            if progress is None
            else ProgressView(progress.done, progress.total, progress.label),
            behind_s=round(min(ages), 3) if ages else None,
            streams=streams,
            symbols=engine.universe.symbols if engine else (),
            timeframes=engine.universe.timeframes if engine else (),
            writes=self._writes,
            links=self._links,
            conflated=conflated,
            delayed_events=delayed_events,
        )


def program_state(source: WebSource, streams: Collection[StreamStatus], *, closing: bool) -> str:
    """One word for how live the program is, as `Status` lists them."""
    if closing:
        return "closing"
    if source.engine is None:
        return "starting"
    if not source.is_live:
        return "warming"
    # A venue that was not reached yet has no streams that could be down.
    whole = streams and all(stream.connected for stream in streams) and not source.venue_problems()
    return "live" if whole and source.desk.failing_since is None else "degraded"

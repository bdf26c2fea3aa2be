"""One exchange: its markets, its REST, and whether it serves us."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from regimes.clock import Clock
from regimes.errors import VenueError
from regimes.feeds.client import DERIVATIVES, build_exchange
from regimes.feeds.offset import follow, from_wall_ms, measure_offset_ms
from regimes.feeds.rest import Rest, RestFailedError
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.symbols import SymbolMap

_log = structlog.get_logger()

# ccxt's own bound on numbered websocket paths.
_PATHS: Final = 50


class Venue:
    """One ccxt.pro exchange with everything shared by warm-up and live feed."""

    def __init__(self, name: str, settings: VenuesSettings, clock: Clock, *, sets_clock: bool) -> None:
        self.name = name
        self.perpetual = name in DERIVATIVES
        self.exchange: Any = build_exchange(name, settings, clock)
        self.rest = Rest(self.exchange, clock)
        self.symbols = SymbolMap({})
        self.loaded = False
        self.blocked: VenueError | None = None
        self.offset_ms: int | None = None
        """The exchange's clock minus the one on our wall when last measured."""
        self._dials = itertools.count()
        self._clock = clock
        self._sets_clock = sets_clock

    async def load(self) -> None:
        """Ask for clock and markets. Raises RestFailedError (may be tried again) or VenueError (final)."""
        try:
            await self.compare_clock()
            markets = await self.rest.load_markets()
        except VenueError as error:
            self.blocked = error
            raise
        self.symbols = SymbolMap.from_markets(markets.values(), perpetual=self.perpetual)
        self.loaded = True
        _log.info("venue_ready", venue=self.name, markets=len(self.symbols), clock_offset_ms=self.offset_ms)

    async def try_load(self) -> None:
        """Like `load`, but a failure is only logged and remembered."""
        try:
            await self.load()
        except VenueError as error:
            _log.error("venue_blocked", venue=self.name, error=str(error))
        except RestFailedError as error:
            _log.warning("venue_not_reached", venue=self.name, error=str(error))

    async def compare_clock(self) -> None:
        """Measure the difference of the clocks, and set ours by the exchange's if this venue is to."""
        residual_ms = await measure_offset_ms(self.rest, self._clock)
        if residual_ms is None:
            return
        self.offset_ms = from_wall_ms(self._clock, residual_ms)
        if self._sets_clock:
            follow(self._clock, residual_ms, self.name)

    def next_socket_url(self) -> str:
        """A websocket URL for one more connection: ccxt keeps one client a URL, so no two may share one."""
        base = self.exchange.get_ws_url("linear" if self.perpetual else "spot", "market")
        urls = (f"{base}/{number % _PATHS}" for number in self._dials)
        return next(url for url in urls if url not in self.exchange.clients)

    def market_ids(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """Market ids of those symbols the venue has; before its markets are known, Binance's usual spelling."""
        if not self.loaded:
            return {symbol: symbol.replace("/", "") for symbol in symbols}
        return {symbol: self.symbols.market_id(symbol) for symbol in symbols if symbol in self.symbols}

    async def close(self) -> None:
        """Release sockets and sessions; cancel and await every task that uses them first."""
        await self.exchange.close()

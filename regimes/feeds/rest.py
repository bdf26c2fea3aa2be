"""One venue's public REST calls, raw, with retries: the answers keep what ccxt's unified ones drop."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp
import structlog

from regimes.clock import Clock
from regimes.errors import DataError
from regimes.feeds import parse
from regimes.feeds.budget import Pace, RestPausedError
from regimes.feeds.client import DERIVATIVES
from regimes.feeds.exchanges import pro
from regimes.observations import BookDepth, Candle
from regimes.timeframe import to_ms

_log = structlog.get_logger()

RETRY_WAITS_S: Final = (1.0, 2.0, 4.0)
PAGE: Final = 1000
SETTLE_MS: Final = 2_000
"""A bar that ended this recently may still change by a trade that is being booked, so it does not count as closed."""
# fundingRate and fundingInfo share 500 requests in 5 minutes an address; some are left to others.
_FUNDING_TURNS: Final = (400, 300.0)


class RestFailedError(Exception):
    """An answer could not be had now; asking later may help. Callers go on with the last good data."""


class Rest:
    """Public REST of one exchange. Every method raises RestFailedError, or VenueError when the venue is closed to us."""

    def __init__(self, exchange: Any, clock: Clock) -> None:
        self.venue: str = exchange.id
        self.bad_rows = 0
        """Rows of otherwise good answers that could not be read."""
        self._exchange = exchange
        self._clock = clock
        self._derivatives = self.venue in DERIVATIVES
        self._funding_pace = Pace(*_FUNDING_TURNS, monotonic=clock.monotonic)

    async def load_markets(self) -> dict[str, Any]:
        """Ask for the venue's markets, in ccxt's form."""
        markets: dict[str, Any] = await self._ask("ExchangeInfo", self._exchange.load_markets)
        return markets

    async def server_time_ms(self) -> int:
        """The exchange's clock; one try, as an old answer is useless."""
        call = self._call("Time")
        try:
            return parse.rest_time(await call({}))
        except (pro.BaseError, RestPausedError, DataError) as error:
            raise RestFailedError(f"{self.venue} time: {error}") from error

    async def candles(
        self, symbol: str, market_id: str, timeframe: str, start_ms: int, end_ms: int
    ) -> AsyncIterator[list[Candle]]:
        """Closed bars that open in [start_ms, end_ms), page by page, oldest first."""
        step = to_ms(timeframe)
        while start_ms < end_ms:
            limit = min(PAGE, (end_ms - start_ms) // step + 2)
            rows = await self._rows(
                "Klines",
                symbol=market_id,
                interval=timeframe,
                startTime=start_ms,
                endTime=end_ms - 1,
                limit=limit,
            )
            now_ms = self._clock.now_ms() - SETTLE_MS
            page = [
                bar for row in rows if (bar := self._candle(row, symbol, timeframe, now_ms)) and bar.closed
            ]
            if page:
                yield page
            if len(rows) < limit or not page:
                return
            start_ms = page[-1].open_ms + step

    def _candle(self, row: Any, symbol: str, timeframe: str, now_ms: int) -> Candle | None:
        try:
            return parse.rest_candle(row, venue=self.venue, symbol=symbol, timeframe=timeframe, now_ms=now_ms)
        except DataError as error:
            self._bad_row(error)
            return None

    async def settlements(
        self, market_id: str, start_ms: int, *, wait_max_s: float = math.inf
    ) -> list[tuple[int, float]]:
        """Settled funding since `start_ms` as (time in ms, rate), oldest first.

        wait_max_s: raises RestFailedError rather than wait longer for the venue's limit on these requests.
        """
        found: dict[int, float] = {}
        while True:
            if not await self._funding_pace.turn(wait_max_s):
                count, seconds = _FUNDING_TURNS
                raise RestFailedError(
                    f"{self.venue} FundingRate: {count} requests in {seconds:.0f} s are spent"
                )
            rows = await self._rows("FundingRate", symbol=market_id, startTime=start_ms, limit=PAGE)
            for row in rows:
                try:
                    _, ts_ms, rate = parse.rest_settlement(row)
                except DataError as error:
                    self._bad_row(error)
                else:
                    found[ts_ms] = rate
            if len(rows) < PAGE or not found or max(found) < start_ms:
                return sorted(found.items())
            start_ms = max(found) + 1

    async def funding_intervals(self) -> dict[str, float]:
        """Hours between settlements by market id, for markets that differ from Binance's 8 h."""
        await self._funding_pace.turn()
        rows = await self._rows("FundingInfo")
        intervals: dict[str, float] = {}
        for row in rows:
            try:
                market_id, hours = parse.rest_interval(row)
            except DataError as error:
                self._bad_row(error)
            else:
                intervals[market_id] = hours
        return intervals

    async def open_interest(self, market_id: str) -> Any:
        """One raw reading; one try, as the next poll comes soon."""
        return await self._once("OpenInterest", lambda: self._call("OpenInterest")({"symbol": market_id}))

    async def depth(self, symbol: str, market_id: str, levels: int) -> BookDepth:
        """One snapshot; one try, as the next poll comes soon."""
        request = {"symbol": market_id, "limit": levels}
        row = await self._once("Depth", lambda: self._call("Depth")(request))
        return parse.rest_depth(row, venue=self.venue, symbol=symbol, now_ms=self._clock.now_ms())

    async def tickers(self) -> list[Any]:
        """24 h figures of every market, raw."""
        return await self._rows("Ticker24hr")

    async def _rows(self, name: str, **request: str | int) -> list[Any]:
        """A list from one endpoint, retried."""
        call = self._call(name)

        async def once() -> Any:
            return await call(request)

        answer = await self._ask(name, once)
        if not isinstance(answer, list):
            raise RestFailedError(f"{self.venue} {name}: expected a JSON list, got {type(answer).__name__}")
        return answer

    def _call(self, name: str) -> Callable[[dict[str, Any]], Awaitable[Any]]:
        method: Callable[[dict[str, Any]], Awaitable[Any]] = getattr(
            self._exchange, f"{'fapiPublic' if self._derivatives else 'public'}Get{name}"
        )
        return method

    async def _ask(self, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Try, and try again after 1, 2 and 4 s (each give or take a quarter)."""
        for wait_s in RETRY_WAITS_S:
            try:
                return await call()
            except (pro.BaseError, RestPausedError) as error:
                if not _may_pass(error):
                    raise RestFailedError(f"{self.venue} {what}: {_short(error)}") from error
                _log.info(
                    "rest_retry", venue=self.venue, what=what, error=type(error).__name__, wait_s=wait_s
                )
                await asyncio.sleep(wait_s * random.uniform(0.75, 1.25))
        return await self._once(what, call)

    async def _once(self, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except (pro.BaseError, RestPausedError) as error:
            raise RestFailedError(f"{self.venue} {what}: {_short(error)}") from error

    def _bad_row(self, error: DataError) -> None:
        self.bad_rows += 1
        if self.bad_rows <= 10:
            _log.warning("rest_row_unreadable", venue=self.venue, error=str(error))


def _may_pass(error: Exception) -> bool:
    """Whether asking again soon may help; an answer cut short is an aiohttp error that ccxt takes for a refusal."""
    return isinstance(error, pro.OperationFailed) or isinstance(error.__cause__, aiohttp.ClientError)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"

"""The history that three symbols need, fetched by ccxt.pro as its manual shows it: `python -m bench.fetch URL`."""

import asyncio
import sys
from typing import Any, Final

from bench.blaster import START_MS, symbols
from bench.clients import loopback_pair
from bench.market import SETTLEMENTS
from regimes.timeframe import HOUR_MS, WEEK_MS

_WEEKS: Final = 21
_PAGE: Final = 1000


async def _bars(exchange: Any, symbol: str) -> list[Any]:
    since, bars = START_MS - _WEEKS * WEEK_MS, []
    while page := await exchange.fetch_ohlcv(symbol, "1h", since, _PAGE):
        bars += page
        since = page[-1][0] + HOUR_MS
    return bars


async def _fetch(url: str) -> None:
    spot, usdm = loopback_pair(url)
    names = symbols(3)
    try:
        await asyncio.gather(spot.load_markets(), usdm.load_markets())
        await asyncio.gather(
            *(_bars(spot, name) for name in names),
            *(usdm.fetch_funding_rate_history(f"{name}:USDT", limit=SETTLEMENTS) for name in names),
        )
    finally:
        await asyncio.gather(spot.close(), usdm.close())


if __name__ == "__main__":
    asyncio.run(_fetch(sys.argv[1]))

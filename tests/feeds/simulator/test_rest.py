"""REST through real ccxt clients where they reach it, and by hand where they would not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ccxt
import pytest

from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from tests.feeds.simulator.clients import StepClock, ccxt_clients
from tests.feeds.simulator.conftest import START_MS

HOUR_OPEN_MS = START_MS // HOUR_MS * HOUR_MS


@pytest.fixture
async def clients(exchange: LoopbackExchange) -> AsyncIterator[tuple[Any, Any]]:
    async with ccxt_clients(exchange) as both:
        yield both


@pytest.fixture
async def http(exchange: LoopbackExchange) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(exchange.base_url) as session:
        yield session


async def get(http: aiohttp.ClientSession, path: str, **query: Any) -> tuple[int, Any]:
    async with http.get(path, params=query) as response:
        return response.status, await response.json()


async def test_ccxt_loads_the_markets_of_both_venues(clients: tuple[Any, Any]) -> None:
    spot, usdm = clients
    assert spot.symbols == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    assert usdm.symbols == ["BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"]
    assert usdm.market("BTC/USDT:USDT")["linear"] is True
    assert spot.market("BTC/USDT")["precision"]["price"] == pytest.approx(0.1)


async def test_ccxt_fetches_candles_that_are_the_markets_own(
    clients: tuple[Any, Any], market: SyntheticMarket
) -> None:
    names = ("BTC/USDT", "BTC/USDT:USDT")
    for venue, client, name in zip(("spot", "usdm"), clients, names, strict=True):
        rows = await client.fetch_ohlcv(name, "1h", since=HOUR_OPEN_MS - 9 * HOUR_MS, limit=20)
        bars = market.bars(venue, "BTCUSDT", HOUR_MS, HOUR_OPEN_MS - 9 * HOUR_MS, START_MS, START_MS)  # type: ignore[arg-type]
        assert [row[0] for row in rows] == bars.open_ms.tolist()
        assert [row[4] for row in rows] == bars.close.tolist()
        assert len(rows) == 10


async def test_ccxt_pages_through_half_a_year_without_hole_or_double(clients: tuple[Any, Any]) -> None:
    _, usdm = clients
    since, opens = HOUR_OPEN_MS - 26 * 7 * DAY_MS, list[int]()
    while rows := await usdm.fetch_ohlcv("ETH/USDT:USDT", "1h", since=since, limit=1000):
        opens += [row[0] for row in rows]
        since = opens[-1] + 1
    assert opens == list(range(HOUR_OPEN_MS - 26 * 7 * DAY_MS, START_MS, HOUR_MS))


async def test_ccxt_fetches_settled_funding_rates(clients: tuple[Any, Any], market: SyntheticMarket) -> None:
    _, usdm = clients
    since = START_MS - 30 * DAY_MS
    rows = await usdm.fetch_funding_rate_history("BTC/USDT:USDT", since=since, limit=1000)
    settled = market.fundings("BTCUSDT", since, START_MS)
    assert [(row["timestamp"], row["fundingRate"]) for row in rows] == [(f.ts_ms, f.rate) for f in settled]
    assert len(rows) == 90


async def test_ccxt_pages_through_funding_by_time(clients: tuple[Any, Any]) -> None:
    _, usdm = clients
    since, times = START_MS - 30 * DAY_MS, list[int]()
    while rows := await usdm.fetch_funding_rate_history("SOL/USDT:USDT", since=since, limit=50):
        times += [row["timestamp"] for row in rows]
        since = times[-1] + 1
    assert len(times) == 180
    assert len(set(times)) == 180


async def test_ccxt_learns_which_symbols_settle_at_other_intervals(clients: tuple[Any, Any]) -> None:
    intervals = await clients[1].fetch_funding_intervals()
    assert {name: entry["interval"] for name, entry in intervals.items()} == {"SOL/USDT:USDT": "4h"}


async def test_ccxt_fetches_open_interest_and_mark_price(
    clients: tuple[Any, Any], market: SyntheticMarket
) -> None:
    _, usdm = clients
    interest = await usdm.fetch_open_interest("ETH/USDT:USDT")
    assert interest["openInterestAmount"] == pytest.approx(
        market.open_interest("ETHUSDT", START_MS), abs=0.01
    )
    rate = await usdm.fetch_funding_rate("ETH/USDT:USDT")
    mark = market.mark("ETHUSDT", START_MS)
    assert mark is not None
    assert (rate["fundingRate"], rate["fundingTimestamp"]) == (mark.predicted_rate, mark.next_funding_ms)
    assert rate["markPrice"] == pytest.approx(mark.mark_price)


async def test_ccxt_fetches_order_books_of_both_venues(clients: tuple[Any, Any]) -> None:
    spot, usdm = clients
    books = await asyncio.gather(
        spot.fetch_order_book("BTC/USDT", 100), usdm.fetch_order_book("BTC/USDT:USDT", 100)
    )
    for book in books:
        assert len(book["bids"]) == len(book["asks"]) == 100
        assert book["bids"][0][0] < book["asks"][0][0]


async def test_tickers_rank_symbols_by_quote_volume(clients: tuple[Any, Any]) -> None:
    tickers = await clients[0].fetch_tickers()
    ranked = sorted(tickers, key=lambda name: -tickers[name]["quoteVolume"])
    assert ranked == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/api/v3/klines", {"interval": "1h"}, -1102),
        ("/api/v3/klines", {"symbol": "NOPEUSDT", "interval": "1h"}, -1121),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7h"}, -1120),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT"}, -1102),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "1501"}, -1130),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1130),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": "soon"}, -1100),
        ("/fapi/v1/fundingRate", {"symbol": "BTCUSDT", "limit": "1001"}, -1130),
        ("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": "7"}, -1130),
        ("/fapi/v1/openInterest", {}, -1102),
        ("/fapi/v1/openInterest", {"symbol": "btcusdt"}, -1121),
    ],
)
async def test_wrong_parameters_get_binances_error_codes(
    http: aiohttp.ClientSession, path: str, query: dict[str, str], code: int
) -> None:
    status, body = await get(http, path, **query)
    assert (status, body["code"]) == (400, code)
    assert body["msg"]


async def test_an_unknown_path_is_not_found(http: aiohttp.ClientSession) -> None:
    assert (await get(http, "/fapi/v1/nothing"))[0] == 404
    assert (await get(http, "/api/v3/fundingRate"))[0] == 404


async def test_spot_caps_a_limit_that_futures_take(http: aiohttp.ClientSession) -> None:
    query = {"symbol": "BTCUSDT", "interval": "1h", "limit": "1500"}
    assert len((await get(http, "/api/v3/klines", **query))[1]) == 1000
    assert len((await get(http, "/fapi/v1/klines", **query))[1]) == 1500


async def test_kline_ranges_mean_what_they_mean_at_binance(http: aiohttp.ClientSession) -> None:
    async def opens(**query: Any) -> list[int]:
        _, rows = await get(http, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", **query)
        return [(row[0] - HOUR_OPEN_MS) // HOUR_MS for row in rows]

    at = HOUR_OPEN_MS
    assert await opens(limit=3) == [-2, -1, 0]
    assert await opens(startTime=at - 10 * HOUR_MS, limit=3) == [-10, -9, -8]
    assert await opens(startTime=at - 10 * HOUR_MS + 1, limit=2) == [-9, -8]
    assert await opens(endTime=at - 5 * HOUR_MS, limit=2) == [-6, -5]
    assert await opens(startTime=at - 4 * HOUR_MS, endTime=at - 2 * HOUR_MS) == [-4, -3, -2]
    assert await opens(startTime=at + HOUR_MS) == []


async def test_minute_klines_make_up_the_hour(http: aiohttp.ClientSession) -> None:
    _, minutes = await get(
        http, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", startTime=HOUR_OPEN_MS - HOUR_MS, limit=60
    )
    _, hours = await get(
        http, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", startTime=HOUR_OPEN_MS - HOUR_MS, limit=1
    )
    assert [row[0] for row in minutes] == list(range(HOUR_OPEN_MS - HOUR_MS, HOUR_OPEN_MS, MINUTE_MS))
    assert max(float(row[2]) for row in minutes) == float(hours[0][2])
    assert minutes[-1][4] == hours[0][4]


async def test_every_answer_carries_the_weight_used(http: aiohttp.ClientSession) -> None:
    used = []
    for limit in (10, 1000):
        async with http.get(
            "/fapi/v1/klines", params={"symbol": "BTCUSDT", "interval": "1h", "limit": limit}
        ) as response:
            used.append(int(response.headers["X-MBX-USED-WEIGHT-1M"]))
    assert used[1] - used[0] == 5


async def test_the_weight_of_a_minute_is_limited(http: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(61):
        async with http.get("/fapi/v1/ticker/24hr") as response:
            statuses.append((response.status, "Retry-After" in response.headers))
    assert statuses == [(200, False)] * 60 + [(429, True)]


async def test_server_time_follows_the_clock_and_its_skew(
    http: aiohttp.ClientSession, exchange: LoopbackExchange, clock: StepClock
) -> None:
    await clock.advance(5_000)
    assert (await get(http, "/fapi/v1/time"))[1] == {"serverTime": START_MS + 5_000}
    exchange.faults.clock_skew_ms = -3_600_000
    assert (await get(http, "/api/v3/time"))[1] == {"serverTime": START_MS + 5_000 - HOUR_MS}


async def test_ccxt_reads_a_refusal_as_the_error_it_is(
    clients: tuple[Any, Any], exchange: LoopbackExchange
) -> None:
    _, usdm = clients
    with pytest.raises(ccxt.BadSymbol):
        await usdm.fapiPublicGetKlines({"symbol": "NOPEUSDT", "interval": "1h"})
    exchange.faults.http.add(429, path="/fapi", times=1, retry_after_s=7)
    with pytest.raises(ccxt.DDoSProtection):
        await usdm.fetch_time()
    assert await usdm.fetch_time() == START_MS

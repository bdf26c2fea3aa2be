"""What is laid over ccxt: only the hosts wanted, every frame handed over, nothing secret shown."""

import asyncio
from typing import Any

import ccxt.pro
import pytest
from pydantic import SecretStr, ValidationError

from regimes.clock import MarketClock, ScaledClock, SystemClock
from regimes.errors import VenueError
from regimes.feeds.client import build_exchange
from regimes.feeds.offset import WARN_MS, follow, measure_offset_ms
from regimes.feeds.rest import RestFailedError
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.top import resolve_symbols
from regimes.feeds.venue import Venue
from tests.feeds.harness import START_MS, loopback, quick

CLOCK = SystemClock()


def hosts(urls: Any) -> set[str]:
    if isinstance(urls, dict):
        return set().union(*(hosts(value) for value in urls.values()))
    return {urls}


@pytest.mark.parametrize(
    ("venue", "own"),
    [("binanceus", "binance.us"), ("binance", "api.binance.com"), ("binanceusdm", "fapi.binance.com")],
)
def test_without_a_base_url_only_the_venues_own_public_hosts_are_left(venue: str, own: str) -> None:
    found = hosts(build_exchange(venue, VenuesSettings(), CLOCK).urls["api"])
    assert len(found) == 2
    assert any(own in url for url in found)
    if venue == "binanceus":
        assert all("binance.us" in url for url in found)


@pytest.mark.parametrize("venue", ["binanceus", "binance", "binanceusdm"])
def test_with_a_base_url_no_other_host_is_left(venue: str) -> None:
    settings = VenuesSettings(spot_url="http://127.0.0.1:1", derivatives_url="http://127.0.0.1:1/")
    found = hosts(build_exchange(venue, settings, CLOCK).urls["api"])
    assert all(url.split("://")[1].startswith("127.0.0.1:1/") for url in found)


async def test_binance_us_refuses_calls_for_futures_instead_of_dialling_the_global_exchange() -> None:
    exchange = build_exchange("binanceus", VenuesSettings(), CLOCK)
    with pytest.raises(ccxt.NotSupported):
        await exchange.fapiPublicGetFundingRate({"symbol": "BTCUSDT"})
    await exchange.close()


def test_the_futures_socket_goes_to_the_market_path() -> None:
    exchange = build_exchange("binanceusdm", VenuesSettings(), CLOCK)
    assert exchange.get_ws_url("linear", "market") == "wss://fstream.binance.com/market/ws"


def test_the_keep_alive_is_the_configured_one() -> None:
    exchange = build_exchange("binanceusdm", VenuesSettings(), CLOCK)
    assert exchange.streaming["keepAlive"] == 15_000


def test_secrets_do_not_show() -> None:
    settings = VenuesSettings(api_key=SecretStr("key-1234"), secret=SecretStr("secret-5678"))
    assert "1234" not in repr(settings)
    assert "5678" not in str(settings.model_dump())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spot", "coinbase"),
        ("derivatives", "binance"),
        ("spot_url", "127.0.0.1:80"),
        ("rotate_after_hours", 24),
        ("rotate_after_hours", 0),
        ("max_streams_per_connection", 201),
        ("stale_mark_price_seconds", -1),
        ("rest_weight_per_minute", 0),
        ("depth_levels", 42),
        ("nonsense", 1),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        VenuesSettings(**{name: value})


def test_every_setting_says_what_it_does() -> None:
    for name, field in VenuesSettings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def test_awaiting_is_not_how_data_is_taken() -> None:
    exchange = build_exchange("binanceusdm", VenuesSettings(), CLOCK)
    assert type(exchange).handle_message is not ccxt.pro.binanceusdm.handle_message


@pytest.mark.parametrize("skew_ms", [0, 3_600_000, -3_600_000, 1_500])
async def test_the_exchanges_clock_is_measured(skew_ms: int) -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        exchange.faults.clock_skew_ms = skew_ms
        venue = Venue("binanceus", quick(exchange), clock, sets_clock=True)
        assert await measure_offset_ms(venue.rest, clock) == pytest.approx(skew_ms, abs=100)
        await venue.close()


async def test_a_machine_clock_that_is_an_hour_off_is_set_by_the_exchange() -> None:
    clock = MarketClock()
    async with loopback(speed=1.0) as (exchange, exchange_clock):
        venue = Venue("binanceus", quick(exchange), clock, sets_clock=True)
        await venue.load()
        assert clock.now_ms() == pytest.approx(exchange_clock.now_ms(), abs=200)
        exchange.faults.clock_skew_ms = 3_600_000
        await venue.compare_clock()
        assert clock.now_ms() - exchange_clock.now_ms() == pytest.approx(3_600_000, abs=200)
        # The wall is as wrong as before, so it is still told, however often the clocks are compared.
        skew_ms = exchange_clock.now_ms() + 3_600_000 - SystemClock().now_ms()
        await venue.compare_clock()
        assert venue.offset_ms == pytest.approx(skew_ms, abs=200)
        await venue.close()


def test_only_a_markets_clock_is_ever_set() -> None:
    clock = ScaledClock(START_MS, 1.0)
    follow(clock, 10 * WARN_MS, "binanceus")
    assert clock.now_ms() - START_MS < 1000


async def test_a_clock_that_cannot_be_compared_stays_as_it_is() -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        exchange.faults.http.add(500, path="/api/v3/time")
        venue = Venue("binanceus", quick(exchange), clock, sets_clock=True)
        assert await measure_offset_ms(venue.rest, clock) is None
        await venue.close()


async def test_top_n_is_resolved_by_volume_and_mixed_with_named_symbols() -> None:
    async with loopback(symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT")) as (exchange, clock):
        settings = quick(exchange)
        everything = await resolve_symbols(["top:50"], settings, clock)
        assert set(everything) == {"BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"}
        assert await resolve_symbols(["top:2"], settings, clock) == everything[:2]
        named = await resolve_symbols(["DOGE/USDT", "top:1", everything[0]], settings, clock)
        assert named == ("DOGE/USDT", everything[0])


async def test_symbols_without_top_ask_nobody() -> None:
    nowhere = VenuesSettings(spot_url="http://127.0.0.1:9")
    assert await resolve_symbols(["BTC/USDT", "BTC/USDT"], nowhere, CLOCK) == ("BTC/USDT",)


async def test_a_blocked_region_is_a_venue_error_and_not_a_retry() -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        exchange.faults.http.add(451, path="/api/v3/exchangeInfo")
        venue = Venue("binanceus", quick(exchange), clock, sets_clock=True)
        with pytest.raises(VenueError, match=r"Set venues\.spot or venues\.derivatives"):
            await venue.load()
        assert exchange.sent.requests["/api/v3/exchangeInfo 451"] == 1
        await venue.close()


@pytest.mark.parametrize("body", ["upstream connect error", '{"symbols"', "[]", "null"])
async def test_an_answer_that_is_no_list_is_a_failure_not_a_crash(body: str) -> None:
    async with loopback(speed=1.0) as (exchange, clock):
        venue = Venue("binanceus", quick(exchange), clock, sets_clock=True)
        await venue.load()

        async def answer(_: object) -> object:
            return venue.exchange.parse_json(body)

        venue.exchange.publicGetTicker24hr = answer
        if body == "[]":
            assert await venue.rest.tickers() == []
        else:
            with pytest.raises(RestFailedError, match="expected a JSON list"):
                await venue.rest.tickers()
        await venue.close()


async def test_an_answer_cut_short_is_asked_for_again() -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n[1,"]
    answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n[]")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        venue = Venue(
            "binanceus", VenuesSettings(spot_url=f"http://127.0.0.1:{port}"), CLOCK, sets_clock=False
        )
        assert await venue.rest.tickers() == []
        await venue.close()
    assert not answers

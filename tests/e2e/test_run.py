import json
import signal
from pathlib import Path

import aiohttp
import pytest

from regimes.clock import SystemClock
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.synthetic import SyntheticMarket
from tests.e2e.process import regimes, started

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def live_exchange() -> LoopbackExchange:
    clock = SystemClock()
    return LoopbackExchange(SyntheticMarket(SYMBOLS, clock.now_ms() - 60_000, 1, "calm"), clock)


def against(exchange: LoopbackExchange, **variables: str) -> dict[str, str]:
    return {
        "REGIMES__VENUES__SPOT_URL": exchange.base_url,
        "REGIMES__VENUES__DERIVATIVES_URL": exchange.base_url,
        "REGIMES__SYMBOLS": ",".join(SYMBOLS),
        "REGIMES__TIMEFRAMES": "1h",
        **variables,
    }


@pytest.mark.parametrize("command", ["run", "features"])
async def test_an_unknown_symbol_ends_the_start_in_one_sentence(tmp_path: Path, command: str) -> None:
    async with live_exchange() as exchange:
        done = await regimes(tmp_path, command, **against(exchange, REGIMES__SYMBOLS="BTC/USDT,SOL/USDT"))
    assert done.code == 2
    assert "have no market for 'SOL/USDT'" in done.err
    assert "Unclosed" not in done.err, "sockets are given back"
    assert "release all resources" not in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_service_in_order_and_quietly(tmp_path: Path, number: signal.Signals) -> None:
    clock = SystemClock()
    async with live_exchange() as exchange:
        async with started(tmp_path, "run", **against(exchange)) as service:
            await service.says("stream_connected")
            asked = clock.monotonic()
            service.signal(number)
            assert await service.ends(timeout_s=10) == 0
        assert clock.monotonic() - asked < 10
        assert exchange.connections == 0
    log = "".join(service.said)
    assert '"stopped"' in log
    assert "Traceback" not in log


async def test_a_signal_during_the_start_ends_the_service_too(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        exchange.faults.http.add(503, path="/api/")
        async with started(tmp_path, "run", **against(exchange)) as service:
            await service.says('"starting"')
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=10) == 0


async def test_a_line_says_how_live_each_stream_is(tmp_path: Path) -> None:
    async with (
        live_exchange() as exchange,
        started(tmp_path, "run", **against(exchange, REGIMES__PIPELINE__STATUS_SECONDS="1")) as service,
    ):
        while True:
            line = json.loads(await service.says('"status"'))
            if len(line["streams"]) >= 4 and all("live" in stream for stream in line["streams"]):
                break
    assert any(stream.startswith("binanceusdm liquidation: live") for stream in line["streams"])
    assert any(stream.startswith("binanceus candle: live") for stream in line["streams"])
    assert line["loop_lag_p99_ms"] >= 0
    assert line["dropped"] == 0


async def test_a_restart_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    async with live_exchange() as exchange:

        def klines() -> int:
            return sum(count for path, count in exchange.sent.requests.items() if "klines" in path)

        asked = []
        for _ in range(2):
            before = klines()
            done = await regimes(tmp_path, "features", "--json", **against(exchange))
            assert done.code == 0, done.err
            asked.append(klines() - before)
    assert asked[0] >= len(SYMBOLS)
    assert asked[1] == 0


async def test_features_prints_one_package_a_symbol(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        as_json = await regimes(tmp_path, "features", "--json", **against(exchange))
        as_table = await regimes(tmp_path, "features", **against(exchange))
    assert as_json.code == as_table.code == 0, as_json.err
    packages = as_json.lines()
    assert [package["symbol"] for package in packages] == list(SYMBOLS)
    assert packages[0]["volatility"]["status"] == "ok"
    assert packages[0]["cascades"]["status"] == "warming"
    assert "BTC/USDT" in as_table.out
    assert "warming 0/60" in as_table.out


async def test_an_unknown_symbol_stops_the_start_with_its_near_match(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        done = await regimes(tmp_path, "run", **against(exchange, REGIMES__SYMBOLS="BTC/USDT,ETHH/USDT"))
    assert done.code == 2
    assert "configuration: symbols:" in done.err
    assert "'ETHH/USDT' (did you mean ETH/USDT" in done.err
    assert "Traceback" not in done.err


async def test_when_every_venue_refuses_us_the_service_says_so_and_ends_with_3(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        exchange.faults.http.add(451)
        done = await regimes(tmp_path, "run", **against(exchange))
    assert done.code == 3
    assert "exchange: binance" in done.err
    assert "blocked region" in done.err
    assert "Traceback" not in done.err


async def test_a_key_never_reaches_the_log(tmp_path: Path) -> None:
    keys = {
        "BINANCE_API_KEY": "key-of-somebody",
        "BINANCE_SECRET": "secret-of-somebody",
        "LOG_LEVEL": "DEBUG",
    }
    async with live_exchange() as exchange, started(tmp_path, "run", **against(exchange, **keys)) as service:
        await service.says("stream_connected")
        service.signal(signal.SIGTERM)
        assert await service.ends(timeout_s=10) == 0
    assert "of-somebody" not in "".join(service.said)


async def test_the_log_goes_to_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "regimes.log"
    async with live_exchange() as exchange:
        variables = against(exchange, LOG_FILE=str(file), REGIMES__SYMBOLS="ETHH/USDT")
        done = await regimes(tmp_path, "run", **variables)
    assert done.code == 2
    assert json.loads(file.read_text().splitlines()[0])["event"] == "starting"


async def test_a_clock_an_hour_off_is_said_and_corrected(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        exchange.faults.clock_skew_ms = 3_600_000
        async with started(tmp_path, "run", **against(exchange)) as service:
            assert "set this machine's clock" in await service.says("clock_differs")
            await service.says("stream_connected")
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=10) == 0


async def test_the_service_serves_its_dashboard_and_a_taken_port_stops_the_start(tmp_path: Path) -> None:
    async with live_exchange() as exchange, started(tmp_path, "run", **against(exchange)) as service:
        address = json.loads(await service.says("web_listens"))["address"]
        await service.says("stream_connected")
        async with aiohttp.ClientSession(address) as client, client.get("/api/features") as answer:
            assert set((await answer.json())["packages"]) == {*SYMBOLS, "ALL"}
        port = address.rpartition(":")[2]
        beside = {"REGIMES__WEB__PORT": port, "DB_URL": "sqlite:///second.db"}
        second = await regimes(tmp_path, "run", **against(exchange, **beside))
    assert second.code == 2
    assert f"web.port = {port}" in second.err

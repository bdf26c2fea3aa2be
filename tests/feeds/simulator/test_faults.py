"""Each fault, seen from the other end of the wire."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.malformed import MALFORMED
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.timeframe import HOUR_MS, MINUTE_MS
from tests.feeds.simulator.clients import PATIENCE_S, Socket, StepClock, ccxt_clients, dial
from tests.feeds.simulator.conftest import START_MS


async def closing(socket: Socket) -> int | None:
    """Read until the connection ends; its closing code."""
    while not socket.ws.closed:
        message = await asyncio.wait_for(socket.ws.receive(), PATIENCE_S)
        if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}:
            break
    return socket.ws.close_code


@pytest.mark.parametrize("per_segment", [1, 20, 200])
async def test_a_burst_arrives_whole_with_every_order_different(
    exchange: LoopbackExchange, per_segment: int
) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr")
        assert await exchange.faults.burst(3000, per_segment=per_segment) == 3000
        events = await usdm.until_pong()
    assert len({(e["o"]["s"], e["o"]["q"], e["o"]["ap"], e["o"]["T"]) for e in events}) == len(events) == 3000
    assert exchange.sent.frames["forceOrder@arr"] == 3000


async def test_a_burst_counts_a_frame_for_each_stream_that_carries_it(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr", "ethusdt@forceOrder")
        assert await exchange.faults.burst(100, symbol_ids=["ETHUSDT"]) == 200
        assert len(await usdm.until_pong()) == 200


async def test_a_burst_keeps_the_pace_it_is_given(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr")
        began = time.monotonic()
        assert await exchange.faults.burst(1000, per_segment=50, per_second=4000) == 1000
        assert time.monotonic() - began >= 0.25
        assert len(await usdm.until_pong()) == 1000


async def test_twenty_thousand_liquidations_leave_within_a_second_of_cpu(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr")
        began = time.process_time()
        assert await exchange.faults.burst(20_000) == 20_000
        spent = time.process_time() - began
        assert len(await usdm.until_pong()) == 20_000
    assert spent < 1


async def test_a_doubled_fact_comes_twice(exchange: LoopbackExchange, clock: StepClock) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@kline_1h")
        exchange.faults.duplicate(2)
        await clock.advance(3 * HOUR_MS)
        exchange.advance()
        opens = [e["k"]["t"] for e in await usdm.until_pong() if e["k"]["x"]]
    first = START_MS // HOUR_MS * HOUR_MS
    assert opens == [first, first, first + HOUR_MS, first + HOUR_MS, first + 2 * HOUR_MS]


async def test_facts_can_come_in_reverse_once(exchange: LoopbackExchange, clock: StepClock) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr")
        exchange.faults.out_of_order()
        times = []
        for minutes in (8, 8):
            await clock.advance(minutes * MINUTE_MS)
            exchange.advance()
            times.append([e["E"] for e in await usdm.until_pong()])
    assert times[0] == sorted(times[0], reverse=True) != sorted(times[0])
    assert times[1] == sorted(times[1])


@pytest.mark.parametrize("name", MALFORMED)
async def test_each_broken_frame_reaches_the_client_as_it_is(exchange: LoopbackExchange, name: str) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        assert exchange.faults.malformed(name) == 1
        message = await asyncio.wait_for(usdm.ws.receive(), PATIENCE_S)
        payload = message.data.encode() if isinstance(message.data, str) else message.data
        assert payload == MALFORMED[name].payload
    assert exchange.sent.frames["malformed"] == 1


async def test_anything_can_be_injected_into_a_stream(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/stream/0") as spot:
        await spot.subscribe("btcusdt@kline_1h")
        assert exchange.faults.inject("spot", "btcusdt@kline_1h", '{"e":"kline","odd":1}') == 1
        assert exchange.faults.inject("usdm", "btcusdt@kline_1h", "{}") == 0
        assert await spot.next() == {"stream": "btcusdt@kline_1h", "data": {"e": "kline", "odd": 1}}


async def test_a_stalled_connection_answers_pings_and_nothing_else(
    exchange: LoopbackExchange, clock: StepClock
) -> None:
    async with dial(exchange, "/market/ws/0") as usdm, dial(exchange, "/stream/0") as spot:
        await usdm.subscribe("btcusdt@markPrice@1s")
        await spot.subscribe("btcusdt@kline_1h")
        exchange.faults.stall("market")
        await clock.advance(5000)
        exchange.advance()
        assert await usdm.is_silent()
        assert (await spot.next())["data"]["e"] == "kline"
        exchange.faults.recover()
        await clock.advance(5000)
        exchange.advance()
        assert (await usdm.next())["E"] == START_MS + 10_000


async def test_new_connections_fall_into_a_stall_that_stands(exchange: LoopbackExchange) -> None:
    exchange.faults.stall("market")
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.ask("SUBSCRIBE", ["btcusdt@kline_1h"])
        assert await usdm.is_silent()


async def test_a_half_open_connection_answers_no_ping_until_it_recovers(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@markPrice@1s")
        exchange.faults.half_open()
        await usdm.ws.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(usdm.ws.receive(), 0.3)
        exchange.faults.recover()
        assert (await asyncio.wait_for(usdm.ws.receive(), PATIENCE_S)).type is aiohttp.WSMsgType.PONG


@pytest.mark.parametrize("code", [1001, 1006, 1008])
async def test_connections_close_with_the_code_asked_for(exchange: LoopbackExchange, code: int) -> None:
    async with dial(exchange, "/market/ws/0") as usdm, dial(exchange, "/stream/0") as spot:
        await usdm.subscribe("btcusdt@kline_1h")
        reading = asyncio.create_task(closing(usdm))
        assert await exchange.faults.close(code, where="market") == 1
        assert await reading == code
        assert await spot.is_silent()
    assert exchange.connections <= 1


async def test_every_connection_can_be_dropped_at_once(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm, dial(exchange, "/stream/0") as spot:
        reading = [asyncio.create_task(closing(socket)) for socket in (usdm, spot)]
        assert await exchange.faults.drop_all() == 2
        assert await asyncio.gather(*reading) == [1008, 1008]


async def test_a_subscription_can_be_rejected(exchange: LoopbackExchange, clock: StepClock) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        exchange.faults.reject_subscribe()
        await usdm.ask("SUBSCRIBE", ["!forceOrder@arr"], 7)
        answer = await usdm.next()
        assert (answer["id"], answer["error"]["code"]) == (7, 2)
        await clock.advance(15 * MINUTE_MS)
        exchange.advance()
        assert await usdm.is_silent()
        await usdm.subscribe("!forceOrder@arr")


@pytest.mark.parametrize(
    ("status", "retry_after"), [(429, 3), (429, None), (418, 60), (451, None), (503, None)]
)
async def test_requests_are_refused_on_the_paths_and_as_often_as_asked(
    exchange: LoopbackExchange, status: int, retry_after: int | None
) -> None:
    exchange.faults.http.add(status, path="/fapi/v1/klines", times=2, retry_after_s=retry_after)
    async with aiohttp.ClientSession(exchange.base_url) as http:

        async def get(path: str) -> tuple[int, str | None]:
            async with http.get(path, params={"symbol": "BTCUSDT", "interval": "1h"}) as response:
                return response.status, response.headers.get("Retry-After")

        header = None if retry_after is None else str(retry_after)
        assert await get("/fapi/v1/time") == (200, None)
        assert [await get("/fapi/v1/klines") for _ in range(3)] == [
            (status, header),
            (status, header),
            (200, None),
        ]
    assert exchange.sent.requests[f"/fapi/v1/klines {status}"] == 2


async def test_refusals_stand_until_cleared_and_reach_websockets_too(exchange: LoopbackExchange) -> None:
    exchange.faults.http.add(451)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with dial(exchange, "/market/ws/0"):
            pass
    assert refused.value.status == 451
    exchange.faults.http.clear()
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@kline_1h")


async def test_a_wrong_clock_moves_times_in_events_and_leaves_bars_alone(
    exchange: LoopbackExchange, clock: StepClock
) -> None:
    exchange.faults.clock_skew_ms = HOUR_MS
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@kline_1h", "btcusdt@markPrice@1s")
        await clock.advance(1000)
        exchange.advance()
        kline, mark = await usdm.next(), await usdm.next()
    assert (kline["E"], mark["E"]) == (START_MS + 1000 + HOUR_MS,) * 2
    assert kline["k"]["t"] == START_MS // HOUR_MS * HOUR_MS


async def test_refused_connections_are_refused_and_open_ones_live_on(
    exchange: LoopbackExchange, clock: StepClock
) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@markPrice@1s")
        await exchange.faults.refuse_connections()
        with pytest.raises(aiohttp.ClientConnectorError):
            async with dial(exchange, "/market/ws/1"):
                pass
        await clock.advance(1000)
        exchange.advance()
        assert (await usdm.next())["s"] == "BTCUSDT"
        await exchange.faults.accept_connections()
        async with dial(exchange, "/market/ws/1") as again:
            await again.subscribe("btcusdt@markPrice@1s")


async def test_faults_are_set_and_counts_read_over_http(exchange: LoopbackExchange) -> None:
    async with aiohttp.ClientSession(exchange.base_url) as http, dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr")
        async with http.post(
            "/control/faults", json={"fault": "burst", "count": 50, "per_segment": 10}
        ) as answer:
            assert await answer.json() == {"result": 50}
        assert len(await usdm.until_pong()) == 50
        async with http.post("/control/faults", json={"fault": "clock_skew", "ms": 250}) as answer:
            assert await answer.json() == {"result": None}
        assert exchange.faults.clock_skew_ms == 250
        async with http.get("/control/sent") as answer:
            sent = await answer.json()
    assert sent["frames"] == {"ack": 1, "forceOrder@arr": 50}
    assert sent["connections"] == 1


@pytest.mark.parametrize(
    "body",
    ['{"fault":"earthquake"}', '{"fault":"burst"}', "{}", "nonsense", '{"fault":"burst","count":1,"to":2}'],
)
async def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(
    exchange: LoopbackExchange, body: str
) -> None:
    async with (
        aiohttp.ClientSession(exchange.base_url) as http,
        http.post("/control/faults", data=body) as answer,
    ):
        assert answer.status == 400
        assert "half_open" in (await answer.json())["error"]


async def test_a_client_that_never_reads_is_dropped(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr")
        transport: Any = usdm.ws.get_extra_info("socket")
        assert transport is not None
        big = json.dumps({"e": "x" * 1_000_000})
        for _ in range(90):
            exchange.faults.inject("usdm", "!forceOrder@arr", big)
        assert await closing(usdm) in {1006, None}


async def test_ccxt_sees_a_cut_connection_as_an_error(
    exchange: LoopbackExchange, market: SyntheticMarket
) -> None:
    async with ccxt_clients(exchange) as (_, usdm):
        watching = asyncio.create_task(usdm.watch_liquidations_for_symbols([]))
        while exchange.sent.frames["ack"] == 0:
            await asyncio.wait([watching], timeout=0.01)
        await exchange.faults.close(1006)
        with pytest.raises(Exception, match="closing code"):
            await asyncio.wait_for(watching, PATIENCE_S)

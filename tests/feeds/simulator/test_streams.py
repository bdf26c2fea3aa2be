"""What comes over the websockets, and when."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from regimes.clock import ScaledClock
from regimes.errors import ConfigError
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.liquidations import pushes
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.timeframe import HOUR_MS, MINUTE_MS
from tests.feeds.simulator.clients import PATIENCE_S, Socket, StepClock, ccxt_clients, dial
from tests.feeds.simulator.conftest import START_MS


async def step(exchange: LoopbackExchange, clock: StepClock, ms: int) -> None:
    await clock.advance(ms)
    exchange.advance()


async def test_ccxt_watches_klines_mark_prices_books_and_liquidations(market: SyntheticMarket) -> None:
    clock = ScaledClock(START_MS + 3 * MINUTE_MS, 60)
    async with LoopbackExchange(market, clock) as exchange, ccxt_clients(exchange) as (spot, usdm):
        watched = await asyncio.wait_for(
            asyncio.gather(
                spot.watch_ohlcv("BTC/USDT", "1h"),
                usdm.watch_ohlcv("ETH/USDT:USDT", "1h"),
                usdm.watch_mark_price("BTC/USDT:USDT"),
                usdm.watch_mark_prices(),
                usdm.watch_liquidations_for_symbols([]),
                usdm.watch_liquidations("BTC/USDT:USDT"),
                spot.watch_order_book("BTC/USDT"),
                usdm.watch_order_book("SOL/USDT:USDT"),
                usdm.watch_trades("BTC/USDT:USDT", params={"name": "aggTrade"}),
            ),
            PATIENCE_S,
        )
    klines, futures_klines, mark, marks, everyone, bitcoin, *books, trades = watched
    hour_ms = START_MS // HOUR_MS * HOUR_MS
    assert klines[-1][0] == futures_klines[-1][0] == hour_ms
    assert mark["info"]["T"] % (8 * HOUR_MS) == 0
    assert set(marks) == {"BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"}
    assert everyone[0]["info"]["X"] == "FILLED"
    assert bitcoin[0]["symbol"] == "BTC/USDT:USDT"
    assert all(book["bids"][0][0] < book["asks"][0][0] for book in books)
    assert trades[0]["symbol"] == "BTC/USDT:USDT"


async def test_ccxt_keeps_books_in_step_with_their_differences(market: SyntheticMarket) -> None:
    clock = ScaledClock(START_MS, 60)
    async with LoopbackExchange(market, clock) as exchange, ccxt_clients(exchange) as (spot, usdm):
        for client, name in ((spot, "BTC/USDT"), (usdm, "BTC/USDT:USDT")):
            ids = [
                (await asyncio.wait_for(client.watch_order_book(name), PATIENCE_S))["nonce"] for _ in range(6)
            ]
            assert ids == sorted(set(ids))


async def test_spot_wraps_events_in_their_stream_and_futures_do_not(
    exchange: LoopbackExchange, clock: StepClock
) -> None:
    async with dial(exchange, "/stream/0") as spot, dial(exchange, "/market/ws/0") as usdm:
        await spot.subscribe("btcusdt@kline_1h")
        await usdm.subscribe("btcusdt@kline_1h")
        await step(exchange, clock, 1000)
        wrapped, bare = await spot.next(), await usdm.next()
    assert wrapped["stream"] == "btcusdt@kline_1h"
    assert wrapped["data"]["e"] == bare["e"] == "kline"
    assert "stream" not in bare


async def test_futures_have_an_envelope_on_their_combined_path(
    exchange: LoopbackExchange, clock: StepClock
) -> None:
    async with dial(exchange, "/market/stream?streams=btcusdt@markPrice@1s") as usdm:
        assert await usdm.is_silent()
        await step(exchange, clock, 1000)
        event = await usdm.next()
    assert (event["stream"], event["data"]["s"]) == ("btcusdt@markPrice@1s", "BTCUSDT")


async def test_each_bar_closes_once_and_equals_rest(exchange: LoopbackExchange, clock: StepClock) -> None:
    async with dial(exchange, "/market/ws/0") as usdm, ccxt_clients(exchange) as (_, client):
        await usdm.subscribe("solusdt@kline_1h", "solusdt@kline_4h")
        closed = []
        for minutes in (49, 1, 37, 600, 3, 59):
            await step(exchange, clock, minutes * MINUTE_MS)
            closed += [event["k"] for event in await usdm.until_pong() if event["k"]["x"]]
        rows = await client.fapiPublicGetKlines({"symbol": "SOLUSDT", "interval": "1h", "limit": 14})
    first_ms = START_MS // HOUR_MS * HOUR_MS
    hours = [k for k in closed if k["i"] == "1h"]
    assert [k["t"] for k in hours] == [first_ms + i * HOUR_MS for i in range(12)]
    assert [k["t"] for k in closed if k["i"] == "4h"] == [
        first_ms,
        first_ms + 4 * HOUR_MS,
        first_ms + 8 * HOUR_MS,
    ]
    by_open = {int(row[0]): row for row in rows}
    for k in hours:
        row = by_open[k["t"]]
        assert [str(row[i]) for i in (1, 2, 3, 4, 5, 7, 8)] == [
            str(k[key]) for key in ("o", "h", "l", "c", "v", "q", "n")
        ]


async def test_the_unfinished_bar_of_the_stream_is_the_one_of_rest(
    exchange: LoopbackExchange, clock: StepClock
) -> None:
    async with dial(exchange, "/stream/0") as spot, ccxt_clients(exchange) as (client, _):
        await spot.subscribe("ethusdt@kline_1h")
        await step(exchange, clock, 123_456)
        k = (await spot.next())["data"]["k"]
        row = (await client.publicGetKlines({"symbol": "ETHUSDT", "interval": "1h", "limit": 1}))[0]
    assert k["x"] is False
    assert [row[i] for i in (1, 2, 3, 4, 5)] == [k[key] for key in ("o", "h", "l", "c", "v")]


async def test_every_liquidation_arrives_once_in_order_on_both_of_its_streams(
    exchange: LoopbackExchange, clock: StepClock, market: SyntheticMarket
) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr", "btcusdt@forceOrder")
        events: list[Any] = []
        for _ in range(15):
            await step(exchange, clock, MINUTE_MS)
            events += await usdm.until_pong()
    due = pushes(market, START_MS, START_MS + 15 * MINUTE_MS, largest_only=True)
    everyone = [e for i, e in enumerate(events) if not (i and e == events[i - 1])]
    assert [(e["E"], e["o"]["s"], e["o"]["T"]) for e in everyone] == [
        (p.event_ms, p.order.symbol_id, p.order.ts_ms) for p in due
    ]
    bitcoin = sum(p.order.symbol_id == "BTCUSDT" for p in due)
    assert len(events) == len(due) + bitcoin
    assert exchange.sent.frames["forceOrder@arr"] == len(due) > 100
    assert exchange.sent.frames["forceOrder"] == bitcoin


async def test_only_the_largest_liquidation_of_a_symbol_and_second_is_pushed(
    exchange: LoopbackExchange, clock: StepClock, market: SyntheticMarket
) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr")
        await step(exchange, clock, 15 * MINUTE_MS)
        events = await usdm.until_pong()
    seconds = [(e["o"]["s"], e["o"]["T"] // 1000) for e in events]
    assert len(seconds) == len(set(seconds))
    of_second: dict[tuple[str, int], float] = {}
    for order in market.forced_orders(START_MS, START_MS + 15 * MINUTE_MS):
        key = (order.symbol_id, order.ts_ms // 1000)
        of_second[key] = max(order.notional, of_second.get(key, 0.0))
    for event in events:
        o = event["o"]
        assert float(o["z"]) * float(o["ap"]) == pytest.approx(of_second[o["s"], o["T"] // 1000])


async def test_all_liquidations_are_pushed_where_the_rule_is_switched_off(
    market: SyntheticMarket, clock: StepClock
) -> None:
    async with (
        LoopbackExchange(market, clock, largest_per_second=False) as exchange,
        dial(exchange, "/market/ws/0") as usdm,
    ):
        await usdm.subscribe("!forceOrder@arr")
        await step(exchange, clock, 15 * MINUTE_MS)
        events = await usdm.until_pong()
    assert len(events) == len(market.forced_orders(START_MS, START_MS + 15 * MINUTE_MS - 4))


async def test_states_keep_to_binances_pace_at_the_speed_of_life(
    exchange: LoopbackExchange, clock: StepClock
) -> None:
    streams = ("btcusdt@markPrice@1s", "btcusdt@markPrice", "btcusdt@kline_1m", "!markPrice@arr@1s")
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe(*streams)
        for _ in range(300):
            await step(exchange, clock, 100)
        events = await usdm.until_pong()
    arrays = [e for e in events if isinstance(e, list)]
    marks = [e for e in events if isinstance(e, dict) and e["e"] == "markPriceUpdate"]
    klines = [e for e in events if isinstance(e, dict) and e["e"] == "kline"]
    assert len(arrays) == pytest.approx(30, abs=1)
    assert len(marks) == pytest.approx(30 + 10, abs=2)
    assert len(klines) == pytest.approx(120, abs=3)
    assert all(e["E"] % 1000 == 0 for e in marks)


async def test_five_hundred_klines_take_little_of_a_core(clock: StepClock) -> None:
    source = SyntheticMarket([f"COIN{i}/USDT" for i in range(500)], START_MS, 1, "calm")
    async with LoopbackExchange(source, clock) as exchange, AsyncExitStack() as stack:
        for first in range(0, 500, 100):
            socket = await stack.enter_async_context(dial(exchange, f"/market/ws/{first}"))
            await socket.subscribe(*(f"coin{i}usdt@kline_1h" for i in range(first, first + 100)))
        await step(exchange, clock, 1000)
        began = time.process_time()
        for _ in range(10):
            await step(exchange, clock, 250)
        spent = time.process_time() - began
    assert exchange.sent.frames["kline"] == 500 * 11
    assert spent / 10 < 0.05


async def test_the_same_seed_sends_the_same_bytes(clock: StepClock) -> None:
    async def tape() -> list[str]:
        source, own = SyntheticMarket(("BTC/USDT", "ETH/USDT"), START_MS, 9, "mixed"), StepClock(START_MS)
        async with LoopbackExchange(source, own) as exchange, dial(exchange, "/market/ws/0") as usdm:
            await usdm.subscribe(
                "btcusdt@kline_1h", "!forceOrder@arr", "ethusdt@markPrice@1s", "btcusdt@aggTrade"
            )
            for _ in range(70):
                await step(exchange, own, MINUTE_MS)
            return [json.dumps(event) for event in await usdm.until_pong()]

    first, second = await tape(), await tape()
    assert first == second
    assert len(first) > 250


async def test_unsubscribed_streams_stop(exchange: LoopbackExchange, clock: StepClock) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@markPrice@1s", "ethusdt@markPrice@1s")
        await usdm.ask("UNSUBSCRIBE", ["btcusdt@markPrice@1s"], 2)
        assert await usdm.next() == {"result": None, "id": 2}
        await usdm.ask("LIST_SUBSCRIPTIONS", [], 3)
        assert await usdm.next() == {"result": ["ethusdt@markPrice@1s"], "id": 3}
        await step(exchange, clock, 1000)
        assert {e["s"] for e in await usdm.until_pong()} == {"ETHUSDT"}


@pytest.mark.parametrize("path", ["/ws", "/ws/0", "/ws/btcusdt@markPrice"])
async def test_the_abandoned_path_accepts_and_stays_silent(
    exchange: LoopbackExchange, clock: StepClock, path: str
) -> None:
    async with dial(exchange, path) as old:
        await old.ask("SUBSCRIBE", ["btcusdt@markPrice@1s"])
        await step(exchange, clock, 5000)
        assert await old.is_silent()


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/public/ws/0", "btcusdt@markPrice@1s"),
        ("/public/ws/0", "!forceOrder@arr"),
        ("/market/ws/0", "btcusdt@depth@100ms"),
        ("/stream/0", "btcusdt@markPrice@1s"),
        ("/market/ws/0", "nopeusdt@kline_1h"),
        ("/market/ws/0", "btcusdt@kline_7h"),
        ("/market/ws/0", "nonsense"),
    ],
)
async def test_a_stream_that_a_path_does_not_have_is_acknowledged_and_silent(
    exchange: LoopbackExchange, clock: StepClock, path: str, stream: str
) -> None:
    async with dial(exchange, path) as socket:
        await socket.subscribe(stream)
        await step(exchange, clock, 15 * MINUTE_MS)
        assert await socket.is_silent()


async def test_more_than_two_hundred_streams_get_silence(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        for part in range(4):
            names = [f"x{i}usdt@kline_1h" for i in range(50 * part, 50 * part + 50)]
            await usdm.subscribe(*names)
        await usdm.ask("SUBSCRIBE", ["btcusdt@kline_1h"])
        assert await usdm.is_silent()


async def test_a_subscribe_of_more_than_4096_bytes_gets_silence(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.ask("SUBSCRIBE", [f"averylongname{i}usdt@kline_1h" for i in range(150)])
        assert await usdm.is_silent()


async def test_more_than_ten_requests_a_second_end_the_connection(exchange: LoopbackExchange) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        for number in range(11):
            await usdm.ask("LIST_SUBSCRIPTIONS", [], number)
        while not usdm.ws.closed:
            await asyncio.wait_for(usdm.ws.receive(), PATIENCE_S)
        assert usdm.ws.close_code == 1008


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", 3), ("[]", 2), ('{"method":"DANCE","id":4}', 2), ('{"method":"SUBSCRIBE","params":[1]}', 2)],
)
async def test_a_request_that_makes_no_sense_gets_an_error(
    exchange: LoopbackExchange, text: str, code: int
) -> None:
    async with dial(exchange, "/market/ws/0") as usdm:
        await usdm.ws.send_str(text)
        assert (await usdm.next())["error"]["code"] == code


async def test_streams_can_be_asked_for_in_the_address(exchange: LoopbackExchange, clock: StepClock) -> None:
    async with dial(exchange, "/stream?streams=btcusdt@kline_1h/ethusdt@kline_1h") as spot:
        assert await spot.is_silent()
        await step(exchange, clock, 1000)
        assert {e["data"]["s"] for e in await spot.until_pong()} == {"BTCUSDT", "ETHUSDT"}


async def test_at_speed_3600_no_bar_is_lost_and_none_comes_late(market: SyntheticMarket) -> None:
    clock = ScaledClock(START_MS, 3600)
    async with LoopbackExchange(market, clock) as exchange, dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@kline_1h", "btcusdt@kline_5m")
        closed: dict[str, list[int]] = {"1h": [], "5m": []}
        while len(closed["1h"]) < 3:
            k = (await usdm.next())["k"]
            if k["x"]:
                closed[k["i"]].append(k["t"])
                assert clock.now_ms() >= k["T"]
    for timeframe, step_ms in (("1h", HOUR_MS), ("5m", 5 * MINUTE_MS)):
        opens = closed[timeframe]
        assert opens == list(range(opens[0], opens[0] + len(opens) * step_ms, step_ms))


async def test_states_are_bounded_by_the_wall_clock_at_any_speed(market: SyntheticMarket) -> None:
    clock = ScaledClock(START_MS, 3600)
    async with LoopbackExchange(market, clock) as exchange, dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@markPrice@1s")
        events = [await usdm.next() for _ in range(6)]
    assert all(b["E"] - a["E"] >= 0.1 * 3600 * 1000 * 0.5 for a, b in pairwise(events))
    assert (events[-1]["E"] - events[0]["E"]) >= 5 * 0.1 * 3600 * 1000 * 0.9


async def replayed(exchange: LoopbackExchange, usdm: Socket) -> list[Any]:
    """Everything until the market has ended."""
    events: list[Any] = []
    while not exchange.ended.is_set():
        events += await usdm.until_pong()
        await asyncio.wait([asyncio.create_task(exchange.ended.wait())], timeout=0.05)
    return events + await usdm.until_pong()


async def test_a_recorded_market_is_sent_whole_and_then_nothing_more(data_dir: Path) -> None:
    from_ms = 1_737_982_800_000
    to_ms = from_ms + 5 * HOUR_MS
    source = RecordedMarket(data_dir, ("BTC/USDT", "ETH/USDT", "SOL/USDT"), from_ms, to_ms)
    clock = ScaledClock(from_ms, 6000)
    async with LoopbackExchange(source, clock) as exchange, dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("!forceOrder@arr", "btcusdt@kline_1h")
        events = await replayed(exchange, usdm)
        await usdm.subscribe("ethusdt@kline_1h")
        exchange.advance()
        assert await usdm.is_silent()
    orders = [e for e in events if e["e"] == "forceOrder"]
    closed = [e["k"] for e in events if e["e"] == "kline" and e["k"]["x"]]
    assert len(orders) == exchange.sent.frames["forceOrder@arr"] == 1344
    assert [o["o"]["T"] for o in orders] == sorted(o["o"]["T"] for o in orders)
    assert [k["t"] for k in closed] == [from_ms + i * HOUR_MS for i in range(5)]
    bars = source.bars("usdm", "BTCUSDT", HOUR_MS, from_ms, to_ms, to_ms)
    assert [float(k["c"]) for k in closed] == bars.close.tolist()
    assert [float(k["v"]) for k in closed] == pytest.approx(bars.volume.tolist())


async def test_the_exchange_listens_on_loopback_only(market: SyntheticMarket, clock: StepClock) -> None:
    with pytest.raises(ConfigError, match="loopback only"):
        LoopbackExchange(market, clock, host="0.0.0.0")  # noqa: S104  the refusal is what is tested


async def test_closing_the_exchange_leaves_no_task_behind(market: SyntheticMarket, clock: StepClock) -> None:
    before = asyncio.all_tasks()
    async with LoopbackExchange(market, clock) as exchange, dial(exchange, "/market/ws/0") as usdm:
        await usdm.subscribe("btcusdt@kline_1h")
    assert asyncio.all_tasks() == before

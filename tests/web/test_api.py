import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from regimes.events import EventType, Phase, Severity, body
from regimes.storage.base import ReadingRow
from regimes.timeframe import HOUR_MS
from regimes.web import live as live_module, payload as payload_module
from regimes.web.payload import Payload
from tests.delivery.receivers import Receiver
from tests.web.service import SYMBOLS, Service, bar, event, liquidation, mark, service


class WithReceiver(Service):
    """A service and the receiver its messages go to."""

    def __init__(self, *parts: Any) -> None:
        *ours, self.receiver = parts
        super().__init__(*ours)

    async def settled(self, path: str, is_settled: Callable[[Any], object]) -> Any:
        """Ask until the answer is as wanted."""
        async with asyncio.timeout(10):
            while True:
                _, told, _ = await self.get(path)
                if is_settled(told):
                    return told


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[WithReceiver]:
    async with (
        Receiver().serving() as receiver,
        service(
            tmp_path, delivery={"webhooks_all": f"{receiver.base}/hook", "allow_cidrs": ("127.0.0.0/8",)}
        ) as made,
    ):
        yield WithReceiver(made.server, made.pipeline, made.alerts, made.client, receiver)


def paths(running: WithReceiver) -> list[tuple[str, type]]:
    """Every readable route that needs no id, with the type of its answer."""
    filled = {
        "/api/history": "?feature=volatility&symbol=BTC/USDT",
        "/api/candles": "?symbol=BTC/USDT",
    }
    return [
        (route.path + filled.get(route.path, ""), route.answer)
        for route in running.server.routes
        if route.method == "GET" and "{" not in route.path
    ]


async def test_every_route_answers_what_its_description_says(running: WithReceiver) -> None:
    await running.emit(event(1), event(2, phase=Phase.CLOSED, severity=Severity.CRITICAL))
    for path, kind in paths(running):
        async with running.client.get(path) as answer:
            assert answer.status == 200, path
            msgspec.json.decode(await answer.read(), type=kind, strict=True)


async def test_features_hold_a_package_for_each_symbol_and_the_market(running: WithReceiver) -> None:
    now_ms = running.pipeline.clock.now_ms()
    running.feed(
        mark("BTC/USDT", 99.5, now_ms), bar("ETH/USDT", now_ms // HOUR_MS * HOUR_MS, 7.0, closed=False)
    )
    _, told, _ = await running.get("/api/features")
    assert list(told["packages"]) == [*SYMBOLS, "ALL"]
    assert told["packages"]["BTC/USDT"]["volatility"]["status"] == "ok"
    assert told["prices"] == {
        "BTC/USDT": {"price": 99.5, "source": "mark", "venue": "binanceusdm"},
        "ETH/USDT": {"price": 7.0, "source": "candle", "venue": "binanceus"},
    }
    _, one, _ = await running.get("/api/features?symbol=ETH/USDT")
    assert list(one["packages"]) == ["ETH/USDT"]
    assert one["packages"]["ETH/USDT"] == told["packages"]["ETH/USDT"]


async def test_what_is_answered_changes_with_the_engine_and_the_etag_with_it(running: WithReceiver) -> None:
    status, first, headers = await running.get("/api/cascades?symbol=BTC/USDT")
    assert (status, first["symbols"]["BTC/USDT"]["total_liquidation_usd"]) == (200, None)
    _, _, headers = await running.get("/api/features")
    etag = {"If-None-Match": headers["ETag"]}
    assert (await running.get("/api/features", headers=etag))[0] == 304
    now_ms = running.pipeline.clock.now_ms()
    running.feed(liquidation("BTC/USDT", now_ms), *[mark("BTC/USDT", 50.0, now_ms)])
    running.tick()
    await running.settled(
        "/api/features", lambda told: told["prices"].get("BTC/USDT", {}).get("price") == 50.0
    )
    assert (await running.get("/api/features", headers=etag))[0] == 200


async def test_an_answer_that_takes_long_to_make_is_made_for_a_small_share_of_the_time(
    running: WithReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, made = running.server.live, 0

    def make() -> dict[str, int]:
        nonlocal made
        made += 1
        return {"made": made}

    monkeypatch.setattr(live_module, "REST", 1e9)
    first = await live.payload("slow", make=make)
    now_ms = running.pipeline.clock.now_ms()
    running.feed(mark("BTC/USDT", 1.0, now_ms))
    assert await live.payload("slow", make=make) is first
    monkeypatch.setattr(live_module, "REST", 0)
    assert (await live.payload("slow", make=make)).body == b'{"made":2}'
    assert (await live.payload("slow", make=make)).body == b'{"made":2}'  # as no turn has come since


async def test_a_large_answer_is_compressed_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    times, plain = 0, payload_module._gzip

    def counted(body: bytes) -> bytes:
        nonlocal times
        times += 1
        return plain(body)

    monkeypatch.setattr(payload_module, "_gzip", counted)
    payload = Payload({"filler": "x" * 2 * payload_module.LARGEST_ON_LOOP})
    bodies = await asyncio.gather(*(payload.gzipped() for _ in range(20)))
    assert times == 1
    assert set(bodies) == {bodies[0]}
    assert gzip.decompress(bodies[0]) == payload.body


async def test_a_large_answer_is_compressed_for_those_who_can_read_that(running: WithReceiver) -> None:
    async with aiohttp.ClientSession(running.address, auto_decompress=False) as client:
        async with client.get("/api/features", headers={"Accept-Encoding": "gzip"}) as answer:
            packed = await answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
        async with client.get("/api/features", headers={"Accept-Encoding": "identity"}) as answer:
            plain = await answer.read()
            assert "Content-Encoding" not in answer.headers
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 3


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/events?limit=0", "limit"),
        ("/api/events?limit=501", "limit"),
        ("/api/events?limit=many", "limit"),
        ("/api/events?surprise=1", "surprise"),
        ("/api/events?severity=LOUD", "severity"),
        ("/api/events?type=EARTHQUAKE", "type"),
        ("/api/events?from=yesterday", "from and to"),
        ("/api/events?from=99999999999999", "from and to"),
        ("/api/events?cursor=nowhere", "cursor"),
        ("/api/deliveries?cursor=1", "cursor"),
        ("/api/liquidations?cursor=1", "cursor"),
        ("/api/liquidations?cursor=%C3%BC%C3%BC%C3%BC%C3%BC", "cursor"),
        ("/api/liquidations?cursor=WzFd", "cursor"),
        ("/api/history?feature=volatility", "symbol"),
        ("/api/history?feature=volatility&symbol=BTC/USDT&from=2&to=1", "from must not be later"),
        ("/api/candles?symbol=BTC/USDT&timeframe=0h", "timeframe"),
        ("/api/candles?symbol=BTC/USDT&limit=100000", "limit"),
        ("/api/cascades?hours=10000", "hours"),
        ("/api/stream?interval=3", "interval"),
    ],
)
async def test_a_wrong_parameter_is_named(running: WithReceiver, path: str, named: str) -> None:
    status, told, headers = await running.get(path)
    assert status == 400
    assert headers["Content-Type"] == "application/problem+json"
    assert named in told["detail"]
    assert told["status"] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/api/features?symbol=DOGE/USDT",
        "/api/candles?symbol=DOGE/USDT",
        "/api/events/evt_none",
        "/api/deliveries/none",
        "/api/nothing",
        "/nothing",
    ],
)
async def test_what_is_not_there_is_404(running: WithReceiver, path: str) -> None:
    status, told, _ = await running.get(path)
    assert (status, told["status"]) == (404, 404)


async def test_a_wrong_method_names_the_right_ones(running: WithReceiver) -> None:
    status, told, headers = await running.send("PUT", "/api/silences")
    assert (status, headers["Allow"]) == (405, "GET,HEAD,POST")
    assert "GET, HEAD, POST" in told["detail"]


async def test_events_come_in_pages_without_gap_or_double(running: WithReceiver) -> None:
    made = [event(number) for number in range(7)]
    await running.emit(*made)
    seen: list[str] = []
    cursor = ""
    while True:
        _, page, _ = await running.get(f"/api/events?limit=3{cursor}")
        seen += [each["id"] for each in page["events"]]
        if page["cursor"] is None:
            break
        await running.emit(event(100 + len(seen)))  # a newer one shifts nothing
        cursor = f"&cursor={page['cursor']}"
    assert seen == [each.id for each in reversed(made)]


async def test_events_are_filtered(running: WithReceiver) -> None:
    await running.emit(
        event(1),
        event(2, symbol="ETH/USDT", severity=Severity.CRITICAL),
        event(3, kind=EventType.REGIME_SHIFT),
    )

    async def found(query: str) -> list[int]:
        _, page, _ = await running.get(f"/api/events?{query}")
        return [each["data"]["number"] for each in page["events"]]

    assert await found("symbol=ETH/USDT") == [2]
    assert await found("severity=WARNING") == [3, 1]
    assert await found("type=REGIME_SHIFT") == [3]
    assert await found("from=1970-01-01T00:00:00Z&to=1970-01-02") == []


async def test_an_event_opens_to_its_decisions_and_deliveries(running: WithReceiver) -> None:
    made = event(1)
    await running.emit(made)
    await running.receiver.requests(1)
    _, whole, _ = await running.get(f"/api/events/{made.id}")
    told = running.alerts.telling.enrich(body(made))
    assert told.narrative
    assert whole["event"] == msgspec.json.decode(msgspec.json.encode(told))
    assert [(one["action"], one["reason"]) for one in whole["decisions"]] == [("send", "opened")]
    assert [one["endpoint"] for one in whole["deliveries"]] == ["http-all-1"]
    assert whole["deliveries"][0]["title"] == made.title


async def test_deliveries_come_in_pages_and_open_to_their_tries(running: WithReceiver) -> None:
    await running.emit(
        *(event(number, symbol=f"S{number}/USDT", kind=EventType.FUNDING_REVERSAL) for number in range(5))
    )
    await running.receiver.requests(5)
    seen: list[str] = []
    cursor = ""
    while True:
        _, page, _ = await running.get(f"/api/deliveries?limit=2{cursor}")
        seen += [each["id"] for each in page["deliveries"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert len(seen) == len(set(seen)) == 5
    whole = await running.settled(f"/api/deliveries/{seen[0]}", lambda told: told["attempts"])
    tries = whole["attempts"]
    assert [(one["attempt"], one["outcome"], one["status_code"]) for one in tries] == [(1, "delivered", 200)]
    _, none, _ = await running.get("/api/deliveries?status=dead")
    assert none["deliveries"] == []


async def test_a_delivery_is_sent_again(running: WithReceiver) -> None:
    await running.emit(event(1))
    (first,) = await running.receiver.requests(1)
    _, page, _ = await running.get("/api/deliveries")
    delivery = page["deliveries"][0]["id"]
    await running.settled(f"/api/deliveries/{delivery}", lambda told: told["attempts"])
    status, told, _ = await running.send("POST", f"/api/deliveries/{delivery}/replay")
    assert (status, told) == (202, {"replayed": 1})
    first, again = await running.receiver.requests(2)
    assert again.headers["webhook-id"] == first.headers["webhook-id"]


async def test_an_endpoint_is_tested_and_says_what_it_answered(running: WithReceiver) -> None:
    status, told, _ = await running.send("POST", "/api/endpoints/http-all-1/test")
    assert (status, told["outcome"], told["status_code"]) == (200, "delivered", 200)
    (seen,) = running.receiver.seen
    assert seen.json["data"]["is_test"] is True
    assert (await running.send("POST", "/api/endpoints/nobody/test"))[0] == 404


async def test_an_endpoint_that_was_given_up_is_enabled_again(running: WithReceiver) -> None:
    async def gone(_request: Any) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=410)

    running.receiver.script.append(gone)
    await running.emit(event(1))
    await running.settled("/api/endpoints", lambda told: told["endpoints"][0]["phase"] == "parked")
    assert (await running.send("POST", "/api/endpoints/http-all-1/enable"))[1] == {"done": True}
    assert (await running.get("/api/endpoints"))[1]["endpoints"][0]["phase"] == "closed"
    assert (await running.send("POST", "/api/endpoints/nobody/enable"))[0] == 404


async def test_a_silence_holds_back_what_it_names_until_it_is_deleted(running: WithReceiver) -> None:
    status, made, _ = await running.send(
        "POST", "/api/silences", json={"hours": 1, "symbol": "BTC/USDT", "comment": "maintenance"}
    )
    assert (status, made["active"], made["symbol"]) == (201, True, "BTC/USDT")
    await running.emit(event(1))
    _, listed, _ = await running.get("/api/silences")
    assert [one["id"] for one in listed["silences"]] == [made["id"]]
    _, whole, _ = await running.get(f"/api/events/{event(1).id}")
    assert [one["reason"] for one in whole["decisions"]] == ["silenced"]
    assert (await running.send("DELETE", f"/api/silences/{made['id']}"))[1] == {"done": True}
    assert (await running.send("DELETE", f"/api/silences/{made['id']}"))[0] == 404
    await running.emit(event(2, kind=EventType.REGIME_SHIFT))
    await running.receiver.requests(1)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"hours": 0}, "hours"),
        ({"hours": 10_000}, "hours"),
        ({}, "hours"),
        ({"hours": 1, "event_type": "EARTHQUAKE"}, "EARTHQUAKE"),
        ({"hours": 1, "up_to": "LOUD"}, "up_to"),
        ({"hours": 1, "surprise": 1}, "surprise"),
        ([], "object"),
    ],
)
async def test_a_wrong_silence_is_refused_by_name(running: WithReceiver, content: Any, named: str) -> None:
    status, told, _ = await running.send("POST", "/api/silences", json=content)
    assert status == 400
    assert named in told["detail"]


async def test_a_body_that_is_no_json_is_refused(running: WithReceiver) -> None:
    assert (await running.send("POST", "/api/silences", data=b"hours=1"))[0] == 415
    json_type = {"X-Requested-With": "regimes", "Content-Type": "application/json"}
    assert (await running.send("POST", "/api/silences", json_type, data=b"{"))[0] == 400


async def test_history_is_thinned_and_paged(running: WithReceiver) -> None:
    now_ms = running.pipeline.clock.now_ms()
    rows = [
        ReadingRow(now_ms - 60_000 * back, "volatility_regime", "X/USDT", b'{"ratio": 1}')
        for back in range(30, 0, -1)
    ]
    await running.alerts.storage.add_readings(rows)
    await running.alerts.storage.flush()
    query = "/api/history?feature=volatility&symbol=X/USDT"
    _, whole, _ = await running.get(query)
    assert [point["ts_ms"] for point in whole["points"]] == [row.ts_ms for row in rows]
    _, thin, _ = await running.get(f"{query}&step=300")
    assert [point["ts_ms"] for point in thin["points"]] == [row.ts_ms for row in rows[::5]]
    seen: list[int] = []
    start = ""
    while True:
        _, page, _ = await running.get(f"{query}&limit=7{start}")
        seen += [point["ts_ms"] for point in page["points"]]
        if page["next_from_ms"] is None:
            break
        start = f"&from={page['next_from_ms']}"
    assert seen == [row.ts_ms for row in rows]


async def test_candles_carry_liquidations_and_longer_bars_their_coverage(running: WithReceiver) -> None:
    now_ms = running.pipeline.clock.now_ms()
    hour_ms = now_ms // HOUR_MS * HOUR_MS
    running.feed(bar("BTC/USDT", hour_ms, 123.0, closed=False), liquidation("BTC/USDT", now_ms, 700.0))
    stored = running.alerts.storage
    while not await stored.liquidations(since_ms=0, symbol=None, limit=1):
        await stored.flush()
        await asyncio.sleep(0)
    _, told, _ = await running.get("/api/candles?symbol=BTC/USDT&limit=24")
    newest = told["bars"][-1]
    assert len(told["bars"]) == 24
    assert (newest["open_ms"], newest["close"], newest["closed"]) == (hour_ms, 123.0, False)
    assert (newest["long_usd"], newest["short_usd"]) == (700.0, 0.0)
    assert [each["closed"] for each in told["bars"][:-1]] == [True] * 23
    _, long, _ = await running.get("/api/candles?symbol=BTC/USDT&timeframe=4h&limit=3")
    assert [each["closed"] for each in long["bars"]][:2] == [True, True]
    assert 0 < long["bars"][-1]["coverage"] <= 1.0
    assert long["bars"][-1]["long_usd"] == 700.0


async def test_liquidations_come_newest_first(running: WithReceiver) -> None:
    now_ms = running.pipeline.clock.now_ms()
    orders = [liquidation(SYMBOLS[number % 2], now_ms - number * 1000) for number in range(4)]
    await running.alerts.storage.add_liquidations(orders)
    await running.alerts.storage.flush()
    _, told, _ = await running.get("/api/liquidations?limit=3")
    assert [one["ts_ms"] for one in told["liquidations"]] == [one.ts_ms for one in orders[:3]]
    _, told, _ = await running.get("/api/liquidations?symbol=ETH/USDT")
    assert {one["symbol"] for one in told["liquidations"]} == {"ETH/USDT"}


async def test_pages_of_liquidations_hold_each_once_however_many_came_in_one_millisecond(
    running: WithReceiver,
) -> None:
    now_ms = running.pipeline.clock.now_ms()
    orders = [liquidation(SYMBOLS[number % 2], now_ms - number // 5, 100.0 + number) for number in range(23)]
    await running.alerts.storage.add_liquidations(orders)
    await running.alerts.storage.flush()
    for symbol in (None, "BTC/USDT"):
        seen: list[dict[str, Any]] = []
        asked = {"limit": 4, **({"symbol": symbol} if symbol else {})}
        while True:
            _, page, _ = await running.get(f"/api/liquidations?{urlencode(asked)}")
            seen += page["liquidations"]
            if page["cursor"] is None:
                break
            assert len(page["liquidations"]) == 4
            asked["cursor"] = page["cursor"]
            # What comes meanwhile is newer and does not move what is left.
            await running.alerts.storage.add_liquidations([liquidation("BTC/USDT", now_ms + len(seen), 1.0)])
            await running.alerts.storage.flush()
        of_old = [one for one in seen if one["quote_usd"] >= 100.0]
        assert sorted(one["quote_usd"] for one in of_old) == [
            order.quote_usd for order in orders if symbol in {None, order.symbol}
        ]
        assert [one["ts_ms"] for one in seen] == sorted((one["ts_ms"] for one in seen), reverse=True)


async def test_the_score_counts_episodes_and_how_long_they_lasted(running: WithReceiver) -> None:
    opened = event(1)
    closed = msgspec.structs.replace(
        opened, phase=Phase.CLOSED, revision=1, ts_ms=opened.started_ms + 2 * HOUR_MS
    )
    await running.emit(opened, closed, event(2, severity=Severity.CRITICAL))
    _, told, _ = await running.get("/api/score")
    assert told.pop("measured")["shipped"]
    (track,) = told["tracks"]
    assert track == {
        "event_type": "VOLATILITY_REGIME",
        "episodes": 2,
        "open": 1,
        "by_severity": {"INFO": 0, "WARNING": 1, "CRITICAL": 1},
        "median_hours": 2.0,
    }
    assert told["complete"] is True


async def test_no_secret_stands_in_the_configuration_that_is_shown(tmp_path: Path) -> None:
    secret = "whsec_c2VjcmV0LW9mLXNvbWVib2R5LWVsc2U"  # noqa: S105
    async with service(tmp_path, history=False, delivery={"webhook_secret": secret}) as running:
        _, told, _ = await running.get("/api/config")
    shown = {each["key"]: each for each in told["settings"]}
    assert shown["delivery.webhook_secret"]["value"] == "***"
    assert shown["web.port"] == {"key": "web.port", "value": 0, "origin": "test"}
    assert secret not in str(told)


async def test_before_the_engine_is_there_it_says_so(tmp_path: Path) -> None:
    async with service(tmp_path, live=False) as running:
        status, told, headers = await running.get("/api/features")
        assert (status, headers["Retry-After"]) == (503, "2")
        assert "starting" in told["detail"]
        assert (await running.get("/api/status"))[1]["state"] == "starting"
        assert (await running.get("/healthz"))[1] == b"ok\n"
        status, ready, _ = await running.get("/readyz")
        assert (status, ready["ready"]) == (503, False)
        assert (await running.get("/api/events"))[0] == 200

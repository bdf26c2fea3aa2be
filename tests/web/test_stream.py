import asyncio
import socket
from pathlib import Path

import aiohttp
import msgspec
import pytest

from regimes.errors import StorageError
from regimes.events import EventBody, EventType, Phase
from regimes.web import hub as hub_module, stored
from regimes.web.client import FULL_BYTES
from regimes.web.shapes import Features, Snapshot, Status, Tape
from tests.web.service import Service, event, liquidation, mark, service
from tests.web.stream import Reader, reading


def names(*events: object) -> list[tuple[str, int]]:
    return [(each.id, each.revision) for each in events]  # type: ignore[attr-defined]


async def joined(running: Service, count: int = 1) -> None:
    while running.server.hub.clients != count:  # noqa: ASYNC110  # a count, set by the server's own loop
        await asyncio.sleep(0.005)


async def told(running: Service, count: int) -> None:
    while running.server.hub.log.head < count:  # noqa: ASYNC110  # a count, set by the server's own loop
        await asyncio.sleep(0)


async def test_the_first_frame_is_the_present_state_of_everything(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        await running.emit(event(1), event(2), event(2, revision=1, phase=Phase.CLOSED))
        async with reading(running.address) as reader:
            hint = await reader.frame()
            first = await reader.frame()
        _, features, _ = await running.get("/api/features")
    assert hint.retry == 2000
    assert first.name == "snapshot"
    assert first.id == f"{event(2).id}:1"
    told = msgspec.convert(first.data, Snapshot)
    assert told.resume == "fresh"
    assert [each.data["number"] for each in told.open_events] == [1]
    assert list(told.features.packages) == ["BTC/USDT", "ETH/USDT", "ALL"]
    assert first.data["features"]["packages"] == features["packages"]


async def test_every_frame_is_what_the_description_says(tmp_path: Path) -> None:
    kinds = {
        "features": Features,
        "event": EventBody,
        "liquidation": Tape,
        "status": Status,
        "snapshot": Snapshot,
    }
    async with service(tmp_path) as running, reading(running.address) as reader:
        await reader.next("snapshot")
        now_ms = running.pipeline.clock.now_ms()
        running.feed(liquidation("BTC/USDT", now_ms), mark("BTC/USDT", 5.0, now_ms))
        running.tick()
        await running.emit(event(1))
        while {frame.name for frame in reader.frames} < kinds.keys():
            await reader.frame()
    for frame in reader.frames:
        if frame.name:
            msgspec.convert(frame.data, kinds[frame.name], strict=True)
            assert bool(frame.id) == (frame.name in {"snapshot", "event"})


async def test_an_event_is_on_its_way_at_once(tmp_path: Path) -> None:
    async with service(tmp_path) as running, reading(running.address, "interval=60") as reader:
        await reader.next("snapshot")
        for number in range(5):
            began = asyncio.get_running_loop().time()
            await running.emit(event(number))
            await reader.next("event")
            assert asyncio.get_running_loop().time() - began < 0.5


async def test_readings_conflate_to_the_newest_within_the_interval(tmp_path: Path) -> None:
    async with service(tmp_path) as running, reading(running.address, "interval=2") as reader:
        await reader.next("snapshot")
        now_ms = running.pipeline.clock.now_ms()
        prices = [float(price) for price in range(1, 200)]

        async def feed() -> None:
            for price in prices:
                running.feed(mark("BTC/USDT", price, now_ms), mark("ETH/USDT", price, now_ms))
                await asyncio.sleep(0.02)

        feeding = asyncio.create_task(feed())
        seen: list[float] = []
        while not seen or seen[-1] != prices[-1]:
            known = (await reader.next("features")).data["prices"].get("BTC/USDT")
            seen += [known["price"]] if known else []
        await feeding
    assert len(seen) < len(prices) / 8
    assert seen == sorted(seen)


async def test_only_what_was_asked_for_is_sent(tmp_path: Path) -> None:
    async with (
        service(tmp_path) as running,
        reading(running.address, "interval=1&symbols=ETH/USDT") as reader,
    ):
        snapshot = await reader.next("snapshot")
        assert list(snapshot.data["features"]["packages"]) == ["ETH/USDT"]
        now_ms = running.pipeline.clock.now_ms()
        running.feed(
            mark("BTC/USDT", 1.0, now_ms), liquidation("BTC/USDT", now_ms), liquidation("ETH/USDT", now_ms)
        )
        running.feed(mark("ETH/USDT", 2.0, now_ms))
        tape = await reader.next("liquidation")
        assert [one["symbol"] for one in tape.data["liquidations"]] == ["ETH/USDT"]
        features = await reader.next("features")
        assert list(features.data["prices"]) == ["ETH/USDT"]
        wanted = [
            event(1, symbol="ETH/USDT"),
            event(2, symbol="ALL", kind=EventType.LIQUIDATION_CASCADE),
            event(3, symbol="database", kind=EventType.SYSTEM_DB_DOWN),
            msgspec.structs.replace(
                event(4, symbol="BTC/ETH", kind=EventType.CORRELATION_BREAK),
                data={"symbols": ["BTC/USDT", "ETH/USDT"]},
            ),
        ]
        await running.emit(event(0, symbol="BTC/USDT"), *wanted)
        assert await reader.events(4) == names(*wanted)


async def test_a_burst_of_liquidations_is_one_frame_that_says_what_it_leaves_out(tmp_path: Path) -> None:
    async with service(tmp_path) as running, reading(running.address) as reader:
        await reader.next("snapshot")
        now_ms = running.pipeline.clock.now_ms()
        running.feed(
            *(liquidation("BTC/USDT", now_ms - 500 + number, 10.0 + number) for number in range(500))
        )
        tape = (await reader.next("liquidation")).data
    assert (len(tape["liquidations"]), tape["omitted"]) == (200, 300)
    assert tape["liquidations"][-1]["quote_usd"] == 509.0


async def test_a_reader_that_comes_back_gets_exactly_what_it_missed(tmp_path: Path) -> None:
    made = [event(number) for number in range(600)]
    async with service(tmp_path) as running:
        async with reading(running.address) as reader:
            await reader.next("snapshot")
            await running.emit(*made[:3])
            seen = await reader.events(3)
        await joined(running, 0)
        await running.emit(*made[3:400])  # more than one page of storage
        async with reading(running.address, last_id=reader.id) as again:
            emitting = asyncio.create_task(running.emit(*made[400:500]))  # while it is catching up
            assert (await again.next("snapshot")).data["resume"] == "resumed"
            seen += await again.events(497)
            await emitting
            await running.emit(*made[500:])
            seen += await again.events(100)
    assert seen == names(*made)


async def test_a_restarted_server_goes_on_where_the_reader_was(tmp_path: Path) -> None:
    made = [event(number) for number in range(60)]
    seen: list[tuple[str, int]] = []
    last_id = ""
    for part in range(3):
        async with service(tmp_path, history=False) as running:
            if part:
                await running.emit(*made[part * 20 : part * 20 + 10])
            async with reading(running.address, last_id=last_id) as reader:
                await reader.next("snapshot")
                await running.emit(*made[part * 20 + (10 if part else 0) : part * 20 + 20])
                seen += await reader.events(20)
                last_id = reader.id
    assert seen == names(*made)


async def test_a_reader_that_saw_only_an_empty_stream_misses_nothing_either(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        async with reading(running.address) as reader:
            assert (await reader.next("snapshot")).id == "start"
        made = [event(1), event(2)]
        await running.emit(*made)
        async with reading(running.address, last_id="start") as reader:
            assert await reader.events(2) == names(*made)


@pytest.mark.parametrize("last_id", ["evt_unknown:0", "nonsense", ":::", "evt_x:-1", "evt_x:99999999999999"])
async def test_a_reader_whose_place_is_not_known_is_told_so(tmp_path: Path, last_id: str) -> None:
    async with service(tmp_path, history=False) as running:
        await running.emit(event(1))
        async with reading(running.address, last_id=last_id) as reader:
            snapshot = await reader.next("snapshot")
            assert snapshot.data["resume"] == "lost"
            made = event(2)
            await running.emit(made)
            assert await reader.events(1) == names(made)


async def test_a_sign_of_life_comes_when_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "HEARTBEAT_S", 0.2)
    async with service(tmp_path, history=False) as running, reading(running.address) as reader:
        await reader.next("snapshot")
        comments = 0
        while comments < 3:
            comments += (await reader.frame()).comment


async def test_the_server_says_goodbye_and_ends_the_stream_cleanly(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        client = aiohttp.ClientSession(running.address)
        answer = await client.get("/api/stream")
        reader = Reader(answer)
        await reader.next("snapshot")
    while (last := await reader.next("status")).data["state"] != "closing":
        pass
    assert last.data["state"] == "closing"
    assert [frame.retry for frame in reader.frames if frame.retry] == [2000, 2000]
    with pytest.raises(EOFError):
        await reader.frame()
    await client.close()


async def test_after_a_goodbye_readers_come_back_one_after_the_other(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        client = aiohttp.ClientSession(running.address)
        readers = [Reader(await client.get("/api/stream")) for _ in range(3)]
        for reader in readers:
            await reader.next("snapshot")
    hints = []
    for reader in readers:
        while not (hint := (await reader.frame()).retry):
            pass
        hints.append(hint)
    assert sorted(hints) == [2000, 2010, 2020]
    await client.close()


async def test_readers_that_come_at_any_moment_get_every_later_event_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "TURN_CLIENTS", 1)  # others come and go in the middle of every round
    made = [event(number, symbol=("BTC/USDT", "ETH/USDT")[number % 2]) for number in range(300)]
    places = {f"{each.id}:0": number for number, each in enumerate(made)} | {"start": -1}

    async def follow(after: int) -> None:
        await told(running, after)
        async with reading(running.address) as reader:
            first = places[(await reader.next("snapshot")).id]
            assert await reader.events(len(made) - 1 - first) == names(*made[first + 1 :])

    async def again(after: int) -> None:
        await told(running, after)
        async with reading(running.address, last_id=f"{made[0].id}:0") as reader:
            assert await reader.events(len(made) - 1) == names(*made[1:])

    async with service(tmp_path, history=False) as running:
        await running.emit(made[0])
        following = [asyncio.create_task(follow(number)) for number in range(0, 280, 20)]
        following += [asyncio.create_task(again(number)) for number in range(10, 280, 30)]
        for start in range(1, len(made), 7):
            await running.emit(*made[start : start + 7])
        await asyncio.gather(*following)
        await joined(running, 0)
        assert not running.server.hub._channels


async def test_what_storage_tells_before_the_program_does_comes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [event(number) for number in range(5)]
    async with service(tmp_path, history=False) as running:
        hub = running.server.hub
        await running.emit(made[0])
        late: list[EventBody] = []
        with monkeypatch.context() as held:
            held.setattr(hub, "wrote", late.extend)
            await running.emit(*made[1:4])
        async with reading(running.address, last_id=f"{made[0].id}:0") as reader:
            assert await reader.events(3) == names(*made[1:4])
            for each in late:
                hub.wrote([each])
                await hub.serve()
            await running.emit(made[4])
            assert await reader.events(1) == names(made[4])


def stalled(running: Service, query: str = "interval=1") -> socket.socket:
    """A reader that asks and then reads nothing; its own buffer is small, so that the server notices."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.connect(("127.0.0.1", running.port))
    raw.sendall(f"GET /api/stream?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return raw


async def test_a_slow_reader_loses_no_event_costs_little_and_is_told(tmp_path: Path) -> None:
    made = [event(number, title="x" * 900) for number in range(1500)]
    async with service(tmp_path, history=False) as running, reading(running.address) as quick:
        hub = running.server.hub
        raw = stalled(running)
        await joined(running, 2)
        for start in range(0, 1500, 100):
            await running.emit(*made[start : start + 100])
            running.feed(mark("BTC/USDT", 1.0 + start, running.pipeline.clock.now_ms()))
        # Others are not held up.
        await quick.next("snapshot")
        assert await quick.events(1500) == names(*made)
        (slow,) = [client for client in hub._clients if client.behind_since is not None]
        while not slow.conflated:
            running.feed(mark("BTC/USDT", 2.0, running.pipeline.clock.now_ms()))
            await asyncio.sleep(0.05)
        assert slow._transport.get_write_buffer_size() < 2 * FULL_BYTES
        taken = await asyncio.get_running_loop().run_in_executor(None, _drain, raw, made[-1].id)
    assert taken.count(b"event: event\n") == 1500
    places = [taken.index(f"id: {each.id}:0\n".encode()) for each in made]
    assert places == sorted(places)
    told = [
        msgspec.json.decode(line.removeprefix(b"data: "))
        for line in taken.splitlines()
        if line.startswith(b'data: {"state"')
    ]
    assert any(status["conflated"] > 0 and status["delayed_events"] > 0 for status in told)


def _drain(raw: socket.socket, until: str) -> bytes:
    """Everything up to an id and a little more, with the chunk framing taken out."""
    raw.settimeout(10)
    taken = b""
    while until.encode() + b":0" not in taken[-8_000:]:
        taken += raw.recv(65_536)
    raw.settimeout(1)
    try:
        while more := raw.recv(65_536):
            taken += more
    except TimeoutError:
        pass
    raw.close()
    body, found = taken.partition(b"\r\n\r\n")[2], b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        found += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return found


async def test_a_reader_that_takes_nothing_for_long_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "STUCK_S", 0.5)
    async with service(tmp_path, history=False) as running:
        raw = stalled(running)
        await joined(running)
        for _ in range(5):
            await running.emit(*(event(number, title="x" * 2000) for number in range(200)))
        async with asyncio.timeout(10):
            await joined(running, 0)
        assert running.server.hub.counts.stuck == 1
        raw.close()


async def test_fifty_stalled_readers_hold_nobody_up(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        raws = [stalled(running) for _ in range(50)]
        await joined(running, 50)
        async with reading(running.address) as quick:
            await quick.next("snapshot")
            for number in range(300):
                await running.emit(event(number, title="x" * 900))
            assert len(await quick.events(300)) == 300
        for raw in raws:
            raw.close()


async def test_readers_that_went_away_are_forgotten(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        for _ in range(3):
            async with reading(running.address) as reader:
                await reader.next("snapshot")
        async with asyncio.timeout(10):
            await joined(running, 0)
        assert not running.server.hub._channels


async def test_more_streams_than_allowed_are_asked_to_come_later(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web={"max_streams": 1}) as running:
        async with reading(running.address) as reader:
            await reader.next("snapshot")
            status, told, headers = await running.get("/api/stream")
        assert (status, headers["Retry-After"]) == (503, "10")
        assert "too many" in told["detail"]


async def test_a_stream_before_the_engine_says_that_the_program_starts(tmp_path: Path) -> None:
    async with service(tmp_path, live=False) as running, reading(running.address) as reader:
        snapshot = await reader.next("snapshot")
    assert snapshot.data["status"]["state"] == "starting"
    assert snapshot.data["features"]["packages"] == {}


async def test_while_the_database_is_away_readers_wait_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "RETRY_S", 0.05)
    monkeypatch.setattr(hub_module, "BEGIN_S", 0.05)
    async with service(tmp_path, history=False) as running:
        await running.emit(event(1))
        storage = running.alerts.storage
        plain, away = storage.states_after, [True]

        async def states_after(event_id: str, revision: int, *, limit: int) -> object:
            if away[0]:
                raise StorageError("the database is away")
            return await plain(event_id, revision, limit=limit)

        monkeypatch.setattr(storage, "states_after", states_after)
        made = event(2)
        await running.emit(made)
        async with reading(running.address, last_id=f"{event(1).id}:0") as reader:
            snapshot = await reader.next("snapshot")  # at once, what is known now
            assert snapshot.data["resume"] == "resumed"
            later = event(3)
            await running.emit(later)
            away[0] = False
            assert await reader.events(2) == names(made, later)


async def test_a_place_that_turns_out_to_be_unknown_later_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "BEGIN_S", 0.05)
    async with service(tmp_path, history=False) as running:
        storage, answering = running.alerts.storage, asyncio.Event()

        async def states_after(_id: str, _revision: int, *, limit: int) -> None:
            await answering.wait()

        monkeypatch.setattr(storage, "states_after", states_after)
        async with reading(running.address, last_id="evt_gone:3") as reader:
            assert (await reader.next("snapshot")).data["resume"] == "resumed"
            made = event(1)
            await running.emit(made)
            answering.set()
            again = await reader.next("snapshot")
            assert (again.data["resume"], again.id) == ("lost", f"{made.id}:0")
            later = event(2)
            await running.emit(later)
            assert await reader.events(1) == names(later)

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from regimes.commands.load_test import viewers as module
from regimes.commands.load_test.children import Child, child
from regimes.commands.load_test.viewers import Heard, Mark, Viewers, request
from tests.web.service import Service, event, liquidation, mark, service

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def frame(name: str, data: str) -> bytes:
    body = f"event: {name}\ndata: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(body), body)


def heard(pieces: Sequence[bytes], wanted: Mark) -> Heard:
    """What one viewer makes of these pieces, each received by itself."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        served: list[socket.socket] = []

        def answer() -> None:
            served.append(door.accept()[0])
            served[0].sendall(HEAD)

        answering = threading.Thread(target=answer)
        answering.start()
        viewers = Viewers(door.getsockname(), request("x", "/"), wanted)
        viewers.connect(1)
        answering.join()
        (number,) = viewers._sockets
        with closing(served[0]), closing(viewers):
            for piece in pieces:
                served[0].sendall(piece)
                viewers._sockets[number].setblocking(True)
                taken = 0
                while taken < len(piece):
                    before = viewers._bytes
                    viewers._read(number)
                    taken += viewers._bytes - before
            return viewers.heard()


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_frames_are_counted_however_they_are_cut(size: int) -> None:
    stream = b"".join(
        [frame("event", f'{{"n": {number}, "ts_ms":5}}') for number in range(5)]
        + [b"3\r\n:\n\n\r\n", frame("features", "{}"), frame("liquidation", '{"ts_ms":1,"x":{"ts_ms":1000}}')]
    )
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    told = heard(pieces, Mark("ts_ms", 1_000, frame="liquidation"))
    assert (told.frames, told.events, told.bytes) == (7, 5, len(stream))
    assert len(told.late_ms) == 1
    assert told.late_ms[0] == pytest.approx(Mark("ts_ms", 1_000).now() - 1000, abs=60_000)


def test_a_very_long_frame_is_counted_once_and_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 1_000)
    long = frame("features", "x" * 50_000)
    pieces = [long[start : start + 300] for start in range(0, len(long), 300)]
    told = heard([*pieces, frame("event", "{}")], Mark("ts_ms", 1_000))
    assert (told.frames, told.events, told.late_ms) == (2, 1, [])


async def readers(process: Child, events: int) -> Heard:
    told = await process.ask(None, Heard)
    async with asyncio.timeout(20):
        while told.events < events:
            told = told.plus(await process.ask(None, Heard))
    return told


def arguments(running: Service, count: int, *options: str) -> list[str]:
    return ["127.0.0.1", str(running.port), "/api/stream?interval=1", str(count), *options]


async def test_viewers_of_a_real_stream_miss_nothing_and_say_how_late_it_was(tmp_path: Path) -> None:
    module_name = "regimes.commands.load_test.viewers"
    async with service(tmp_path, history=False) as running:
        async with child(module_name, *arguments(running, 30, "--frame", "liquidation")) as process:
            process.tell("")
            assert await process.hear(int) == 30
            await running.emit(*(event(number) for number in range(20)))
            now_ms = running.pipeline.clock.now_ms()
            running.feed(liquidation("BTC/USDT", now_ms), mark("BTC/USDT", 1.0, now_ms))
            told = await readers(process, 600)
            while len(told.late_ms) < 30:
                told = told.plus(await process.ask(None, Heard))
        assert (told.open, told.events, len(told.late_ms)) == (30, 600, 30)
        assert all(0 <= late_ms < 10_000 for late_ms in told.late_ms)


async def test_stuck_viewers_ask_and_read_nothing(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        module_name = "regimes.commands.load_test.viewers"
        async with child(module_name, *arguments(running, 2, "--stuck", "3")) as process:
            process.tell("")
            await process.hear(int)
            async with asyncio.timeout(10):
                while running.server.hub.clients < 5:  # noqa: ASYNC110  # set by the server's own loop
                    await asyncio.sleep(0.01)
            await running.emit(event(1))
            assert (await readers(process, 2)).open == 2


async def test_viewers_that_are_refused_say_so(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web={"max_streams": 1}) as running:
        module_name = "regimes.commands.load_test.viewers"
        async with child(module_name, *arguments(running, 5)) as process:
            process.tell("")
            with pytest.raises(RuntimeError, match="has ended with code 1"):
                await process.hear(int)

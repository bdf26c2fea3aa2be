"""Many readers of an event stream in one cheap process: plain sockets, one epoll, nothing decoded.

`python -m regimes.commands.load_test.viewers HOST PORT PATH COUNT` connects, says how many are, and answers each line on
standard input with what came since the last one. Linux only.
"""

import argparse
import re
import select
import socket
import sys
from array import array
from typing import Final

import msgspec

from regimes.clock import SystemClock
from regimes.commands.load_test.children import say
from regimes.commands.running import allow_open_files

TOGETHER: Final = 100
"""How many connect at once, so that nobody's place in the server's queue is dropped."""
PATIENCE_S: Final = 30.0
END: Final = b"\n\n"
DATA: Final = b"\ndata: "
EVENT: Final = b"event: event\n"
LONGEST: Final = 131_072
SMALL_BUFFER: Final = 4_096
_real = SystemClock()
_READ: Final = 262_144
_AT_ONCE: Final = 1_024
_NAME_WITHIN: Final = 200
"""Bytes from the end of one frame in which the name of the next stands."""
_DIGITS: Final = re.compile(rb"[0-9]{1,20}")


class Mark(msgspec.Struct, frozen=True):
    """What in a frame tells when it was made: `name` as JSON key, its value in ticks of a clock.

    frame: only in frames of this name, any if empty.
    """

    name: str
    per_second: int
    monotonic: bool = False
    frame: str = ""

    def now(self) -> int:
        """The same clock now."""
        if self.monotonic:
            return int(_real.monotonic() * self.per_second)
        return _real.now_ms() * self.per_second // 1_000


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What came since the last answer. open: viewers still connected. late_ms: of each frame that has the mark."""

    open: int
    bytes: int
    frames: int
    events: int
    late_ms: list[float]

    def plus(self, later: "Heard") -> "Heard":
        """This and what came after it."""
        return Heard(
            open=later.open,
            bytes=self.bytes + later.bytes,
            frames=self.frames + later.frames,
            events=self.events + later.events,
            late_ms=[*self.late_ms, *later.late_ms],
        )


class Viewers:
    """Readers by file descriptor. Stuck ones ask, and then read nothing, with a small buffer of their own."""

    def __init__(self, address: tuple[str, int], request: bytes, mark: Mark) -> None:
        self._address = address
        self._request = request
        self._mark = mark
        self._key = f'"{mark.name}":'.encode()
        self._name = f"event: {mark.frame}\n".encode() if mark.frame else b""
        self._sockets: dict[int, socket.socket] = {}
        self._stuck: list[socket.socket] = []
        self._begun: dict[int, bytes] = {}
        self._poll = select.epoll()
        self._buffer = bytearray(_READ)
        self._view = memoryview(self._buffer)
        self._bytes = self._frames = self._events = 0
        self._late = array("d")

    def connect(self, count: int, stuck: int = 0) -> None:
        """Connect so many, some at a time, each until its answer begins, and the stuck ones besides. Raises TimeoutError, OSError."""
        self._stuck += [self._asked(small=True) for _ in range(stuck)]
        left = count
        while left > 0:
            some = [self._asked() for _ in range(min(TOGETHER, left))]
            left -= len(some)
            for each in some:
                if not each.recv(_AT_ONCE).startswith(b"HTTP/1.1 200"):
                    raise OSError(f"{self._address[0]}:{self._address[1]} did not answer with a stream")
                each.setblocking(False)
                self._sockets[each.fileno()] = each
                self._poll.register(each.fileno(), select.EPOLLIN)

    def _asked(self, *, small: bool = False) -> socket.socket:
        each = socket.socket(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET)
        if small:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        each.settimeout(PATIENCE_S)
        each.connect(self._address)
        each.sendall(self._request)
        return each

    def serve(self) -> None:
        """Read until standard input ends; a line there asks for what came."""
        asked = sys.stdin.fileno()
        self._poll.register(asked, select.EPOLLIN)
        while True:
            for number, _ in self._poll.poll(-1, _AT_ONCE):
                if number != asked:
                    self._read(number)
                elif sys.stdin.buffer.readline():
                    say(self.heard())
                else:
                    return

    def close(self) -> None:
        """Leave."""
        for each in [*self._sockets.values(), *self._stuck]:
            each.close()
        self._poll.close()

    def heard(self) -> Heard:
        """What came since the last call."""
        told = Heard(
            open=len(self._sockets),
            bytes=self._bytes,
            frames=self._frames,
            events=self._events,
            late_ms=self._late.tolist(),
        )
        self._bytes = self._frames = self._events = 0
        self._late = array("d")
        return told

    def _read(self, number: int) -> None:
        try:
            taken = self._sockets[number].recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            taken = 0
        if not taken:
            self._poll.unregister(number)
            self._sockets.pop(number).close()
            return
        self._bytes += taken
        whole = self._begun.pop(number, b"") + self._view[:taken]
        end = whole.rfind(END)
        if end < 0 or len(whole) - end > len(END) + 2:  # more than the end of a chunk
            if end < 0 and len(whole) <= LONGEST:
                self._begun[number] = whole
                return
            # Of a very long frame only the beginning is looked at.
            cut = end + len(END) if end >= 0 else len(whole) - len(END)
            self._begun[number] = whole[cut:]
            whole = whole[:cut]
        self._count(whole)

    def _count(self, taken: bytes) -> None:
        frames = taken.count(DATA)
        self._frames += frames
        self._events += taken.count(EVENT)
        now, scale = self._mark.now(), 1_000 / self._mark.per_second
        for frame in taken.split(END) if frames > 1 else (taken,):
            made = self._made(frame)
            if made is not None:
                self._late.append((now - made) * scale)

    def _made(self, frame: bytes) -> int | None:
        """The newest mark of a frame; None where it has none."""
        if self._name and frame.find(self._name, 0, _NAME_WITHIN) < 0:
            return None
        place = frame.rfind(self._key)
        if place < 0:
            return None
        digits = _DIGITS.match(frame, place + len(self._key))
        return None if digits is None else int(digits[0])


def request(host: str, path: str, token: str = "") -> bytes:
    """What a viewer sends."""
    access = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{access}\r\n".encode()


def main() -> None:
    """Connect, say so, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("count", type=int)
    parser.add_argument("--stuck", type=int, default=0)
    parser.add_argument("--mark", default="ts_ms")
    parser.add_argument("--per-second", type=int, default=1_000)
    parser.add_argument("--frame", default="")
    parser.add_argument("--monotonic", action="store_true")
    given = parser.parse_args()
    allow_open_files()
    # The token comes by standard input: arguments can be seen by everybody on the machine.
    token = msgspec.json.decode(sys.stdin.buffer.readline(), type=str)
    viewers = Viewers(
        (given.host, given.port),
        request(given.host, given.path, token),
        Mark(given.mark, given.per_second, given.monotonic, given.frame),
    )
    viewers.connect(given.count, given.stuck)
    say(given.count)
    viewers.serve()
    viewers.close()


if __name__ == "__main__":
    main()

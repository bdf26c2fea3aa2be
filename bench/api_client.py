"""Keep-alive clients in one cheap process, each asking again as soon as it was answered: `python -m bench.api_client PORT PATH COUNT`.

Each line on standard input is for how many seconds; the answer is how long each request took.
"""

import select
import socket
import sys
import time
from array import array
from typing import Annotated, Final

import msgspec
import typer

from regimes.commands.load_test.children import say

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_READ: Final = 262_144


class Took(msgspec.Struct, frozen=True):
    """Milliseconds of each request, over how many seconds, and how many answers were no 200."""

    ms: list[float]
    seconds: float
    failed: int


class Client:
    """One connection. `ask`, then `read` until it says how long it took."""

    def __init__(self, port: int, request: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._taken = b""
        self._length = 0
        self._asked_s = 0.0
        self.number = self._socket.fileno()
        self.failed = 0

    def ask(self) -> None:
        """Send the request."""
        self._taken, self._length = b"", 0
        self._asked_s = time.perf_counter()
        self._socket.send(self._request)

    def read(self) -> float | None:
        """Milliseconds once the answer is whole; None before. Raises ConnectionError when the server has gone."""
        more = self._socket.recv(_READ)
        if not more:
            raise ConnectionError("the server closed a connection")
        self._taken += more
        if not self._length:
            end = self._taken.find(_HEAD_END)
            if end < 0:
                return None
            head = self._taken[:end].lower()
            self.failed += not head.startswith(b"http/1.1 200")
            (length,) = (line for line in head.split(b"\r\n") if line.startswith(_LENGTH))
            self._length = end + len(_HEAD_END) + int(length[len(_LENGTH) :])
        return None if len(self._taken) < self._length else 1e3 * (time.perf_counter() - self._asked_s)


def run(clients: list[Client], seconds: float) -> Took:
    """All ask, again and again."""
    poll, by_number, ms = select.epoll(), {client.number: client for client in clients}, array("d")
    began_s = time.perf_counter()
    for client in clients:
        poll.register(client.number, select.EPOLLIN)
        client.ask()
    waiting = len(clients)
    while waiting:
        for number, _ in poll.poll(-1, len(clients)):
            took = by_number[number].read()
            if took is not None:
                ms.append(took)
                if time.perf_counter() - began_s < seconds:
                    by_number[number].ask()
                else:
                    waiting -= 1
    poll.close()
    return Took(ms.tolist(), time.perf_counter() - began_s, sum(client.failed for client in clients))


def main(
    port: Annotated[int, typer.Argument(help="Of the server.")],
    path: Annotated[str, typer.Argument(help="What to ask for.")],
    count: Annotated[int, typer.Argument(help="Connections.")],
) -> None:
    """Serve until standard input ends."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
    clients = [Client(port, request) for _ in range(count)]
    say(count)
    while line := sys.stdin.buffer.readline():
        say(run(clients, msgspec.json.decode(line, type=float)))


if __name__ == "__main__":
    typer.run(main)

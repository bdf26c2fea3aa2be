"""The real service, the loopback exchange and a webhook receiver, each as its own process or thread."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent.parent
STARTS_WITHIN_S = 180.0
LOOK_S = 0.05
# Enough that each test that wants a new cascade has a symbol of its own.
SYMBOLS = tuple(
    f"{base}/USDT"
    for base in ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "LTC", "AVAX", "DOT", "UNI")
)
_PORTS = iter(range(20_000 + os.getpid() % 5_000, 32_000))


def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection takes it between two starts."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port below 32000")


def until(holds: Callable[[], Any], what: str, timeout_s: float = STARTS_WITHIN_S) -> Any:
    """Look until `holds()` is true and answer it; fail with `what` after a while."""
    end = time.monotonic() + timeout_s
    while not (answer := holds()):
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(LOOK_S)
    return answer


def ask(
    url: str, body: Any = None, method: str | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    """GET, or POST a JSON body; the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, sent, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # loopback only
        return json.load(answer)


class Process:
    """`python -m MODULE ...` with its output in a file."""

    def __init__(self, folder: Path, name: str, *arguments: str, **variables: str) -> None:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("REGIMES", "WEBHOOK", "LOG_", "DB_"))
        }
        self.log = folder / f"{name}.log"
        self._output = self.log.open("ab")
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), "HOME": str(folder), **variables},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait; kill what does not obey."""
        self._process.send_signal(number)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    @property
    def said(self) -> str:
        """Everything it wrote."""
        return self.log.read_text(errors="replace")

    def assert_alive(self) -> None:
        """Fail with its last words when it has ended."""
        assert self._process.poll() is None, f"ended by itself:\n{self.said[-3000:]}"


class Exchange:
    """The loopback exchange in real time, as its own process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._process = Process(
            folder, "exchange", "regimes.feeds.simulator", "--port", str(port), "--scenario", "calm",
            "--symbols", ",".join(SYMBOLS), *arguments,
        )  # fmt: skip
        until(lambda: self.url in self._process.said, "the exchange listens")

    def fault(self, name: str, **arguments: Any) -> Any:
        """Make something go wrong, or a burst of liquidations happen."""
        return ask(f"{self.url}/control/faults", {"fault": name, **arguments})["result"]

    def liquidate(self, symbol_id: str, usd: float, *, price: float = 100.0, side: str = "SELL") -> None:
        """Publish one forced order of this size. A SELL closes a long."""
        now_ms = time.time_ns() // 1_000_000
        order = {
            "s": symbol_id, "S": side, "o": "LIMIT", "f": "IOC", "q": f"{usd / price:.6f}", "p": f"{price}",
            "ap": f"{price}", "X": "FILLED", "l": f"{usd / price:.6f}", "z": f"{usd / price:.6f}", "T": now_ms,
        }  # fmt: skip
        payload = json.dumps({"e": "forceOrder", "E": now_ms, "o": order})
        until(
            lambda: self.fault("inject", venue="usdm", stream="!forceOrder@arr", payload=payload),
            "somebody reads liquidations",
        )

    def end(self) -> None:
        """Stop it."""
        self._process.end()


class Receiver:
    """An endpoint that answers what it is told to, and keeps what it got."""

    def __init__(self) -> None:
        receiver = self
        self.status = 200
        self.bodies: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                receiver.bodies.append(json.loads(self.rfile.read(length) or b"{}"))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class Cable:
    """A TCP line between browser and service that can be cut and mended."""

    def __init__(self, service_url: str) -> None:
        self._to = ("127.0.0.1", int(service_url.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: set[socket.socket] = set()
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        self._is_cut = True
        for end in [*self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def end(self) -> None:
        """Stop for good."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._to)
                self._ends |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._ends.discard(end)


class Service:
    """`regimes run` against the exchange; can be killed and started again on the same port and database."""

    def __init__(self, folder: Path, exchange: Exchange, **variables: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._folder = folder
        self._variables = {
            "REGIMES__VENUES__SPOT_URL": exchange.url,
            "REGIMES__VENUES__DERIVATIVES_URL": exchange.url,
            "REGIMES__WEB__PORT": str(port),
            "REGIMES__ALERTING__COOLDOWN_MINUTES": "0",
            "REGIMES__ALERTING__BURST_COUNT": "1000",
            "REGIMES__DELIVERY__ALLOW_CIDRS": "127.0.0.0/8",
            "REGIMES__PIPELINE__INTERVAL_SECONDS": "1",
            "REGIMES__SYMBOLS": ",".join(SYMBOLS),
            **variables,
        }
        self._process: Process | None = None

    def start(self, *, wait: bool = True) -> Self:
        """Start the process; `wait`: until the history is in."""
        self._process = Process(self._folder, "service", "regimes", "run", **self._variables)
        if wait:
            until(self.is_live, "the service is live")
        return self

    def is_live(self) -> bool:
        """Whether readings are there and all streams are connected."""
        assert self._process is not None
        self._process.assert_alive()
        try:
            return bool(self.get("/api/status")["state"] == "live")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def answers(self) -> bool:
        """Whether the web server listens."""
        try:
            return bool(self.text("/healthz"))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def get(self, path: str) -> Any:
        """Ask the API."""
        return ask(f"{self.url}{path}")

    def text(self, path: str) -> str:
        """Ask for what is not JSON."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:  # noqa: S310  # loopback only
            return str(answer.read().decode())

    def all_events(self) -> list[dict[str, Any]]:
        """Every episode that is stored, newest first."""
        events: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/api/events?limit=500{cursor}")
            events += page["events"]
            if page["cursor"] is None:
                return events
            cursor = f"&cursor={page['cursor']}"

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, or kill it."""
        if self._process is not None:
            self._process.end(number)
            self._process = None

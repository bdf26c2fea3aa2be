"""`python -m tests.chaos.twisted run`: the service on a machine whose clock somebody sets and whose names lead nowhere.

A file says how, by the variable `TWIST`. Names that end in `.test` lead to this machine while they are not lost.
"""

import os
import runpy
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

FILE: Final = "TWIST"


class Twist(msgspec.Struct, frozen=True):
    """ahead_s: how far the machine's clock is ahead of the true time. lost: names that are not found."""

    ahead_s: int = 0
    lost: frozenset[str] = frozenset()

    def put(self, file: Path) -> None:
        """Let it be so from now on."""
        part = file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(self))
        part.rename(file)


def main() -> None:
    """Bend the machine, then be the service."""
    file = Path(os.environ[FILE])
    seconds, nanoseconds, found = time.time, time.time_ns, socket.getaddrinfo

    def twist() -> Twist:
        return msgspec.json.decode(file.read_bytes(), type=Twist)

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in twist().lost:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        is_ours = isinstance(name, str) and name.endswith(".test")
        return found("127.0.0.1" if is_ours else host, *rest, **more)

    time.time = lambda: seconds() + twist().ahead_s
    time.time_ns = lambda: nanoseconds() + twist().ahead_s * 10**9
    socket.getaddrinfo = look_up
    # It looks names up and tells the time past Python.
    sys.modules["uvloop"] = None  # type: ignore[assignment]
    sys.argv = ["regimes", *sys.argv[1:]]
    runpy.run_module("regimes", run_name="__main__")


if __name__ == "__main__":
    main()

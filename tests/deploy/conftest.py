"""The private database server of the storage tests, and the folders of the project."""

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from tests.storage.conftest import postgres_server

__all__ = ["DEPLOY", "ROOT", "free_ports", "postgres_server"]
ROOT: Final = Path(__file__).parent.parent.parent
DEPLOY: Final = ROOT / "config" / "deploy"


def free_ports(count: int) -> list[int]:
    """Different ports below those that the system gives out by itself, drawn so that other tests have others."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = random.randrange(20_000, 30_000)
            with suppress(OSError):
                tried = held.enter_context(socket.socket())
                tried.bind(("127.0.0.1", port))
                found.append(port)
    return found

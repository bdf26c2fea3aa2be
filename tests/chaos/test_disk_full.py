"""The disk under the database is full: people are told at once, the service lives on, and nothing is lost.

A small tmpfs where this user may mount one, and a limit on the size of its files everywhere.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from tests.chaos import books, world
from tests.chaos.nursery import Child

BEFORE, DURING, LATER, AFTER = world.alike(4)
SYMBOLS = ("BTC/USDT", BEFORE, DURING, LATER, AFTER)
ROOM_BYTES = 32 * 2**20


class Disk(Protocol):
    folder: Path

    def fill(self, process: Child) -> None: ...

    def free(self, process: Child) -> None: ...


class LimitedFiles:
    """No file of the process may grow beyond what the database has now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, process: Child) -> None:
        self._limit(process, 4096)

    def free(self, process: Child) -> None:
        self._limit(process, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(process: Child, size: int) -> None:
        psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class SmallDisk:
    """A file system in memory, and a file that takes all that is left of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, process: Child) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 65536):
                    pass
            except OSError:
                return

    def free(self, process: Child) -> None:
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "none", folder], check=True)  # noqa: S603, S607
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", folder], check=True)  # noqa: S603, S607


def may_mount() -> bool:
    """Whether this user can make file systems."""
    attempt = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return os.geteuid() == 0 and not subprocess.run(attempt, check=False, capture_output=True).returncode  # noqa: S603


@pytest.fixture(params=["limit", *(["tmpfs"] if may_mount() else [])])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit":
        yield LimitedFiles(folder)
    else:
        with small_disk(folder) as small:
            yield small


async def test_a_full_disk_is_told_at_once_and_what_waited_is_stored_and_sent_when_there_is_room(
    disk: Disk, tmp_path: Path
) -> None:
    url = f"sqlite:///{disk.folder}/service.db"
    async with world.exchange(SYMBOLS) as market, world.receivers(1) as hooks:
        (hook,) = hooks
        variables = world.variables(
            market,
            SYMBOLS,
            hooks,
            url,
            REGIMES__ADMIN__DISK_FREE_MB="0",
            REGIMES__DELIVERY__TIMEOUT_SECONDS="3",
        )
        async with world.service(tmp_path, variables) as service:
            await service.is_live()
            await market.strike(BEFORE)
            await hook.hears(symbol=BEFORE, revision=2)
            disk.fill(service.process)
            await market.strike(DURING)
            told = await hook.hears(event_type="SYSTEM_DISK_LOW", symbol="storage")
            assert told["severity"] == "CRITICAL"
            assert "disk" in told["why"]
            await market.strike(LATER)
            await service.says("market_event", symbol=LATER)
            assert not [body for body in hook.told if body["symbol"] in {DURING, LATER}]
            disk.free(service.process)
            await hook.hears(symbol=DURING, revision=2)
            await hook.hears(symbol=LATER, revision=2)
            await market.strike(AFTER)
            await hook.hears(symbol=AFTER, revision=2)
            assert service.process.returncode is None
            assert await service.stop() == 0
        emergency = [name for name in hook.bodies if name.startswith(told["id"])]
        for name in emergency:
            # It went past the database, which could not take it.
            del hook.bodies[name]
        async with books.opened(url) as storage:
            found = await books.read(storage)
    books.check(found, hooks, ("http-all-1",))
    books.check_doubles(found, hooks)
    struck = [BEFORE, DURING, LATER, AFTER]
    assert books.check_strikes(found, struck) == len(struck)
    assert len(emergency) == 1

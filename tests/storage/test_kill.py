"""The process is killed as a power cut would: what was acknowledged is there, and nothing is there by halves.

REGIMES_KILLS sets how often, 10 where it is not set.
"""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from regimes.clock import ScaledClock
from regimes.storage import spool
from regimes.storage.base import Storage
from regimes.storage.factory import storage_for
from regimes.storage.failover import FailoverStorage
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage

from .conftest import NOBODY_THERE
from .postgres_server import PrivatePostgres
from .samples import LEASE_MS, NOW_MS, event
from .writer_process import step

KILLS = int(os.environ.get("REGIMES_KILLS", "10"))
ROOT = Path(__file__).parent.parent.parent


@asynccontextmanager
async def writer(url: str, spool_file: Path, first: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that writes; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.storage.writer_process", url, str(spool_file), str(first),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def last_acknowledged(process: asyncio.subprocess.Process, after_lines: int) -> int:
    """Kill it when it has printed so many lines, wherever it then is; the last number it could print."""
    assert process.stdout is not None
    last = -1
    for _ in range(after_lines):
        last = int(await asyncio.wait_for(process.stdout.readline(), 30))
    process.kill()
    rest = (await process.stdout.read()).splitlines(keepends=True)
    whole = [int(line) for line in rest if line.endswith(b"\n")]
    return whole[-1] if whole else last


async def written(storage: Storage) -> int:
    """How many steps are there, once each, in order, whole."""
    stored = await storage.deliveries(event_id=None, status=None, limit=100_000)
    count = len(stored)
    assert sorted(d.id for d in stored) == [f"d{n:06}" for n in range(count)]
    states = await storage.states_after(event().id, 0, limit=100_000) or []
    assert [state.revision for state in states] == list(range(1, count))
    assert await storage.load_state() == ({"n": b"%d" % (count - 1)} if count else {})
    return count


@pytest.mark.timeout(60 + 10 * KILLS)
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "spool"])
async def test_what_was_acknowledged_survives_being_killed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, clock: ScaledClock
) -> None:
    chance = random.Random(kind)
    url = {"sqlite": f"sqlite:///{tmp_path}/local.db", "spool": NOBODY_THERE}.get(kind)
    if url is None:
        server: PrivatePostgres = request.getfixturevalue("postgres_server")
        url = await server.new_place()
    count = 0
    for _ in range(KILLS):
        async with writer(url, tmp_path / "spool.db", count) as process:
            acknowledged = await last_acknowledged(process, chance.randint(1, 60))
        storage = storage_for(url, clock=clock, spool=tmp_path / "spool.db")
        await storage.open()
        count = await written(storage)
        assert count > acknowledged
        await storage.close()


async def test_flowing_back_survives_being_killed_again_and_again(
    postgres_server: PrivatePostgres, tmp_path: Path, clock: ScaledClock
) -> None:
    spool_file = tmp_path / "spool.db"
    away = FailoverStorage(PostgresStorage(NOBODY_THERE), SqliteStorage(spool_file), clock)
    await away.open()
    total = 12 * spool.BATCH
    await asyncio.gather(*(away.commit(step(n)) for n in range(total)))
    taken = await away.claim("chat", now_ms=NOW_MS + total, lease_ms=LEASE_MS, limit=100)
    spool_id = away._spool_id
    await away.close()

    url = await postgres_server.new_place()
    server = PostgresStorage(url)
    await server.open()
    for kill in range(1, 6):
        async with writer(url, spool_file, total) as process:
            # Somewhere inside a later batch than the last time.
            while (
                await server.read(lambda session: spool.progress(session, spool_id)) < kill * 2 * spool.BATCH
            ):
                assert process.returncode is None
                await asyncio.sleep(0.001)
            process.kill()
    await server.close()

    storage = storage_for(url, clock=clock, spool=spool_file)
    await storage.open()
    assert isinstance(storage, FailoverStorage)
    assert storage.down_since_ms is None
    assert await written(storage) >= total
    leased = {d.id for d in taken}
    due = await storage.claim("chat", now_ms=NOW_MS + total, lease_ms=LEASE_MS, limit=100_000)
    assert not leased & {d.id for d in due}
    await storage.close()

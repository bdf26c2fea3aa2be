"""The event stream to 100, 1,000 and 10,000 readers: CPU a delivery, delay, memory a reader, and readers that stop reading.

Servers take turns; each has readers of its own in a process of its own, the same program for all. CPU is that of the
server's process as the kernel counts it, publishing included.
"""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import psutil

from bench.report import Aim, Report, Result
from bench.sse_peers import BARE, NCHAN, OURS, Server, bare, missing, nchan, ours
from regimes.commands.load_test.children import Child, child
from regimes.commands.load_test.viewers import Heard
from regimes.commands.running import allow_open_files, run_to_end

SIZES: Final = (100, 1_000, 10_000)
FRAME_BYTES: Final = 2_048
PER_SECOND: Final = 10
ROUNDS: Final = 3
SECONDS: Final = 3
FULL_SECONDS: Final = 10
STUCK: Final = 200
STUCK_SECONDS: Final = 20
AIMS: Final = {NCHAN: 0.85, BARE: 1.3}
AIM_LATE_MS: Final = 50.0
LATE_AT: Final = 1_000
AIM_KB: Final = 12.0
AIM_GROWTH_MB: Final = 3.0
_KEY: Final = "sent_ns"
_SETTLE_S: Final = 1.0
_PATIENCE_S: Final = 20.0


class Spent(NamedTuple):
    """Of one turn: CPU microseconds a delivery, and how late each frame was."""

    us: float
    late_ms: Sequence[float]
    lost: int


class Contestant:
    """A server and its readers."""

    def __init__(self, server: Server, viewers: Child, count: int) -> None:
        self.server = server
        self._viewers = viewers
        self._count = count

    async def turn(self, seconds: float) -> Spent:
        """Publish at the pace for so long, and wait until all has come."""
        await self._viewers.ask(None, Heard)
        began_s = cpu_seconds(self.server.pid)
        frames = await publish(self.server, seconds)
        late_ms = await self._all(frames * self._count)
        spent_s = cpu_seconds(self.server.pid) - began_s
        return Spent(1e6 * spent_s / max(1, len(late_ms)), late_ms, frames * self._count - len(late_ms))

    async def _all(self, count: int) -> list[float]:
        late_ms: list[float] = []
        until = time.monotonic() + _PATIENCE_S
        while len(late_ms) < count and time.monotonic() < until:
            await asyncio.sleep(0.2)
            late_ms += (await self._viewers.ask(None, Heard)).late_ms
        return late_ms


async def publish(server: Server, seconds: float) -> int:
    """Give a server frames at the pace; how many."""
    frames = round(seconds * PER_SECOND)
    filler = "x" * (FRAME_BYTES - 60)
    due = time.monotonic()
    for _ in range(frames):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due += 1 / PER_SECOND
        await server.publish({"filler": filler, _KEY: time.monotonic_ns()})
    return frames


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, by the scheduler's own count."""
    folder = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in folder.iterdir()) / 1e9


def resident_kb(pid: int) -> float:
    """Resident memory."""
    return float(psutil.Process(pid).memory_info().rss) / 1024


@asynccontextmanager
async def viewers(server: Server, count: int, *options: str) -> AsyncIterator[Child]:
    """So many readers of a server, connected."""
    arguments = ["127.0.0.1", str(server.port), server.path, str(count)]
    mark = ["--mark", _KEY, "--per-second", "1000000000", "--monotonic"]
    async with child("regimes.commands.load_test.viewers", *arguments, *mark, *options) as process:
        process.tell("")
        await process.hear(int)
        await asyncio.sleep(_SETTLE_S)
        yield process


class Found(NamedTuple):
    """Of one number of readers, by server: each turn, and memory a reader."""

    turns: Mapping[str, list[Spent]]
    kb: Mapping[str, float]

    def us(self, name: str) -> float:
        """CPU a delivery."""
        return median(spent.us for spent in self.turns[name])

    def late_ms(self, name: str) -> float:
        """99th percentile of the delay in the median turn."""
        return median(float(np.percentile(spent.late_ms, 99)) for spent in self.turns[name] if spent.late_ms)

    def lost(self, name: str) -> int:
        """Deliveries that never came."""
        return sum(spent.lost for spent in self.turns[name])


async def _race(count: int, seconds: float, away: set[str]) -> Found:
    async with AsyncExitStack() as stack:
        servers = await _servers(stack, count, away)
        contestants, kb = {}, {}
        for name, server in servers.items():
            empty_kb = resident_kb(server.pid)
            readers = await stack.enter_async_context(viewers(server, count))
            await publish(server, 1)
            await asyncio.sleep(_SETTLE_S)
            kb[name] = (resident_kb(server.pid) - empty_kb) / count
            contestants[name] = Contestant(server, readers, count)
        turns: dict[str, list[Spent]] = {name: [] for name in contestants}
        for number in range(ROUNDS + 1):
            for name, contestant in contestants.items():
                spent = await contestant.turn(seconds)
                if number:
                    turns[name].append(spent)
    return Found(turns, kb)


async def _servers(stack: AsyncExitStack, count: int, away: set[str]) -> Mapping[str, Server]:
    def folder(name: str) -> Path:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"regimes-bench-{name}-")))

    found: dict[str, Server] = {OURS: await stack.enter_async_context(ours(folder("ours"), count))}
    if NCHAN not in away:
        found[NCHAN] = await stack.enter_async_context(nchan(folder("nginx"), free_port()))
    if BARE not in away:
        found[BARE] = await stack.enter_async_context(bare(folder("bare")))
    return found


def free_port() -> int:
    """A port below those that the system gives out by itself."""
    for port in range(21_000, 30_000, 11):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


class Stuck(NamedTuple):
    """Memory of our server, MB, before and after frames that some readers did not take; what became of them."""

    before_mb: float
    after_mb: float
    late_ms: float
    cut_off: int


async def _stuck(seconds: float) -> Stuck:
    """Some readers stop reading; what that costs the server, and the others."""
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as name:
        async with (
            ours(Path(name), 2 * STUCK) as server,
            viewers(server, STUCK, "--stuck", str(STUCK)) as readers,
        ):
            contestant = Contestant(server, readers, STUCK)
            # As much as the kernel and the server keep for a reader.
            await contestant.turn(4 * SECONDS)
            before_kb = resident_kb(server.pid)
            spent = await contestant.turn(seconds)
            after_kb, counts = resident_kb(server.pid), await server.counts()
    late_ms = float(np.percentile(spent.late_ms, 99))
    return Stuck(before_kb / 1024, after_kb / 1024, late_ms, counts.stuck)


async def _measure(seconds: float, *, full: bool) -> Report:
    absent = missing()
    away = {words.partition(":")[0] for words in absent}
    found = {count: await _race(count, seconds, away) for count in SIZES}
    stuck = await _stuck(STUCK_SECONDS * (6 if full else 1))
    return Report(
        name="sse",
        title=f"one event stream, frames of {FRAME_BYTES} bytes, {PER_SECOND} a second",
        results=[*_results(found), *_stuck_results(stuck)],
        notes=[
            f"servers in turn, medians of {ROUNDS} turns of {seconds:g} s; CPU of the server's process, publishing included",
            "where a round takes longer than the next frame waits, ours writes two frames at once",
            "delay: from the publisher to the moment a reader has it; readers are one process for each server",
            *(f"left out: {words}" for words in absent),
            *_losses(found),
        ],
    )


def _results(found: Mapping[int, Found]) -> list[Result]:
    results: list[Result] = []
    for count, one in found.items():
        peers = [name for name in one.turns if name != OURS]
        late = {peer: one.late_ms(peer) for peer in peers}
        memory = {peer: one.kb[peer] for peer in peers}
        results += [
            Result(
                what=f"CPU a delivery, {count:,} readers",
                unit="us",
                ours=one.us(OURS),
                peers={peer: one.us(peer)},
                aim=Aim(AIMS[peer], peer),
            )
            for peer in peers
        ]
        results += [
            Result(
                what=f"delay p99, {count:,} readers",
                unit="ms",
                ours=one.late_ms(OURS),
                peers=late,
                aim=Aim(AIM_LATE_MS) if count == LATE_AT else None,
            ),
            Result(
                what=f"memory a reader, {count:,} readers",
                unit="KB",
                ours=one.kb[OURS],
                peers=memory,
                aim=Aim(AIM_KB) if count >= LATE_AT else None,
            ),
        ]
    return results


def _stuck_results(stuck: Stuck) -> list[Result]:
    growth = Result(
        what=f"growth while {STUCK} of {2 * STUCK} readers take nothing",
        unit="MB",
        ours=max(0.0, stuck.after_mb - stuck.before_mb),
        aim=Aim(AIM_GROWTH_MB),
    )
    late = Result(
        what="delay p99 of the others meanwhile", unit="ms", ours=stuck.late_ms, aim=Aim(AIM_LATE_MS)
    )
    return [growth, late]


def _losses(found: Mapping[int, Found]) -> list[str]:
    return [
        f"{name} lost {one.lost(name):,} deliveries to {count:,} readers"
        for count, one in found.items()
        for name in one.turns
        if one.lost(name)
    ]


def run(*, full: bool = False) -> Report:
    """Race three servers over three numbers of readers."""
    allow_open_files()
    return run_to_end(_measure(FULL_SECONDS if full else SECONDS, full=full))

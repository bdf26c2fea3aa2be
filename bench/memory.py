"""Resident memory of `regimes run`: with 3 and with 500 symbols, and while messages come in."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from bench.blaster import Kind, Order
from bench.candles import fill
from bench.processes import Exchanges, exchanges
from bench.program import Service, configuration, service
from bench.report import Aim, Report, Result
from regimes.commands.running import run_to_end

LIMITS_MB: Final[Mapping[int, float]] = {3: 220.0, 500: 400.0}
GROWTH_MB: Final = 5.0
MESSAGES: Final = 200_000
FULL_MESSAGES: Final = 1_000_000
PER_SECOND: Final = 15_000
PARTS: Final = 4
SETTLE_S: Final = 5.0
PEER: Final = "import ccxt.pro alone"


class Memory(NamedTuple):
    """MB when the history is in, and after each part of the messages."""

    started: float
    later: list[float]


async def _run(folder: Path, count: int, messages: int) -> Memory:
    await asyncio.to_thread(fill, folder / "cache", count)
    async with exchanges(count, 1, running=True) as sender:
        config = configuration(folder, sender.urls[0], count)
        async with service(config) as program:
            await program.logs("warmed_up")
            reading = asyncio.create_task(program.ignore_log())
            await asyncio.sleep(SETTLE_S)
            started, later = _resident_mb(program), []
            for _ in range(PARTS):
                await _pour(sender, count, messages // PARTS)
                later.append(_resident_mb(program))
            reading.cancel()
    return Memory(started, later)


async def _pour(sender: Exchanges, count: int, messages: int) -> None:
    """So many messages: mark prices and unfinished bars, and one in a hundred a liquidation."""
    mix: Sequence[tuple[Kind, float, int]] = [
        ("kline", 0.45, 1),
        ("markPrice", 0.54, count),
        ("forceOrder", 0.01, 1),
    ]
    for kind, share, items in mix:
        frames = round(messages * share / items)
        await sender.send(Order(0, kind, frames, max(1, 50 // items), PER_SECOND / items))
    await asyncio.sleep(1)


def _resident_mb(program: Service) -> float:
    return float(psutil.Process(program.pid).memory_info().rss) / 1e6


async def _imported() -> float:
    """MB of a process that has imported ccxt.pro and nothing else."""
    code = "import ccxt.pro, os, psutil; print(psutil.Process(os.getpid()).memory_info().rss)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return int(printed) / 1e6


async def _measure(messages: int) -> Report:
    found: dict[int, Memory] = {}
    for count in LIMITS_MB:
        with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
            found[count] = await _run(Path(folder), count, messages)
    peer = {PEER: await _imported()}
    results = [
        Result(
            what=f"{count} symbols, history in",
            unit="MB",
            ours=found[count].started,
            peers=peer,
            aim=Aim(most),
        )
        for count, most in LIMITS_MB.items()
    ]
    results += [
        Result(
            what=f"{count} symbols, growth over the second half of {messages:,} messages",
            unit="MB",
            ours=max(0.0, memory.later[-1] - memory.later[PARTS // 2 - 1]),
            aim=Aim(GROWTH_MB),
        )
        for count, memory in found.items()
    ]
    return Report(
        name="memory",
        title="resident memory of `regimes run`",
        results=results,
        notes=[
            "the messages: mark prices, unfinished bars, and one in a hundred a liquidation",
            *(
                f"{count} symbols: {memory.started:.0f} MB, then after each quarter of the messages "
                + ", ".join(f"{mb:.0f}" for mb in memory.later)
                for count, memory in found.items()
            ),
        ],
    )


def run(*, full: bool = False) -> Report:
    """Measure one universe after the other."""
    return run_to_end(_measure(FULL_MESSAGES if full else MESSAGES))

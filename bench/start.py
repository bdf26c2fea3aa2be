"""From the start of the process to the first full package, and to all streams live, with three symbols on loopback."""

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from bench.processes import exchanges
from bench.program import configuration, output, service
from bench.report import Aim, Report, Result
from regimes.commands.running import run_to_end

SYMBOLS: Final = 3
ROUNDS: Final = 2
FULL_ROUNDS: Final = 5
AIM_S: Final = 10.0
PEER: Final = "ccxt.pro fetching the same"
LINES: Final = 2


async def _package(config: Path) -> tuple[float, float]:
    """Seconds until `regimes features` has computed everything and printed it, and its CPU seconds."""
    began, cpu_s = time.monotonic(), _cpu_of_children()
    printed = await output(config, "features", "--json")
    assert len(printed.splitlines()) == SYMBOLS
    return time.monotonic() - began, _cpu_of_children() - cpu_s


def _cpu_of_children() -> float:
    """CPU seconds of all processes that have been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _live(config: Path) -> float:
    """Seconds until `regimes run` has its history and all its connections."""
    began = time.monotonic()
    async with service(config) as program:
        # The last lines are dialled once the history is in.
        await program.logs("stream_connected", LINES)
        return time.monotonic() - began


async def _peer(url: str) -> float:
    """Seconds until a plain ccxt.pro script has fetched the same history, without computing anything."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.fetch", url)
    assert await process.wait() == 0
    return time.monotonic() - began


async def _measure(rounds: int) -> Report:
    spent: dict[str, list[float]] = {name: [] for name in ("cold", "warm", "live", "peer", "cpu")}
    async with exchanges(SYMBOLS, 1, running=True) as sender:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
                config = configuration(Path(folder), sender.urls[0], SYMBOLS)
                seconds, cpu_s = await _package(config)
                spent["cold"].append(seconds)
                spent["cpu"].append(cpu_s)
                spent["peer"].append(await _peer(sender.urls[0]))
                spent["warm"].append((await _package(config))[0])
                spent["live"].append(await _live(config))
    found = {name: median(seconds) for name, seconds in spent.items()}
    rows = {
        "cold": "first full package, no candles on disk",
        "warm": "first full package, candles on disk",
        "live": "history in and all streams connected, candles on disk",
    }
    return Report(
        name="start",
        title=f"seconds from the start of the process, {SYMBOLS} symbols",
        results=[
            Result(what=what, unit="s", ours=found[name], peers={PEER: found["peer"]}, aim=Aim(AIM_S))
            for name, what in rows.items()
        ],
        notes=[
            f"real seconds; of the first, {found['cpu']:.1f} s are CPU of the process, so a busy machine shows here",
            "the package has no liquidations yet, as they have no history",
        ],
    )


def run(*, full: bool = False) -> Report:
    """Start it again and again."""
    return run_to_end(_measure(FULL_ROUNDS if full else ROUNDS))

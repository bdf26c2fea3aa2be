"""A cascade over 500 symbols at 10,000 liquidations a second, on one core: CPU, lag of the loop, losses."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

from bench.blaster import Order
from bench.candles import fill
from bench.processes import Exchanges, exchanges
from bench.report import Aim, Report, Result
from bench.service import State
from bench.wire import AWAITED, BARE, OURS
from regimes.commands.load_test.children import Child, child
from regimes.commands.running import run_to_end

SYMBOLS: Final = 500
PER_SECOND: Final = 10_000
PER_SEGMENT: Final = 20
SECONDS: Final = 8
FULL_SECONDS: Final = 20
CLIENTS: Final = (OURS, BARE, AWAITED)


async def _measure(name: str, sender: Exchanges, cache: Path, seconds: int) -> tuple[int, State]:
    """Liquidations sent to one client, and what it says of itself."""
    place = CLIENTS.index(name)
    options = ["--count", str(SYMBOLS), "--cache", str(cache), "--core", str(min(os.sched_getaffinity(0)))]
    async with child("bench.service", name, sender.urls[place], *options) as process:
        await process.hear(str)
        await asyncio.sleep(2)
        before = await process.ask(None, State)
        sent = await sender.send(Order(place, "forceOrder", PER_SECOND * seconds, PER_SEGMENT, PER_SECOND))
        state = await process.ask(None, State)
        caught_up = await _settled(process)
    received, counted = caught_up.received - before.received, caught_up.counted - before.counted
    return sent, State(state.cpu_s, state.real_s, state.lag_p99_ms, received, counted, caught_up.dropped)


async def _settled(process: Child) -> State:
    """The state once nothing more arrives."""
    last = await process.ask(None, State)
    while True:
        await asyncio.sleep(0.5)
        now = await process.ask(None, State)
        if now.counted == last.counted:
            return now
        last = now


async def _cascade(seconds: int) -> Report:
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
        await asyncio.to_thread(fill, Path(folder), SYMBOLS, weeks=6)
        async with exchanges(SYMBOLS, len(CLIENTS), running=True) as sender:
            found = {name: await _measure(name, sender, Path(folder), seconds) for name in CLIENTS}
    cpu = {name: 100 * state.cpu_s / state.real_s for name, (_, state) in found.items()}
    lag = {name: state.lag_p99_ms for name, (_, state) in found.items()}
    lost = {name: max(0.0, 100 * (1 - state.counted / sent)) for name, (sent, state) in found.items()}
    results = [
        Result(what=what, unit=unit, ours=values.pop(OURS), peers=values, aim=aim)
        for what, unit, values, aim in (
            ("CPU of one core", "%", cpu, Aim(25)),
            ("loop lag, 99th percentile", "ms", lag, Aim(20)),
            ("liquidations lost", "%", lost, Aim(0)),
        )
    ]
    sent, state = found[OURS]
    return Report(
        name="cascade",
        title=f"{SYMBOLS} symbols, {PER_SECOND:,} liquidations a second for {seconds} s, one core",
        results=results,
        notes=[
            f"sent {sent:,}, received {state.received:,}, counted {state.counted:,}, dropped {state.dropped}",
            "ours also takes the candles and mark prices of all symbols; the others take mark prices",
            "all three hand everything to the same engine",
        ],
    )


def run(*, full: bool = False) -> Report:
    """Measure ours, the bare client and ccxt.pro awaited, one after the other."""
    return run_to_end(_cascade(FULL_SECONDS if full else SECONDS))

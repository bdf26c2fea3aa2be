"""A day of the market in minutes, while everything that can go wrong does: nothing may be lost, and nothing may grow."""

import logging
import random
import tempfile
from pathlib import Path
from typing import Final

import structlog

from bench.report import Aim, Report, Result
from bench.soak.house import Found, live
from regimes.commands.running import allow_open_files, run_to_end

SPEED: Final = 60.0
SECONDS: Final = 45.0
FULL_SECONDS: Final = 24 * 3600 / SPEED
SEED: Final = 1
_GROWTH: Final = {"memory": ("MB", 15.0), "tasks": ("", 10.0), "descriptors": ("", 10.0)}
_WAITING: Final = ("observations queued", "alerts unstored")


def run(*, full: bool = False, seed: int = SEED, seconds: float | None = None) -> Report:
    """Live through it. seconds: real ones; how much is lost, doubled, unexplained, and how much the process grew."""
    allow_open_files()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    lasting = seconds or (FULL_SECONDS if full else SECONDS)
    with tempfile.TemporaryDirectory(prefix="regimes-soak-") as folder:
        found = run_to_end(live(Path(folder), SPEED, lasting, random.Random(seed)))
    return _report(found, lasting, seed)


def _report(found: Found, seconds: float, seed: int) -> Report:
    books, vitals, told = found.account, found.vitals, found.deliveries
    nothing = {
        "liquidations neither stored nor inside a recorded gap": books.unexplained,
        "liquidations stored twice": books.twice,
        "liquidations stored that nobody sent": books.invented,
        "observations refused by a full queue": found.dropped,
        "alerts marked as delivered that nobody took": told.untrue,
        "alerts still pending when all was well again": told.pending,
        "streams not connected when all was well again": found.unconnected,
    }
    results = [Result(what=what, unit="", ours=count, aim=Aim(0)) for what, count in nothing.items()]
    results += [
        Result(what=f"growth: {name}", unit=unit, ours=vitals.growth(name), aim=Aim(most))
        for name, (unit, most) in _GROWTH.items()
    ]
    results += [Result(what=f"the most {name}", unit="", ours=vitals.most(name)) for name in _WAITING]
    return Report(
        name="soak",
        title=f"{seconds * SPEED / 3600:.1f} h of market at {SPEED:g}x, seed {seed}, with faults drawn at random",
        results=results,
        notes=[
            f"{books.sent:,} liquidations sent: {books.stored:,} stored, {books.in_gaps:,} inside {found.gaps:,} gaps",
            f"{found.events:,} states of events, {told.delivered:,} deliveries",
            "faults: " + ", ".join(f"{count} x {name}" for name, count in sorted(found.drawn.items())),
            f"memory at most {vitals.most('memory'):.0f} MB, exchange, receivers and viewers included",
            "growth: from the second quarter of the time to the last, medians",
        ],
    )

"""The recorder is killed as a power cut would: what it said is on disk is there, and the torn rest is named."""

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from regimes.history.tape.recorder import Recorder
from regimes.history.tape.segment import LIVE, segment_files
from regimes.history.tape.source import TapeSource
from regimes.timeframe import known_at_ms

from .support import StillClock, liquidation, settings

KILLS = int(os.environ.get("REGIMES_KILLS", "5"))
ROOT = Path(__file__).parent.parent.parent.parent


async def killed_after(folder: Path, lines: int, *, first: int) -> int:
    """Record until so many lines were printed, and kill it; the last number it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.history.tape.recording_process", str(folder), str(first), "0.1",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    last = first
    try:
        for _ in range(lines):
            last = int(await asyncio.wait_for(process.stdout.readline(), 60))
    finally:
        process.kill()
        await process.wait()
    rest = (await process.stdout.read()).splitlines(keepends=True)
    return max([last, *(int(line) for line in rest if line.endswith(b"\n"))])


@pytest.mark.timeout(60 + 30 * KILLS)
async def test_what_was_on_disk_survives_being_killed_and_the_next_run_goes_on(tmp_path: Path) -> None:
    chance, promised, first = random.Random(7), set[int](), 0
    for _ in range(KILLS):
        end = await killed_after(tmp_path, chance.randint(1, 12), first=first)
        promised |= set(range(first, end))
        first = end + 1_000_000
    tape = TapeSource(tmp_path)
    found = list(tape.observations(*tape.span()))
    assert found == sorted(found, key=known_at_ms)
    assert {liquidation(number) for number in promised} <= set(found)
    # What is torn can only be the end of what was being written.
    assert all(damage.reason == "torn off at the end of the file" for damage in tape.damage)
    assert len(set(found)) == len(found)


async def test_the_next_run_packs_what_a_killed_one_left_behind(tmp_path: Path) -> None:
    end = await killed_after(tmp_path, 3, first=0)
    assert any(path.suffix == LIVE for path in segment_files(tmp_path))
    with Recorder(settings(tmp_path), StillClock()):
        pass
    assert not any(path.suffix == LIVE for path in segment_files(tmp_path))
    tape = TapeSource(tmp_path)
    assert {liquidation(number) for number in range(end)} <= set(tape.observations(*tape.span()))

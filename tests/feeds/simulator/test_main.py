"""The exchange as a process of its own."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.feeds.simulator.clients import PATIENCE_S

ROOT = Path(__file__).parents[3]
RUN = (sys.executable, "-m", "regimes.feeds.simulator")


async def test_it_runs_alone_and_tells_where_it_listens() -> None:
    process = await asyncio.create_subprocess_exec(
        *RUN, "--speed", "60", "--seed", "5", "--scenario", "calm", "--from", "2025-01-28T12:10Z",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 3 * PATIENCE_S)
        async with aiohttp.ClientSession(line.decode().strip()) as http:
            async with http.get("/fapi/v1/time") as answer:
                assert (await answer.json())["serverTime"] >= 1_738_066_200_000
            async with http.get("/control/sent") as answer:
                assert (await answer.json())["connections"] == 0
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_S)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scenario", "panic"), "one of calm"),
        (("--data", "nowhere", "--from", "2025-01-27", "--to", "2025-01-28"), "candles"),
        (("--data", "nowhere"), "--from and"),
        (("--speed", "0"), "0.001"),
    ],
)
async def test_wrong_options_are_refused_in_words(arguments: tuple[str, ...], words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *RUN, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 3 * PATIENCE_S)
    assert process.returncode == 2
    assert words in errors.decode()

"""The walk through one day of the past: each command and each line of code in it, and each figure it prints."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from regimes.clock import ScaledClock
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.recorded import RecordedMarket
from regimes.timeframe import DAY_MS, HOUR_MS
from tests.e2e.process import regimes
from tests.e2e.test_run import against

START_MS = 1_704_067_200_000  # 2024-01-01
PAGE = Path(__file__).parent.parent / "docs" / "walkthrough-2024-08-05.md"
COMMANDS = re.findall(
    r"^```bash\n(.+)\n```\n\n```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def folder(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the recordings in it."""
    (tmp_path / "recordings").symlink_to(data_dir.resolve())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("command", "printed"), COMMANDS)
def test_each_command_prints_what_the_page_says(folder: Path, command: str, printed: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGIMES_")}
    ran = subprocess.run(  # noqa: S603  # the page's own commands
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert lines(ran.stdout) == lines(printed)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("folder")
def test_each_line_of_code_gives_what_the_page_says() -> None:
    code = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, PAGE.name, str(PAGE), 0)
    assert len(code.examples) > 20
    said: list[str] = []
    assert doctest.DocTestRunner().run(code, out=said.append).failed == 0, "".join(said)


@pytest.mark.timeout(300)
async def test_the_command_that_fetches_the_recordings_fetches_these(data_dir: Path, tmp_path: Path) -> None:
    (command,) = re.findall(r"`regimes (backfill [^`]+)`", PAGE.read_text())
    end_ms = START_MS + 220 * DAY_MS
    market = RecordedMarket(data_dir, ["BTC/USDT"], start_ms=end_ms, end_ms=end_ms + DAY_MS)
    async with LoopbackExchange(market, ScaledClock(end_ms + HOUR_MS, speed=1.0)) as exchange:
        quickly = against(exchange, REGIMES__VENUES__REST_WEIGHT_PER_MINUTE="100000")
        done = await regimes(tmp_path, *shlex.split(command), **quickly)
    assert done.code == 0, done.err
    for name in ("candles/spot_BTCUSDT_1h", "candles/um_BTCUSDT_1h", "funding/funding_BTCUSDT"):
        fetched, there = (
            pl.read_parquet(folder / f"{name}.parquet").filter(
                pl.col("ts").is_between(START_MS, end_ms, "left")
            )
            for folder in (tmp_path / "recordings", data_dir)
        )
        columns = ["ts", "rate"] if "rate" in fetched.columns else ["ts", "open", "high", "low", "close"]
        assert fetched.select(columns).equals(there.sort("ts").select(columns)), name
        assert len(fetched) >= 3 * 220


def test_there_is_a_command_to_run() -> None:
    assert COMMANDS


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]

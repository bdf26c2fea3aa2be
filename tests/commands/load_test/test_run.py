import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from regimes.commands.load_test import run
from regimes.commands.load_test.private import environment
from regimes.commands.load_test.run import Options
from regimes.commands.load_test.tiers import TIERS, Bars, Load, Tier
from regimes.commands.load_test.verdict import Line, Outcome, keep, outcome, quantile
from regimes.commands.load_test.watch import Watch, parsed
from regimes.commands.running import ExitCode, allow_open_files
from regimes.errors import ConfigError, VenueError
from tests.web.service import TOKEN, liquidation, service

EASY = Bars(memory_mb=1e5, cpu_percent=1e4, webhook_p99_ms=1e5, viewer_p99_ms=1e5, loop_lag_p99_ms=1e5)
SMALL = Load(symbols=2, per_second=20, burst=50, viewers=4, endpoints=2, shown=1, seconds=9)


def values(done: Outcome) -> dict[str, float]:
    return {line.what: line.value for line in done.lines}


@pytest.mark.timeout(240)
def test_a_private_instance_under_a_small_load_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(
        "WEBHOOKS_ALL", "http://192.0.2.1/somebody"
    )  # the user's own, which must not be touched
    file = tmp_path / "kept.jsonl"
    assert run.execute(Options(title="small", tier=Tier(SMALL, EASY), file=file)) is ExitCode.OK
    done = msgspec.json.decode(file.read_bytes(), type=Outcome)
    found = values(done)
    assert done.passed
    assert found["liquidations sent"] >= 9 * 20
    assert found["liquidations lost"] == found["webhooks that never came"] == 0
    assert found["webhooks wanted"] == 2 * 3 * 2
    assert found["viewers lost"] == found["states of events that viewers missed"] == 0
    assert 0 < found["liquidation to webhook, p99"] < 60_000
    assert found["CPU"] > 0
    assert "liquidation to viewer, p99" in capsys.readouterr().out


async def test_a_running_service_gets_viewers_and_is_asked_what_it_cost(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web={"token": TOKEN}) as running:
        load = msgspec.structs.replace(SMALL, seconds=2)
        options = Options(title="running", tier=Tier(load, EASY), url=running.address, token=TOKEN)
        working = asyncio.create_task(run._against_running(options))
        while not working.done():
            running.feed(liquidation("BTC/USDT", running.pipeline.clock.now_ms()))
            await asyncio.sleep(0.1)
        found = values(await working)
    assert found["viewers lost"] == 0
    assert found["memory, the most"] > 10
    assert found["frames to viewers"] >= SMALL.viewers
    assert found["liquidation to viewer, p99"] < 10_000


async def test_a_service_that_is_not_there_is_named() -> None:
    with pytest.raises(VenueError, match=r"127\.0\.0\.1:9/metrics does not answer"):
        await Watch("http://127.0.0.1:9").look()


async def test_viewers_need_a_plain_address() -> None:
    with pytest.raises(ConfigError, match="plain address"):
        async with run.viewers("https://example.com", 1):
            pass


def test_a_bar_that_is_missed_fails_the_whole() -> None:
    good, bad, told = Line("a", 1, "ms", 2), Line("b", 3, "ms", 2), Line("c", 9, "")
    assert outcome("x", SMALL, [good, told]).passed
    assert not outcome("x", SMALL, [good, bad, told]).passed


def test_what_never_came_is_not_early() -> None:
    assert quantile([], 0.99) == float("inf")
    assert not Line("late", quantile([], 0.99), "ms", 250).passed


def test_outcomes_are_kept_one_after_the_other(tmp_path: Path) -> None:
    for title in ("one", "two"):
        keep(outcome(title, SMALL, [Line("a", 1, "ms", 2)]), tmp_path / "kept")
    kept = [msgspec.json.decode(line, type=Outcome) for line in (tmp_path / "kept").read_bytes().splitlines()]
    assert [(one.title, one.load, one.passed) for one in kept] == [("one", SMALL, True), ("two", SMALL, True)]


def test_nothing_of_the_users_settings_reaches_the_private_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = ("REGIMES__WEB__TOKEN", "DB_URL", "WEBHOOKS_CASCADE", "DASHBOARD_TOKEN", "BINANCE_API_KEY")
    for name in theirs:
        monkeypatch.setenv(name, "theirs")
    given = environment(tmp_path, SMALL, exchange="http://e", webhooks="http://w", port=1, timeframes="1h")
    assert "theirs" not in given.values()
    assert given["PATH"] == os.environ["PATH"]


def test_a_metric_is_summed_over_the_series_that_have_the_labels() -> None:
    watch = Watch("")
    watch._first = parsed('a_total{x="1",y="1"} 1\n')
    watch._last = parsed('a_total{x="1",y="1"} 5\na_total{x="1",y="2"} 7\na_total{x="2",y="1"} 100\n')
    assert watch.now("a_total", x="1") == 12
    assert watch.grown("a_total", x="1") == 11
    assert watch.now("nothing") == 0


@pytest.mark.parametrize("name", TIERS)
def test_a_tier_is_named_after_its_symbols(name: str) -> None:
    assert str(TIERS[name].load.symbols) == name
    assert TIERS[name].changed(viewers=7).load.viewers == 7


def test_a_process_allows_itself_as_many_files_as_it_may() -> None:
    code = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); "
        "from regimes.commands.running import allow_open_files; "
        "print(allow_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    told, is_now = map(int, done.stdout.split())
    assert told == is_now > 64
    assert allow_open_files() > 64

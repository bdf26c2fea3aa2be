"""`regimes replay` and `regimes tune` on a small folder of recordings."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from regimes.config import load
from regimes.errors import ConfigError, DataError, StorageError
from regimes.observations import Candle, FundingRate
from regimes.storage.base import EventQuery
from regimes.storage.sqlite import SqliteStorage
from tests.commands.conftest import Cli
from tests.schema import faults
from tests.study.market import SYMBOLS, hours

SPAN = ("--from", "2025-02-05", "--to", "2025-02-14")
DAYS = 45


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> str:
    """45 days of two symbols."""
    folder = tmp_path_factory.mktemp("recordings")
    both = list(hours(DAYS))
    for symbol in SYMBOLS:
        name = symbol.replace("/", "")
        bars = [x for x in both if isinstance(x, Candle) and x.symbol == symbol]
        columns = ("open", "high", "low", "close")
        values = {key: [getattr(bar, key) for bar in bars] for key in columns}
        frame = {"ts": [bar.open_ms for bar in bars], **values, "volume": [bar.base_volume for bar in bars]}
        rates = [x for x in both if isinstance(x, FundingRate) and x.symbol == symbol]
        funding = {"ts": [x.ts_ms for x in rates], "rate": [x.rate for x in rates]}
        for path, content in ((f"candles/spot_{name}_1h", frame), (f"funding/funding_{name}", funding)):
            (folder / path).parent.mkdir(exist_ok=True)
            pl.DataFrame(content).write_parquet(folder / f"{path}.parquet")
    return str(folder)


def test_what_would_have_been_sent_is_listed_and_summed_up(cli: Cli, recordings: str) -> None:
    done = cli("replay", recordings, *SPAN)
    assert done.exit_code == 0, done.exception
    assert "VOLATILITY_REGIME" in done.stdout
    assert "send (opened)" in done.stdout
    assert "suppress" not in done.stdout
    assert "BTC/USDT, ETH/USDT, 2025-02-05T00:00:00Z to 2025-02-14T00:00:00Z" in done.stdout
    assert "a week)" in done.stdout


def test_all_lists_what_was_held_back_too(cli: Cli, recordings: str) -> None:
    done = cli("replay", recordings, *SPAN, "--all")
    assert "suppress (below_minimum)" in done.stdout


def test_json_is_one_event_a_line_as_a_webhook_carries_it(cli: Cli, recordings: str) -> None:
    lines = [json.loads(line) for line in cli("replay", recordings, *SPAN, "--json").stdout.splitlines()]
    assert len(lines) > 10
    for line in lines:
        decisions = line.pop("decisions")
        assert {"endpoint", "action", "reason", "words"} == decisions[0].keys()
        assert not faults({key: value for key, value in line.items() if key != "at"})
    left = [line["at"] for line in lines]
    assert left == sorted(left)
    assert all(line["timestamp"] <= at for line, at in zip(lines, left, strict=True))


def test_the_endpoints_that_are_configured_answer(cli: Cli, recordings: str) -> None:
    done = cli("replay", recordings, *SPAN, "--json", WEBHOOKS_FUNDING="http://127.0.0.1:9/x")
    answered = {one["endpoint"] for line in done.stdout.splitlines() for one in json.loads(line)["decisions"]}
    assert len(answered) == 1
    assert "funding" in answered.pop()


def test_what_is_stored_is_what_a_later_replay_is_compared_with(
    cli: Cli, recordings: str, tmp_path: Path
) -> None:
    database = {"DB_URL": f"sqlite:///{tmp_path}/replayed.db"}
    assert cli("replay", recordings, *SPAN, "--store", **database).exit_code == 0
    assert cli("replay", recordings, *SPAN, "--store", **database).exit_code == 0, "again changes nothing"
    same = cli("replay", recordings, *SPAN, "--diff", **database)
    assert same.exit_code == 0, same.exception
    assert "0 added, 0 lost, 0 moved" in same.stdout
    stored = asyncio.run(_episodes(tmp_path / "replayed.db"))
    lines = [json.loads(line) for line in cli("replay", recordings, *SPAN, "--json").stdout.splitlines()]
    assert {line["id"] for line in lines} <= stored
    changed = cli(
        "replay", recordings, *SPAN, "--diff", REGIMES__ALERTING__MINIMUM_SEVERITY="CRITICAL", **database
    )
    assert "0 added, 0 lost, 0 moved" not in changed.stdout


async def _episodes(path: Path) -> set[str]:
    storage = SqliteStorage(path)
    await storage.open()
    try:
        return {event.id for event in (await storage.events(EventQuery(limit=10_000))).events}
    finally:
        await storage.close()


def test_another_configuration_is_compared_with_the_one_in_effect(
    cli: Cli, recordings: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[alerting]\nminimum_severity = "CRITICAL"\n')
    lines = cli("replay", recordings, *SPAN, "--config", str(other), "--diff", "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert {one["change"] for one in found} <= {"added", "lost", "moved"}
    assert any(
        one["change"] == "lost" and one["before"]["event_type"] == "VOLATILITY_REGIME" for one in found
    )
    table = cli("replay", recordings, *SPAN, "--config", str(other), "--diff").stdout
    assert f"{sum(one['change'] == 'lost' for one in found)} lost" in table


def test_without_a_database_there_is_nothing_to_compare_with(cli: Cli, recordings: str) -> None:
    assert isinstance(cli("replay", recordings, *SPAN, "--diff").exception, StorageError)


@pytest.mark.parametrize("command", ["replay", "tune"])
def test_a_folder_without_history_is_named(cli: Cli, tmp_path: Path, command: str) -> None:
    error = cli(command, str(tmp_path)).exception
    assert isinstance(error, ConfigError)
    assert "no history there" in str(error)


def test_a_broken_file_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "candles").mkdir()
    (tmp_path / "candles/spot_BTCUSDT_1h.parquet").write_text("nothing")
    error = cli("replay", str(tmp_path)).exception
    assert isinstance(error, DataError)
    assert "spot_BTCUSDT_1h.parquet" in str(error)


TUNE = (
    "--from",
    "2025-01-08",
    "--folds",
    "2",
    "--jobs",
    "1",
    "--set",
    "funding.anomaly_z_threshold=1.5,2,2.5",
)


def test_tune_prints_frontier_sensitivity_and_what_held_out_of_sample(cli: Cli, recordings: str) -> None:
    done = cli("tune", recordings, *TUNE)
    assert done.exit_code == 0, done.exception
    places = [
        done.stdout.index(words)
        for words in (
            "at random times",
            "Frontier",
            "One value changed",
            "Out of sample",
            "chosen by the whole",
        )
    ]
    assert all(a < b for a, b in pairwise(places))
    assert "funding.anomaly_z_threshold = 2.5" in done.stdout


def test_tune_writes_what_it_chose_as_configuration(cli: Cli, recordings: str, tmp_path: Path) -> None:
    path = tmp_path / "chosen.toml"
    done = cli("tune", recordings, *TUNE, "--json", "--write", str(path))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [line["what"] for line in lines]
    assert kinds == ["in effect", *["tried"] * 3, *["alone"] * 3, "out of sample", "chosen"]
    chosen = lines[-1]["values"]["funding.anomaly_z_threshold"]
    settings = load(path, environ={}, folder=tmp_path)
    assert settings.section("funding").model_dump()["anomaly_z_threshold"] == chosen


def test_tune_does_not_write_over_a_file(cli: Cli, recordings: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    error = cli("tune", recordings, *TUNE, "--write", str(path)).exception
    assert isinstance(error, ConfigError)
    assert "is there already" in str(error)
    assert path.read_text() == "mine"


def test_tune_names_a_setting_that_cannot_be_tried(cli: Cli, recordings: str) -> None:
    error = cli("tune", recordings, "--set", "web.port=1,2").exception
    assert isinstance(error, ConfigError)
    assert "web.port: there is no such setting to try" in str(error)

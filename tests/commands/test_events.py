import json
from pathlib import Path

import pytest

from regimes.errors import ConfigError, StorageError
from regimes.events import EventBody, event_schema
from regimes.storage.base import NewDelivery
from tests.commands.conftest import Cli

Rows = list[tuple[EventBody, NewDelivery]]


def test_events_are_listed_newest_first_with_their_whole_ids(cli: Cli, history: Rows) -> None:
    done = cli("events")
    assert done.exit_code == 0, done.exception
    lines = [line for line in done.stdout.splitlines() if "evt_" in line]
    assert [line.split()[-1] for line in lines] == [event.id for event, _ in reversed(history)]
    assert "LIQUIDATION_CASCADE" in done.stdout
    assert "FUNDING_ANOMALY" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (("--type", "FUNDING_ANOMALY"), ["FUNDING_ANOMALY"]),
        (("--type", "funding_anomaly"), ["FUNDING_ANOMALY"]),
        (("--symbol", "BTC/USDT"), ["LIQUIDATION_CASCADE"]),
        (("--severity", "critical"), ["LIQUIDATION_CASCADE"]),
        (("--severity", "INFO"), []),
        (("--from", "2025-01-27T17:00Z"), ["FUNDING_ANOMALY"]),
        (("--to", "2025-01-27T17:00Z"), ["LIQUIDATION_CASCADE"]),
        (("--from", "1h"), []),
        (("--limit", "1"), ["FUNDING_ANOMALY"]),
    ],
)
def test_a_filter_keeps_what_it_says(
    cli: Cli, history: Rows, arguments: tuple[str, ...], kinds: list[str]
) -> None:
    done = cli("events", *arguments, "--json")
    assert done.exit_code == 0, done.exception
    assert [json.loads(line)["event_type"] for line in done.stdout.splitlines()] == kinds


def test_a_list_that_is_cut_says_how_to_go_on(cli: Cli, history: Rows) -> None:
    done = cli("events", "--limit", "1")
    newest, _ = history[1]
    assert f"--to {newest.started}" in done.stdout
    rest = cli("events", "--to", newest.started, "--json")
    assert [json.loads(line)["id"] for line in rest.stdout.splitlines()] == [history[0][0].id]


def test_one_event_is_shown_with_its_decisions_deliveries_and_attempts(cli: Cli, history: Rows) -> None:
    event, delivery = history[0]
    done = cli("events", "show", event.id)
    assert done.exit_code == 0, done.exception
    for words in (
        event.title,
        f"why: {event.why}",
        "opened",
        delivery.id,
        "ambiguous, timeout: after sending, 12 ms",
        "delivered, HTTP 204, 12 ms",
    ):
        assert words in done.stdout
    shown = json.loads(cli("events", "show", event.id, "--json").stdout)
    assert shown["event"]["id"] == event.id
    assert shown["decisions"][0]["reason"] == "opened"
    assert [attempt["outcome"] for attempt in shown["deliveries"][0]["attempts"]] == [
        "ambiguous",
        "delivered",
    ]
    assert "message" not in shown["deliveries"][0]


def test_an_event_that_is_not_there_is_said_to_be_so(cli: Cli, history: Rows) -> None:
    done = cli("events", "show", "evt_nothing")
    assert done.exit_code == 1
    assert "there is no event evt_nothing" in done.stderr


def test_the_schema_is_printed_as_it_is_published(cli: Cli) -> None:
    assert json.loads(cli("events", "schema").stdout) == event_schema()


def test_a_database_that_is_not_there_is_not_made(cli: Cli, tmp_path: Path) -> None:
    done = cli("events")
    assert isinstance(done.exception, StorageError)
    assert "start `regimes run` once" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_database_url_is_a_mistake_of_the_configuration(cli: Cli) -> None:
    done = cli("events", DB_URL="mysql://somebody:hunter22@host/db")
    assert isinstance(done.exception, ConfigError)
    assert "hunter22" not in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--type", "CASCADE"), "CASCADE"),
        (("--from", "yesterday"), "2025-01-27T13:00Z"),
        (("--limit", "0"), "1"),
    ],
)
def test_a_filter_that_is_no_filter_is_a_mistake_of_the_command_line(
    cli: Cli, arguments: tuple[str, ...], words: str
) -> None:
    done = cli("events", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr

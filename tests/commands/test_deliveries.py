import json

import pytest

from regimes.errors import ConfigError
from regimes.events import EventBody
from regimes.storage.base import NewDelivery
from tests.commands.conftest import ENDPOINT, Cli

Rows = list[tuple[EventBody, NewDelivery]]


def rows(cli: Cli, *arguments: str) -> list[dict[str, object]]:
    done = cli("deliveries", *arguments, "--json")
    assert done.exit_code == 0, done.exception
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_delivery_is_listed_with_the_answer_to_its_last_attempt(cli: Cli, history: Rows) -> None:
    done = cli("deliveries")
    assert done.exit_code == 0, done.exception
    for _, delivery in history:
        assert delivery.id in done.stdout
    assert "permanent, HTTP 410, 12 ms" in done.stdout
    assert "delivered, HTTP 204, 12 ms" in done.stdout
    assert "ambiguous" not in done.stdout


def test_deliveries_are_filtered_by_status_and_by_event(cli: Cli, history: Rows) -> None:
    (first, delivered), (_, dead) = history
    assert [row["id"] for row in rows(cli)] == [dead.id, delivered.id]
    assert [row["id"] for row in rows(cli, "--status", "dead")] == [dead.id]
    assert [row["id"] for row in rows(cli, "--event", first.id)] == [delivered.id]
    assert rows(cli, "--status", "pending") == []
    assert cli("deliveries", "--status", "pending").stdout == "no deliveries\n"


def test_what_was_given_up_is_sent_again(cli: Cli, history: Rows) -> None:
    done = cli("deliveries", "replay", "--dead")
    assert done.exit_code == 0, done.exception
    assert "1 delivery is sent again" in done.stdout
    (row,) = rows(cli, "--status", "pending")
    assert row["id"] == history[1][1].id
    assert row["is_replay"] is True
    assert "next try" in cli("deliveries", "--status", "pending").stdout


def test_one_delivery_is_sent_again_by_its_id_and_all_by_their_time(cli: Cli, history: Rows) -> None:
    assert cli("deliveries", "replay", history[0][1].id).exit_code == 0
    assert [row["id"] for row in rows(cli, "--status", "pending")] == [history[0][1].id]
    done = cli("deliveries", "replay", "--since", "2025-01-27T00:00Z")
    assert "1 delivery is sent again" in done.stdout
    assert len(rows(cli, "--status", "pending")) == 2


@pytest.mark.parametrize("arguments", [("evt_nothing",), ("--since", "1h")])
def test_nothing_to_send_again_is_a_failure(cli: Cli, history: Rows, arguments: tuple[str, ...]) -> None:
    done = cli("deliveries", "replay", *arguments)
    assert done.exit_code == 1
    assert "there is no delivery" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--dead", "--since", "1h"), ("an-id", "--dead")])
def test_a_replay_wants_exactly_one_thing_to_replay(
    cli: Cli, history: Rows, arguments: tuple[str, ...]
) -> None:
    done = cli("deliveries", "replay", *arguments)
    assert done.exit_code == 2
    assert "name one thing to send again" in done.stderr
    assert rows(cli, "--status", "pending") == []


def test_endpoints_are_listed_by_name_and_never_by_url(cli: Cli, history: Rows) -> None:
    done = cli("endpoints", WEBHOOKS_ALL=ENDPOINT.url, WEBHOOKS_ADMIN="http://127.0.0.1:9/hidden-part")
    assert done.exit_code == 0, done.exception
    assert "http-all-1" in done.stdout
    assert "http-admin-1" in done.stdout
    assert "hidden-part" not in done.stdout
    assert "WEBHOOKS_ALL" in cli("endpoints").stdout


def test_an_endpoint_that_is_not_configured_cannot_be_enabled(cli: Cli, history: Rows) -> None:
    done = cli("endpoints", "enable", "discord-all-1", WEBHOOKS_ALL=ENDPOINT.url)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "no endpoint 'discord-all-1'; there are http-all-1"
    assert isinstance(cli("endpoints", "enable", "x").exception, ConfigError)


def test_a_disabled_endpoint_is_shown_warned_of_and_enabled(cli: Cli, parked: None) -> None:
    given = {"WEBHOOKS_ALL": ENDPOINT.url}
    (row,) = [json.loads(line) for line in cli("endpoints", "--json", **given).stdout.splitlines()]
    assert (row["phase"], row["reason"]) == ("parked", "HTTP 410")
    assert "HTTP 410, since 2025-01-27" in cli("endpoints", **given).stdout
    replayed = cli("deliveries", "replay", "--dead", **given)
    assert "run `regimes endpoints enable http-all-1` first" in replayed.stderr
    assert cli("endpoints", "enable", "http-all-1", **given).exit_code == 0
    (row,) = [json.loads(line) for line in cli("endpoints", "--json", **given).stdout.splitlines()]
    assert (row["phase"], row["reason"]) == ("closed", None)

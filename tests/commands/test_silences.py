import json

import pytest

from regimes.clock import SystemClock
from regimes.events import EventBody
from regimes.storage.base import NewDelivery
from tests.commands.conftest import Cli

Rows = list[tuple[EventBody, NewDelivery]]


def silences(cli: Cli, *arguments: str) -> list[dict[str, object]]:
    done = cli("silence", "list", *arguments, "--json")
    assert done.exit_code == 0, done.exception
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_silence_is_added_listed_and_removed(cli: Cli, history: Rows) -> None:
    began_ms = SystemClock().now_ms()
    done = cli(
        "silence",
        "add",
        "--for",
        "4h",
        "--type",
        "REGIME_SHIFT",
        "--symbol",
        "BTC/USDT",
        "--comment",
        "noisy",
    )
    assert done.exit_code == 0, done.exception
    assert "REGIME_SHIFT of BTC/USDT is not sent until" in done.stdout
    (silence,) = silences(cli)
    assert (silence["event_type"], silence["symbol"], silence["up_to"], silence["comment"]) == (
        "REGIME_SHIFT",
        "BTC/USDT",
        "CRITICAL",
        "noisy",
    )
    until_ms = silence["until_ms"]
    assert isinstance(until_ms, int)
    assert 0 <= until_ms - began_ms - 4 * 3_600_000 < 60_000
    assert "REGIME_SHIFT of BTC/USDT" in cli("silence").stdout
    assert cli("silence", "remove", str(silence["id"])).exit_code == 0
    assert silences(cli) == []
    assert cli("silence", "list").stdout == "no silences\n"


def test_a_silence_without_a_matcher_holds_everything_up_to_its_severity(cli: Cli, history: Rows) -> None:
    done = cli("silence", "add", "--for", "30m", "--up-to", "warning")
    assert "everything up to WARNING is not sent until" in done.stdout
    assert silences(cli)[0]["up_to"] == "WARNING"


def test_a_silence_that_is_over_is_listed_only_when_asked_for(cli: Cli, history: Rows) -> None:
    cli("silence", "add", "--for", "0.001s")
    clock = SystemClock()
    ended_ms = clock.now_ms() + 1
    while clock.now_ms() <= ended_ms:
        pass
    assert silences(cli) == []
    assert len(silences(cli, "--all")) == 1


def test_a_silence_that_is_not_there_cannot_be_removed(cli: Cli, history: Rows) -> None:
    done = cli("silence", "remove", "sil_nothing")
    assert done.exit_code == 1
    assert "there is no silence sil_nothing" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--for", "soon"), ("--for", "4h", "--type", "CASCADE")])
def test_a_silence_wants_a_length_and_known_matchers(
    cli: Cli, history: Rows, arguments: tuple[str, ...]
) -> None:
    assert cli("silence", "add", *arguments).exit_code == 2
    assert silences(cli) == []

import asyncio

import pytest

from regimes.clock import SystemClock
from regimes.commands.webhooks.run import planned
from regimes.config import Settings, load
from regimes.delivery import signing
from regimes.errors import ConfigError
from regimes.events import EventType
from tests.commands.conftest import Cli
from tests.delivery.harness import SIGNING_TEXT
from tests.delivery.receivers import Receiver, says
from tests.schema import faults

LOOPBACK = {"REGIMES__DELIVERY__ALLOW_CIDRS": "127.0.0.1/32"}
SYSTEM = {kind for kind in EventType if kind.source == "SYSTEM"}


def settings(**variables: str) -> Settings:
    return load(environ={**LOOPBACK, **variables})


def plan(**variables: str) -> dict[str, set[EventType]]:
    chosen = settings(**variables)
    return {one.name: set(kinds) for one, kinds in planned(chosen, endpoint=None, kind=None)}


def test_each_endpoint_is_sent_what_it_would_get_in_earnest() -> None:
    assert plan(WEBHOOKS_ALL="http://h/1") == {"http-all-1": set(EventType)}
    assert plan(WEBHOOKS_ALL="http://h/1", WEBHOOKS_ADMIN="http://h/2") == {
        "http-all-1": set(EventType) - SYSTEM,
        "http-admin-1": SYSTEM,
    }
    assert plan(WEBHOOKS_FUNDING="http://h/1") == {
        "http-funding-1": {EventType.FUNDING_ANOMALY, EventType.FUNDING_REVERSAL}
    }


def test_a_named_endpoint_gets_a_named_type_even_where_it_would_not_in_earnest() -> None:
    chosen = settings(WEBHOOKS_FUNDING="http://h/1")
    ((endpoint, kinds),) = planned(chosen, endpoint="http-funding-1", kind=EventType.REGIME_SHIFT)
    assert (endpoint.name, list(kinds)) == ("http-funding-1", [EventType.REGIME_SHIFT])
    with pytest.raises(ConfigError, match="no endpoint takes REGIME_SHIFT: set WEBHOOKS_ALL"):
        planned(chosen, endpoint=None, kind=EventType.REGIME_SHIFT)
    with pytest.raises(ConfigError, match="no endpoint 'nobody'; there are http-funding-1"):
        planned(chosen, endpoint="nobody", kind=None)


def test_without_any_endpoint_it_says_how_to_set_one(cli: Cli) -> None:
    done = cli("test-webhooks")
    assert isinstance(done.exception, ConfigError)
    assert "set WEBHOOKS_ALL" in str(done.exception)


async def test_one_of_each_event_arrives_signed_and_marked_and_each_answer_is_shown(cli: Cli) -> None:
    async with Receiver().serving() as receiver:
        done = await asyncio.to_thread(
            cli,
            "test-webhooks",
            WEBHOOKS_ALL=f"{receiver.base}/hidden-part",
            WEBHOOK_SECRET=SIGNING_TEXT,
            **LOOPBACK,
        )
    assert done.exit_code == 0, done.exception
    assert [seen.json["event_type"] for seen in receiver.seen] == [kind.value for kind in EventType]
    for seen in receiver.seen:
        assert faults(seen.json) == []
        assert seen.json["data"]["is_test"] is True
        signing.verify(
            signing.parse_secrets(SIGNING_TEXT), seen.headers, seen.body, now_s=SystemClock().now_ms() / 1000
        )
    lines = done.stdout.splitlines()
    assert lines[-1] == "15 of 15 test messages delivered to 1 endpoint"
    assert [line.split()[:5] for line in lines[:-1]] == [
        ["http-all-1", kind.value, "delivered", "HTTP", "200"] for kind in EventType
    ]
    assert "hidden-part" not in done.output
    assert "127.0.0.1" not in done.output


async def test_an_answer_that_is_no_success_fails_the_command_and_is_told(cli: Cli) -> None:
    async with Receiver().serving() as receiver:
        receiver.script = [says(410)]
        done = await asyncio.to_thread(
            cli, "test-webhooks", "--type", "REGIME_SHIFT", WEBHOOKS_REGIME=receiver.base, **LOOPBACK
        )
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0].split()[:5] == [
        "http-regime-1",
        "REGIME_SHIFT",
        "permanent",
        "HTTP",
        "410",
    ]
    assert "0 of 1 test message delivered" in done.stdout


async def test_a_receiver_that_never_answers_is_given_up_after_the_timeout(cli: Cli) -> None:
    async with Receiver().serving() as receiver:
        receiver.script = [receiver.hang]
        done = await asyncio.to_thread(
            cli,
            "test-webhooks",
            "--type",
            "REGIME_SHIFT",
            WEBHOOKS_ALL=receiver.base,
            REGIMES__DELIVERY__TIMEOUT_SECONDS="0.3",
            **LOOPBACK,
        )
    assert done.exit_code == 1
    assert "ambiguous" in done.stdout
    assert "timeout" in done.stdout


async def test_a_receiver_that_asks_for_a_wait_gets_it_and_the_message(cli: Cli) -> None:
    async with Receiver().serving() as receiver:
        receiver.script = [says(429, Retry_After="1")]
        done = await asyncio.to_thread(
            cli, "test-webhooks", "--type", "REGIME_SHIFT", WEBHOOKS_ALL=receiver.base, **LOOPBACK
        )
        first, second = receiver.seen
    assert done.exit_code == 0
    assert second.at_s - first.at_s >= 1
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_an_address_that_is_not_allowed_is_refused_with_its_remedy(cli: Cli) -> None:
    async with Receiver().serving() as receiver:
        done = await asyncio.to_thread(
            cli, "test-webhooks", "--type", "REGIME_SHIFT", WEBHOOKS_ALL=receiver.base
        )
        assert receiver.seen == []
    assert done.exit_code == 1
    assert "blocked" in done.stdout
    assert "delivery.allow_cidrs" in done.stdout

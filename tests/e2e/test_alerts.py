"""The service as a process, a webhook receiver, and the commands beside it as processes of their own."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from regimes.clock import SystemClock
from regimes.delivery import signing
from regimes.feeds.simulator.exchange import LoopbackExchange
from tests.delivery.harness import SIGNING_TEXT
from tests.delivery.receivers import Receiver, Seen, says
from tests.e2e.process import Running, regimes, started
from tests.e2e.test_run import against, live_exchange
from tests.schema import faults
from tests.storage.postgres_server import PrivatePostgres

NAME = "http-all-1"


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest) -> str:
    """A DB_URL under which nothing is stored yet; SQLite's is in the folder the processes are started in."""
    if request.param == "sqlite":
        return "sqlite:///alerts.db"
    server: PrivatePostgres = request.getfixturevalue("postgres_server")
    return await server.new_place()


class House:
    """A running service, its exchange, its receiver, and the command line beside it."""

    def __init__(
        self, folder: Path, exchange: LoopbackExchange, receiver: Receiver, variables: dict[str, str]
    ) -> None:
        self.folder = folder
        self.exchange = exchange
        self.receiver = receiver
        self.variables = variables

    async def cascade(self, symbol_id: str) -> None:
        """Let the exchange liquidate millions of one symbol within the moment."""
        await self.exchange.faults.burst(1_500, symbol_ids=[symbol_id])

    async def got(self, symbol: str) -> Seen:
        """Wait for the first webhook about a symbol."""
        count = 1
        while True:
            for seen in await self.receiver.requests(count):
                if seen.json["symbol"] == symbol:
                    return seen
            count = len(self.receiver.seen) + 1

    async def says(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command prints as JSON lines."""
        done = await regimes(self.folder, *arguments, "--json", **self.variables)
        assert done.code == 0, done.err
        return done.lines()

    async def does(self, *arguments: str) -> str:
        """What a command prints."""
        done = await regimes(self.folder, *arguments, **self.variables)
        assert done.code == 0, done.err
        return done.out

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Running]:
        """`regimes run`, connected to everything."""
        async with started(self.folder, "run", **self.variables) as service:
            await service.says("warmed_up")
            while True:
                line = json.loads(await service.says('"status"'))
                if len(line["streams"]) >= 4 and all("live" in stream for stream in line["streams"]):
                    break
            yield service


@asynccontextmanager
async def house(folder: Path, database: str, **more: str) -> AsyncIterator[House]:
    receiver = Receiver()
    async with live_exchange() as exchange, receiver.serving():
        variables = against(
            exchange,
            DB_URL=database,
            WEBHOOKS_ALL=f"{receiver.base}/hook",
            WEBHOOK_SECRET=SIGNING_TEXT,
            REGIMES__DELIVERY__ALLOW_CIDRS="127.0.0.1/32",
            REGIMES__LIQUIDATION__CASCADE_THRESHOLD_USD="1000000",
            REGIMES__PIPELINE__STATUS_SECONDS="1",
            **more,
        )
        yield House(folder, exchange, receiver, variables)


async def test_a_cascade_on_the_wire_arrives_signed_and_is_found_by_every_command(
    tmp_path: Path, database: str
) -> None:
    async with house(tmp_path, database) as home:
        async with home.service() as service:
            await home.cascade("BTCUSDT")
            seen = await home.got("BTC/USDT")
            event = seen.json
            assert faults(event) == []
            assert (event["event_type"], event["phase"], event["severity"]) == (
                "LIQUIDATION_CASCADE",
                "opened",
                "CRITICAL",
            )
            signing.verify(
                signing.parse_secrets(SIGNING_TEXT),
                seen.headers,
                seen.body,
                now_s=SystemClock().now_ms() / 1000,
            )
            listed = await home.says("events", "--symbol", "BTC/USDT", "--type", "LIQUIDATION_CASCADE")
            assert [line["id"] for line in listed] == [event["id"]]
            (endpoint,) = await home.says("endpoints")
            assert (endpoint["name"], endpoint["phase"]) == (NAME, "closed")
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=10) == 0
        # The service is gone; what it knew is not.
        (whole,) = await home.says("events", "show", event["id"])
        assert whole["decisions"][0]["action"] == "send"
        first = next(row for row in whole["deliveries"] if row["revision"] == 0)
        assert first["id"] == seen.headers["webhook-id"]
        assert (first["status"], first["attempts"][0]["outcome"]) == ("delivered", "delivered")
        assert [row["id"] for row in await home.says("deliveries", "--event", event["id"])] == [
            row["id"] for row in reversed(whole["deliveries"])
        ]


async def test_a_replay_and_an_enabled_endpoint_are_taken_up_within_seconds(
    tmp_path: Path, database: str
) -> None:
    async with house(tmp_path, database) as home, home.service() as service:
        home.receiver.script = [says(410)]
        await home.cascade("BTCUSDT")
        refused = (await home.receiver.requests(1))[0]
        await service.says("endpoint_disabled")
        (dead, *_) = await home.says("deliveries", "--status", "dead")
        assert dead["endpoint"] == NAME
        (endpoint,) = await home.says("endpoints")
        assert (endpoint["phase"], endpoint["reason"]) == ("parked", "HTTP 410")
        assert NAME in await home.does("endpoints", "enable", NAME)
        before = len(home.receiver.seen)
        assert "sent again" in await home.does("deliveries", "replay", refused.headers["webhook-id"])
        await home.receiver.requests(before + 1, within_s=6)
        again = home.receiver.seen[before]
        assert again.headers["webhook-id"] == refused.headers["webhook-id"]
        assert again.body == refused.body
        service.signal(signal.SIGTERM)
        assert await service.ends(timeout_s=10) == 0


async def test_a_silence_of_another_process_holds_alerts_back_and_says_so(
    tmp_path: Path, database: str
) -> None:
    async with house(tmp_path, database) as home, home.service() as service:
        added = await home.does(
            "silence", "add", "--for", "1h", "--symbol", "ETH/USDT", "--comment", "maintenance"
        )
        silence = added.split(":")[0]
        assert silence in await service.says("silences_changed", timeout_s=6)
        await home.cascade("ETHUSDT")
        await home.got("ALL")
        (event,) = await home.says("events", "--symbol", "ETH/USDT", "--type", "LIQUIDATION_CASCADE")
        (whole,) = await home.says("events", "show", event["id"])
        assert {row["reason"] for row in whole["decisions"]} == {"silenced"}
        assert silence in whole["decisions"][0]["words"]
        assert whole["deliveries"] == []
        await home.does("silence", "remove", silence)
        assert '"silences": []' in await service.says("silences_changed", timeout_s=6)
        service.signal(signal.SIGTERM)
        assert await service.ends(timeout_s=10) == 0


async def test_sigterm_ends_in_time_while_deliveries_hang_and_the_next_run_delivers_them(
    tmp_path: Path,
) -> None:
    clock = SystemClock()
    async with house(tmp_path, "sqlite:///alerts.db", REGIMES__DELIVERY__TIMEOUT_SECONDS="3") as home:
        home.receiver.script = [home.receiver.hang] * 20
        async with home.service() as service:
            await home.cascade("BTCUSDT")
            hung = (await home.receiver.requests(1))[0]
            asked = clock.monotonic()
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=10) == 0
            assert clock.monotonic() - asked < 10
            assert "Traceback" not in "".join(service.said)
        waiting = await home.says("deliveries", "--status", "pending")
        assert hung.headers["webhook-id"] in {row["id"] for row in waiting} | {
            row["id"] for row in await home.says("deliveries", "--status", "superseded")
        }
        assert waiting
        home.receiver.script = []
        before = len(home.receiver.seen)
        async with home.service() as service:
            await home.receiver.requests(before + len(waiting), within_s=40)
            sent = {seen.headers["webhook-id"] for seen in home.receiver.seen[before:]}
            assert {row["id"] for row in waiting} <= sent
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=10) == 0


async def test_two_commands_at_once_beside_the_service_do_not_disturb_each_other(tmp_path: Path) -> None:
    async with house(tmp_path, "sqlite:///alerts.db") as home, home.service() as service:
        await asyncio.gather(
            *(home.does("silence", "add", "--for", "1h", "--comment", str(number)) for number in range(3)),
            home.cascade("BTCUSDT"),
        )
        assert {row["comment"] for row in await home.says("silence", "list")} == {"0", "1", "2"}
        service.signal(signal.SIGTERM)
        assert await service.ends(timeout_s=10) == 0
        assert "locked" not in "".join(service.said)

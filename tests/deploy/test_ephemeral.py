"""A platform that gives a port and a disk that is empty after each restart: PostgreSQL brings everything back."""

import asyncio
import json
import signal
from pathlib import Path

from regimes.config import load
from regimes.config.settings import Origin
from tests.delivery.receivers import Receiver
from tests.e2e.process import regimes, started
from tests.e2e.test_run import against, live_exchange
from tests.storage.postgres_server import PrivatePostgres


def test_the_port_of_the_platform_is_honoured_and_the_programs_own_setting_wins(tmp_path: Path) -> None:
    settings = load(environ={"PORT": "8123"}, folder=tmp_path)
    assert settings.web.port == 8123
    assert settings.origin("web.port") == Origin("environment", "PORT")
    both = {"PORT": "8123", "REGIMES__WEB__PORT": "9123"}
    assert load(environ=both, folder=tmp_path).web.port == 9123


async def test_an_episode_goes_on_after_a_restart_on_an_empty_disk(
    tmp_path: Path, postgres_server: PrivatePostgres
) -> None:
    url = postgres_server.url(await postgres_server.new_database())
    told: list[dict[str, object]] = []
    async with live_exchange() as exchange, Receiver().serving() as receiver:
        variables = against(
            exchange,
            DB_URL=url,
            WEBHOOKS_ALL=f"{receiver.base}/hook",
            REGIMES__DELIVERY__ALLOW_CIDRS="127.0.0.0/8",
            REGIMES__ALERTING__MINIMUM_SEVERITY="INFO",
        )
        for name, number in (("first", signal.SIGKILL), ("second", signal.SIGTERM)):
            disk = tmp_path / name
            disk.mkdir()
            async with started(disk, "run", **variables) as service:
                await service.says("binanceusdm liquidations")
                symbol_ids = ["BTCUSDT"] if name == "first" else ["BTCUSDT", "ETHUSDT"]
                await exchange.faults.burst(2_000 * len(symbol_ids), symbol_ids=symbol_ids)
                if name == "first":
                    await told_of_btc(receiver)
                    await stored(disk, url)
                else:  # ETH's begins with what came last: what came of BTC has been judged by then
                    await service.says('"symbol": "ETH/USDT", "severity"')
                    assert not [line for line in service.said if '"symbol": "BTC/USDT", "severity"' in line]
                service.signal(number)
                await service.ends(timeout_s=20)
        told = [seen.json for seen in receiver.seen]
        ids = [seen.headers["webhook-id"] for seen in receiver.seen]
        listed = await regimes(
            tmp_path / "second", "events", "--type", "LIQUIDATION_CASCADE", "--json", DB_URL=url
        )
    ours = [body for body in told if is_cascade(body)]
    assert len({body["id"] for body in ours}) == 1, "one episode, before and after"
    assert len({body["revision"] for body in ours}) == len(ours), "no state of it is told twice"
    assert "opened" not in [body["phase"] for body in ours[1:]]
    assert len(set(ids)) == len(ids)
    assert [event["symbol"] for event in listed.lines()].count("BTC/USDT") == 1


async def told_of_btc(receiver: Receiver) -> None:
    """Wait until the beginning of the episode has arrived."""
    count = 0
    while not any(is_cascade(seen.json) for seen in receiver.seen):
        count = len(await receiver.requests(count + 1, within_s=60))


def is_cascade(body: dict[str, object]) -> bool:
    return body["event_type"] == "LIQUIDATION_CASCADE" and body["symbol"] == "BTC/USDT"


async def stored(disk: Path, url: str) -> None:
    """Wait until the event is in the database, as another process sees it."""
    async with asyncio.timeout(60):
        while True:
            done = await regimes(disk, "events", "--json", DB_URL=url)
            if any(json.loads(line)["symbol"] == "BTC/USDT" for line in done.out.splitlines()):
                return

"""Secrets in every setting that holds one, and everything failing: none of them may be seen anywhere."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from regimes.config.load import holds_secret, leaves
from regimes.config.settings import settings_type
from regimes.config.sources import PREFIX, VARIABLES
from tests.delivery.receivers import Receiver, babble, raw_server, reset, says
from tests.e2e.process import Done, regimes, started
from tests.e2e.test_run import against, live_exchange
from tests.feeds.proxy import forward_proxy

CANARY = "cAnArY"
SECRET_PATHS = [path for path, field in leaves(settings_type()) if holds_secret(field)]
WEBHOOKS = [name for name in VARIABLES if name.startswith("WEBHOOKS_")]
CHATS = (
    f"https://discord.com/api/webhooks/123456789012345678/{CANARY}-discord-{'x' * 40}",
    f"https://api.telegram.org/bot123456789:{CANARY}-telegram-{'x' * 20}/sendMessage?chat_id={CANARY}7",
    f"https://hooks.slack.com/services/T0{CANARY}/B0{CANARY}/{CANARY}slack{'x' * 12}",
)


def canaries(*, webhooks: str, database: str, proxy_port: int = 9) -> dict[str, str]:
    """One secret for each setting that holds one; the test below fails when a new setting is forgotten."""
    return {
        "BINANCE_API_KEY": f"{CANARY}-api-key",
        "BINANCE_SECRET": f"{CANARY}-api-secret",
        "WEBHOOK_SECRET": "whsec_Y0FuQXJZLXNpZ25pbmcta2V5LTAxMjM0NTY3",
        "DB_URL": database,
        "OPENAI_API_KEY": f"{CANARY}-narrative-key-{'x' * 24}",
        "OPENAI_BASE_URL": f"http://user:{CANARY}-password@127.0.0.1:9/v1",
        "REGIMES__VENUES__PROXY": f"http://user:{CANARY}-password@127.0.0.1:{proxy_port}",
        "REGIMES__WEB__TOKEN": f"{CANARY}-dashboard-token-{'x' * 24}",
        "REGIMES__WEB__METRICS_TOKEN": f"{CANARY}-metrics-token-{'x' * 24}",
        **dict.fromkeys(WEBHOOKS, webhooks),
    }


def test_every_secret_setting_has_its_canary() -> None:
    given = canaries(webhooks="", database="")
    paths = {VARIABLES.get(name) or name.removeprefix(PREFIX).lower().replace("__", ".") for name in given}
    assert paths == set(SECRET_PATHS)


def unseen(text: str, place: str) -> None:
    assert text, f"{place} is empty: nothing was checked"
    for secret in (CANARY, "Y0FuQXJZLXNpZ25pbmcta2V5"):
        assert secret.lower() not in text.lower(), f"{place} shows {secret}"


def dump(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


@asynccontextmanager
async def failing_webhooks() -> AsyncIterator[tuple[str, Receiver]]:
    """URLs with secrets in path, query and password, to receivers that fail and repeat what they were sent."""
    async with Receiver().serving() as echo, raw_server(reset) as resetting, raw_server(babble) as babbling:
        echo.script = [
            says(500, f"no such hook /{CANARY}-path-0123456789".encode()),
            says(429, Retry_After="1", X_Hook=f"{CANARY}-path-0123456789"),
            says(302, Location=f"http://127.0.0.1/{CANARY}-path-0123456789"),
            says(410, f"{CANARY}-path-0123456789".encode()),
        ]
        places = [
            f"{echo.base.replace('http://', f'http://user:{CANARY}-password@')}/{CANARY}-path-0123456789",
            f"http://127.0.0.1:{resetting}/{CANARY}-path-0123456789?key={CANARY}-query",
            f"http://127.0.0.1:{babbling}/hook?token={CANARY}-query",
            f"https://127.0.0.1:{babbling}/{CANARY}-path-0123456789",
            f"http://127.0.0.1:9/{CANARY}-path-0123456789",
        ]
        yield ",".join(places), echo


@pytest.mark.parametrize("to_file", [False, True])
async def test_no_secret_is_seen_while_everything_fails(tmp_path: Path, *, to_file: bool) -> None:
    log = tmp_path / "regimes.log"
    async with (
        live_exchange() as exchange,
        failing_webhooks() as (webhooks, echo),
        forward_proxy(f"user:{CANARY}-password") as (_, port),
    ):
        variables = against(
            exchange,
            **canaries(
                webhooks=webhooks,
                database=f"postgresql://user:{CANARY}-password@127.0.0.1:9/regimes",
                proxy_port=port,
            ),
            LOG_LEVEL="DEBUG",
            REGIMES__DELIVERY__ALLOW_CIDRS="127.0.0.1/32",
            REGIMES__LIQUIDATION__CASCADE_THRESHOLD_USD="1000000",
            **({"LOG_FILE": str(log)} if to_file else {}),
        )
        async with started(tmp_path, "run", **variables) as service:
            while not await exchange.faults.burst(1_500, symbol_ids=["BTCUSDT"]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # until there is a reader to send to
            await echo.requests(4, within_s=60)
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=15) == 0
    unseen(log.read_text() if to_file else "".join(service.said), "the log")
    assert "not_delivered" in (log.read_text() if to_file else "".join(service.said))
    unseen(dump(tmp_path / ".regimes" / "spool.db"), "the spool")


async def test_no_secret_is_seen_in_what_the_commands_print(tmp_path: Path) -> None:
    async with live_exchange() as exchange, failing_webhooks() as (webhooks, _):
        variables = against(
            exchange,
            **canaries(
                webhooks=webhooks, database=f"postgresql://user:{CANARY}-password@127.0.0.1:9/regimes"
            ),
            REGIMES__DELIVERY__ALLOW_CIDRS="127.0.0.1/32",
            REGIMES__DELIVERY__TIMEOUT_SECONDS="2",
        )
        for line in ("check-config", "doctor", "events", "test-webhooks --type REGIME_SHIFT"):
            seen(await regimes(tmp_path, *line.split(), **variables), line)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WEBHOOKS_ALL", f"https://discord.com/{CANARY}"),
        ("DB_URL", f"postgresql://u:{CANARY}[@h:x/y"),
        ("REGIMES__VENUES__PROXY", f"http://u:{CANARY}@h:x"),
    ],
)
async def test_no_secret_is_seen_in_mistakes_about_it(tmp_path: Path, name: str, text: str) -> None:
    done = await regimes(tmp_path, "run", **{name: text})
    seen(done, name)
    assert done.code == 2


async def test_chat_urls_are_not_seen_where_settings_are_shown(tmp_path: Path) -> None:
    variables = dict.fromkeys(WEBHOOKS, ",".join(CHATS))
    done = await regimes(tmp_path, "check-config", **variables)
    seen(done, "check-config")
    assert done.code == 0
    for name in ("discord-", "telegram-", "slack-"):
        assert name in done.out


def seen(done: Done, place: str) -> None:
    unseen(done.out + done.err, place)
    assert "Traceback" not in done.err, done.err

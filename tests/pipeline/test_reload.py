"""[alerting] and [delivery] change while the service runs; a mistake changes nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from structlog.testing import capture_logs

from regimes.config import Settings
from regimes.errors import ConfigError
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.redact import Redactor, secrets_in
from tests.chaos import world
from tests.delivery.receivers import Receiver
from tests.loopback import exchange_on_loopback
from tests.pipeline.living import Life, living, settings_with

CASCADES: dict[str, Any] = {
    "liquidation": {"market_multiple": 1e6, "cascade_threshold_usd": 1e5, "critical_velocity": 1e5}
}


@pytest.fixture
async def hooks() -> AsyncIterator[tuple[Receiver, Receiver]]:
    async with Receiver().serving() as first, Receiver().serving() as second:
        yield first, second


@asynccontextmanager
async def running(folder: Path, hook: Receiver) -> AsyncIterator[tuple[LoopbackExchange, Life]]:
    async with exchange_on_loopback(speed=1.0, running=True) as (exchange, clock):
        settings = settings_with(exchange, folder, hook.base, **CASCADES)
        async with living(settings, clock) as life:
            yield exchange, life


async def reloaded(life: Life, read: Callable[[], Settings]) -> dict[str, Any]:
    """Reload once; what the log says of it."""
    life.read = read
    structlog.reset_defaults()
    with capture_logs() as lines:
        life.reload.set()
        await life.until(lambda: [line for line in lines if line["event"].startswith("settings_")])
    return next(dict(line) for line in lines if line["event"].startswith("settings_"))


async def test_other_endpoints_are_served_from_then_on(
    tmp_path: Path, hooks: tuple[Receiver, Receiver]
) -> None:
    first, second = hooks
    async with running(tmp_path, first) as (exchange, life):
        await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
        await first.requests(1)
        changed = settings_with(exchange, tmp_path, second.base, **CASCADES)
        line = await reloaded(life, lambda: changed)
        seen = len(first.seen)
        await exchange.faults.burst(60, symbol_ids=["ETHUSDT"])
        (told, *_) = await second.requests(1)
        assert len(first.seen) == seen
    assert line["event"] == "settings_reloaded"
    assert line["need_a_restart"] == []
    assert told.json["symbol"] == "ETH/USDT"


async def test_what_waits_for_an_endpoint_that_stays_is_still_delivered(
    tmp_path: Path, hooks: tuple[Receiver, Receiver]
) -> None:
    first, second = hooks
    async with running(tmp_path, first) as (exchange, life):
        both = f"{first.base},{second.base}"
        changed = settings_with(exchange, tmp_path, both, **CASCADES)
        released = asyncio.Event()

        async def busy(_request: web.Request) -> web.StreamResponse:
            await released.wait()
            return web.Response(status=503)

        first.script = [busy]
        await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
        await first.requests(1)
        await reloaded(life, lambda: changed)
        released.set()
        one, again, *_ = await first.requests(2)
    assert again.json["id"] == one.json["id"]


async def test_the_policy_decides_by_the_new_settings(
    tmp_path: Path, hooks: tuple[Receiver, Receiver]
) -> None:
    first, _ = hooks
    async with running(tmp_path, first) as (exchange, life):
        changed = settings_with(
            exchange, tmp_path, first.base, **CASCADES, alerting={"minimum_severity": "CRITICAL"}
        )
        await reloaded(life, lambda: changed)
        assert life.alerts.desk.policy.settings.minimum_severity == "CRITICAL"
        assert {route.minimum.name for route in life.alerts.desk.policy.routes} == {"CRITICAL"}


@pytest.mark.parametrize("mistake", ["unreadable", "fallback", "network"])
async def test_a_mistake_changes_nothing(
    mistake: str, tmp_path: Path, hooks: tuple[Receiver, Receiver]
) -> None:
    first, second = hooks
    async with running(tmp_path, first) as (exchange, life):

        def read() -> Settings:
            if mistake == "unreadable":
                raise ConfigError("config/regimes.toml: alerting.daily_cap must be >= 0 (got -1)")
            wrong = {"fallback": "nobody"} if mistake == "fallback" else {"allow_cidrs": ("10.0.0.0/99",)}
            return settings_with(
                exchange,
                tmp_path,
                second.base,
                **CASCADES,
                delivery=wrong,
                alerting={"minimum_severity": "INFO"},
            )

        before = life.alerts.settings
        line = await reloaded(life, read)
        assert life.alerts.settings is before
        assert life.alerts.desk.policy.settings == before.alerting
        await exchange.faults.burst(60, symbol_ids=["BTCUSDT"])
        (told, *_) = await first.requests(1)
        assert not second.seen
    assert (line["event"], line["log_level"]) == ("settings_not_reloaded", "error")
    assert {"unreadable": "daily_cap", "fallback": "nobody", "network": "10.0.0.0/99"}[mistake] in line[
        "error"
    ]
    assert told.json["symbol"] == "BTC/USDT"


async def test_settings_that_need_a_restart_are_named_and_left(
    tmp_path: Path, hooks: tuple[Receiver, Receiver]
) -> None:
    first, _ = hooks
    async with running(tmp_path, first) as (exchange, life):
        other: dict[str, Any] = {"liquidation": {**CASCADES["liquidation"], "critical_velocity": 2e5}}
        changed = settings_with(exchange, tmp_path, first.base, **other)
        line = await reloaded(life, lambda: changed)
        assert life.alerts.settings.section("liquidation") != changed.section("liquidation")
    assert line["need_a_restart"] == ["liquidation.critical_velocity"]


@pytest.mark.parametrize(
    ("name", "value"), [("cascade_basis", "relative"), ("volatility_basis", "both")], ids=str
)
async def test_a_basis_that_makes_other_events_is_said_to_need_a_restart(
    tmp_path: Path, hooks: tuple[Receiver, Receiver], name: str, value: str
) -> None:
    first, _ = hooks
    async with running(tmp_path, first) as (exchange, life):
        changed = settings_with(exchange, tmp_path, first.base, **CASCADES, alerting={name: value})
        line = await reloaded(life, lambda: changed)
    assert line["need_a_restart"] == [f"alerting.{name}"]


def test_a_redactor_masks_what_it_has_learned_and_what_it_knew(tmp_path: Path) -> None:
    redact = Redactor(["https://example.com/old-secret-path-0123456789"])
    settings = Settings.model_validate(
        {"delivery": {"webhooks_all": "https://example.com/new-secret-path-987"}}
    )
    redact.learn(secrets_in(settings))
    shown = redact("to https://example.com/old-secret-path-0123456789, then new-secret-path-987")
    assert "secret-path" not in shown


async def test_a_hangup_makes_the_service_read_its_files_again(tmp_path: Path) -> None:
    symbol = world.alike(1)[0]
    async with world.exchange([symbol]) as market, world.receivers(2) as (first, second):
        variables = world.variables(market, [symbol], [first], f"sqlite:///{tmp_path}/service.db")
        del variables["WEBHOOKS_ALL"]
        dotenv = tmp_path / ".env"
        dotenv.write_text(f"WEBHOOKS_ALL={first.url}\n")
        async with world.service(tmp_path, variables) as service:
            await service.is_live()
            dotenv.write_text("REGIMES__ALERTING__DIGEST_HOUR_UTC=99\n")
            service.process.send_signal(signal.SIGHUP)
            refused = await service.says("settings_not_reloaded")
            dotenv.write_text(f"WEBHOOKS_ALL={second.url}\n")
            service.process.send_signal(signal.SIGHUP)
            await service.says("settings_reloaded")
            await market.strike(symbol)
            await second.hears(symbol=symbol, revision=2)
            assert await service.stop() == 0
    assert "digest_hour_utc" in refused["error"].lower()
    assert not first.bodies

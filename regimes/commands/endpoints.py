"""`regimes endpoints`: what stands behind each name, whether it is sent to, and enabling it again."""

from collections.abc import Mapping
from typing import Any

import msgspec
import typer
from rich.text import Text

from regimes.clock import SystemClock
from regimes.commands.database import with_database
from regimes.commands.output import console, rows_table
from regimes.config import Settings
from regimes.delivery.endpoints import Endpoint
from regimes.delivery.guard import AddressGuard
from regimes.delivery.state import EndpointState, enabled, restored
from regimes.errors import ConfigError
from regimes.events import iso_utc
from regimes.pipeline.alerts import endpoints_of, signing_secrets
from regimes.storage.base import Storage

NONE_CONFIGURED = (
    "no endpoint is configured: set WEBHOOKS_ALL, or one of the other WEBHOOKS_*, to the URL of a webhook; "
    "docs/webhooks.md shows how to make one for Discord, Telegram, Slack or your own program"
)


def execute(settings: Settings, *, as_json: bool) -> None:
    """List the configured endpoints by name and say how each stands."""
    rows = with_database(settings, lambda storage: _rows(settings, storage))
    if as_json:
        for row in rows:
            typer.echo(msgspec.json.encode(row))
        return
    if not rows:
        typer.echo(NONE_CONFIGURED)
        return
    table = rows_table("endpoint", "kind", "gets", "state", "why", whole=("endpoint",))
    for row in rows:
        cells = (row["name"], row["kind"], ", ".join(row["routes"]), row["phase"], _why(row))
        table.add_row(*(Text(cell) for cell in cells), style="" if row["phase"] == "closed" else "yellow")
    console().print(table)


def enable(settings: Settings, name: str) -> None:
    """Send to a disabled or failing endpoint again. Raises ConfigError for a name that is not configured."""
    endpoint = named(endpoints_of(settings), name)

    async def put(storage: Storage) -> None:
        now_ms = SystemClock().now_ms()
        state = restored((await storage.endpoints()).get(name), endpoint.fingerprint)
        await storage.put_endpoint(name, enabled(state, now_ms).encode())
        await storage.hurry(name, now_ms=now_ms)

    with_database(settings, put)
    typer.echo(
        f"{name} is sent to again. What it missed: `regimes deliveries --status dead`, "
        "`regimes deliveries replay --dead`"
    )


def named(endpoints: tuple[Endpoint, ...], name: str) -> Endpoint:
    """The endpoint of a name. Raises ConfigError that lists the names there are."""
    for endpoint in endpoints:
        if endpoint.name == name:
            return endpoint
    if not endpoints:
        raise ConfigError(NONE_CONFIGURED)
    raise ConfigError(f"no endpoint {name!r}; there are {', '.join(e.name for e in endpoints)}")


def checked(settings: Settings) -> tuple[Endpoint, ...]:
    """The configured endpoints, once everything about delivery is known to be sound. Raises ConfigError."""
    endpoints = endpoints_of(settings)
    signing_secrets(settings)
    AddressGuard(settings.delivery.allow_cidrs)
    fallback = settings.delivery.fallback
    if fallback and fallback not in {endpoint.name for endpoint in endpoints}:
        names = ", ".join(endpoint.name for endpoint in endpoints) or "none"
        raise ConfigError(f"delivery.fallback: no endpoint {fallback!r}; there are {names}")
    return endpoints


async def parked(settings: Settings, storage: Storage) -> Mapping[str, str]:
    """Disabled endpoints and why."""
    stored = await storage.endpoints()
    states = {e.name: restored(stored.get(e.name), e.fingerprint) for e in endpoints_of(settings)}
    return {
        name: state.breaker.parked_reason
        for name, state in states.items()
        if state.breaker.parked_reason is not None
    }


async def _rows(settings: Settings, storage: Storage) -> list[dict[str, Any]]:
    stored, now_ms = await storage.endpoints(), SystemClock().now_ms()
    return [
        _row(endpoint, restored(stored.get(endpoint.name), endpoint.fingerprint), now_ms)
        for endpoint in endpoints_of(settings)
    ]


def _row(endpoint: Endpoint, state: EndpointState, now_ms: int) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "kind": endpoint.kind.value,
        "routes": sorted(endpoint.routes),
        "phase": state.breaker.phase(now_ms).value,
        "reason": state.breaker.parked_reason,
        "failures": state.breaker.failures,
        "parked_ms": state.breaker.parked_ms,
        "open_until_ms": state.breaker.open_until_ms,
        "hold_until_ms": state.hold_until_ms if state.hold_until_ms > now_ms else None,
    }


def _why(row: Mapping[str, Any]) -> str:
    if row["reason"] is not None:
        return f"{row['reason']}, since {iso_utc(row['parked_ms'])}"
    if row["hold_until_ms"] is not None:
        return f"asked us to wait until {iso_utc(row['hold_until_ms'])}"
    if row["open_until_ms"] is not None:
        return f"{row['failures']} failures in a row, tried again {iso_utc(row['open_until_ms'])}"
    return ""

"""Where alerts are kept and go: the database, and each endpoint, which is reached without being sent anything."""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from regimes.commands.doctor.disk import look_at
from regimes.commands.doctor.finding import Finding
from regimes.commands.endpoints import NONE_CONFIGURED
from regimes.config import Settings
from regimes.delivery.base import Failure, Request, Response, TransportError
from regimes.delivery.channel import Channel, open_channels
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.settings import DeliverySettings
from regimes.delivery.state import restored
from regimes.errors import ConfigError, StorageError
from regimes.storage.base import Storage
from regimes.storage.factory import database_for
from regimes.storage.postgres import PostgresStorage
from regimes.storage.sqlite import SqliteStorage

_KNOWS: Final = frozenset({Kind.DISCORD, Kind.TELEGRAM})
"""Kinds that can be asked whether they know us."""
_REMEDIES: Final = {
    Failure.BLOCKED: "add its network to delivery.allow_cidrs if it is yours",
    Failure.DNS: "correct the host in its URL, or the name server of this machine",
    Failure.TLS: "correct its certificate, or the certificates of this machine",
}


async def database(settings: Settings, receivers: Sequence[Endpoint]) -> list[Finding]:
    """Open the database as a start would; also which endpoints it says are disabled."""
    try:
        found = database_for(settings.storage.url.get_secret_value())
    except ConfigError as error:
        return [Finding("database", "wrong", str(error), "correct DB_URL")]
    if isinstance(found, SqliteStorage) and not found.path.exists():
        return [look_at("database folder", found.path.absolute().parent)]
    try:
        await found.open()
    except StorageError as error:
        remedy = (
            f"until then `run` keeps everything in {settings.storage.spool}"
            if isinstance(found, PostgresStorage)
            else "`run` will not start before"
        )
        return [Finding("database", "wrong", str(error), remedy)]
    try:
        return [await _contents(found, found.place), *await _disabled(found, receivers)]
    finally:
        await found.close()


async def endpoints(receivers: Sequence[Endpoint], settings: DeliverySettings) -> list[Finding]:
    """Reach each endpoint without sending it an alert. Raises ConfigError for `allow_cidrs`."""
    if not receivers:
        return [Finding("endpoints", "warning", "none: alerts are stored and go nowhere", NONE_CONFIGURED)]
    async with open_channels(receivers, settings) as channels:
        return list(await asyncio.gather(*map(_reach, channels)))


async def _contents(storage: Storage, place: str) -> Finding:
    stats = await storage.stats()
    deliveries = stats["deliveries"]
    words = (
        f"{place}: schema {stats['schema_version']}, {stats['rows']['market_events']:,} states of events, "
        f"{deliveries.get('pending', 0):,} deliveries waiting, {deliveries.get('dead', 0):,} given up"
    )
    if deliveries.get("dead"):
        remedy = (
            "`regimes deliveries --status dead` says why, `regimes deliveries replay --dead` sends them again"
        )
        return Finding("database", "warning", words, remedy)
    return Finding("database", "ok", words)


async def _disabled(storage: Storage, receivers: Sequence[Endpoint]) -> list[Finding]:
    stored = await storage.endpoints()
    states = {one.name: restored(stored.get(one.name), one.fingerprint) for one in receivers}
    return [
        Finding(
            f"endpoint {name}",
            "warning",
            f"disabled: {state.breaker.parked_reason}",
            f"correct its URL, or run `regimes endpoints enable {name}`",
        )
        for name, state in states.items()
        if state.breaker.parked_reason is not None
    ]


async def _reach(channel: Channel) -> Finding:
    endpoint = channel.endpoint
    subject, request = f"endpoint {endpoint.name}", _question(endpoint)
    if request is None:
        return Finding(subject, "ok", "can only be tried", _try_it(endpoint))
    try:
        response = await channel.transport.send(request)
    except TransportError as error:
        remedy = _REMEDIES.get(error.failure, "check its URL, and network and firewall of this machine")
        return Finding(subject, "wrong", str(error), remedy)
    return _judge(endpoint, response)


def _question(endpoint: Endpoint) -> Request | None:
    """A request that leaves no message behind; None where there is none."""
    match endpoint.kind:
        case Kind.DISCORD:
            return Request("GET", endpoint.url, {}, b"")
        case Kind.TELEGRAM:
            chat_id = quote(endpoint.params["chat_id"], safe="")
            return Request("GET", f"{endpoint.url}/getChat?chat_id={chat_id}", {}, b"")
        case Kind.APPRISE:
            return None
        case _:
            return Request("HEAD", endpoint.url, {}, b"")


def _judge(endpoint: Endpoint, response: Response) -> Finding:
    subject, status = f"endpoint {endpoint.name}", response.status
    if endpoint.kind in _KNOWS and 400 <= status < 500 and status != 429:
        return Finding(
            subject,
            "wrong",
            f"does not know this webhook or chat (HTTP {status})",
            "make a new one, set its URL",
        )
    if status >= 500:
        return Finding(subject, "warning", f"answers with a failure of its own (HTTP {status})", "look there")
    if endpoint.kind in _KNOWS:
        return Finding(subject, "ok", f"knows us (HTTP {status})")
    return Finding(subject, "ok", f"answers (HTTP {status})", _try_it(endpoint))


def _try_it(endpoint: Endpoint) -> str:
    return f"to see whether it takes messages: `regimes test-webhooks --endpoint {endpoint.name}`"

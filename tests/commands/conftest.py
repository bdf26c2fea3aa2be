"""The command line in this process, in a folder of its own, with nobody's settings; and a database with a history."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from regimes.alerting.records import Action, Decision, Reason
from regimes.alerting.render import render
from regimes.cli import app
from regimes.cli.invocation import Invocation
from regimes.commands.webhooks.samples import sample
from regimes.config.sources import PREFIX, VARIABLES
from regimes.delivery.breaker import Breaker
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.enqueue import Letter, new_delivery
from regimes.delivery.state import EndpointState
from regimes.events import EventBody, EventType, body
from regimes.storage.base import (
    Attempt,
    DeliveryStatus,
    NewDelivery,
    Outcome,
    Settlement,
    Step,
)
from regimes.storage.sqlite import SqliteStorage

NOW_MS = 1_738_000_000_000
ENDPOINT = Endpoint(name="http-all-1", kind=Kind.HTTP, routes=frozenset({"ALL"}), url="http://127.0.0.1:9/x")
Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_before: None) -> Cli:
    """Run `regimes ...` here; what it raises for `main` to explain is in `result.exception`."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str, **variables: str) -> Result:
        assert all(name in VARIABLES or name.startswith(PREFIX) for name in variables)
        return CliRunner().invoke(app, arguments, obj=Invocation(), env=variables)

    return invoke


def told(kind: EventType, at_ms: int) -> tuple[EventBody, NewDelivery]:
    """An event and what was to be sent of it."""
    event = body(sample(kind, at_ms))
    return event, new_delivery(Letter.of(event, render(event)), ENDPOINT, now_ms=at_ms)


@pytest.fixture
def history(tmp_path: Path) -> list[tuple[EventBody, NewDelivery]]:
    """A database `local.db`: a cascade that was delivered at the second try, an anomaly whose message was given up."""
    rows = [told(EventType.LIQUIDATION_CASCADE, NOW_MS), told(EventType.FUNDING_ANOMALY, NOW_MS + 60_000)]
    asyncio.run(_write(tmp_path / "local.db", rows))
    return rows


@pytest.fixture
def parked(tmp_path: Path, history: list[tuple[EventBody, NewDelivery]]) -> None:
    """The same database, in which the endpoint is given up."""
    state = EndpointState(fingerprint=ENDPOINT.fingerprint, breaker=Breaker().parked(NOW_MS, "HTTP 410"))
    asyncio.run(_park(tmp_path / "local.db", state))


async def _park(path: Path, state: EndpointState) -> None:
    storage = SqliteStorage(path)
    await storage.open()
    await storage.put_endpoint(ENDPOINT.name, state.encode())
    await storage.close()


async def _write(path: Path, rows: list[tuple[EventBody, NewDelivery]]) -> None:
    storage = SqliteStorage(path)
    await storage.open()
    for event, delivery in rows:
        decision = Decision(
            event_id=event.id,
            revision=0,
            endpoint=ENDPOINT.name,
            action=Action.SEND,
            reason=Reason.OPENED,
            words=event.why,
            ts_ms=NOW_MS,
        )
        await storage.commit(Step(events=[event], decisions=[decision], deliveries=[delivery]))
    (_, delivered), (_, dead) = rows
    await storage.settle(
        _attempt(delivered, 1, Outcome.AMBIGUOUS, None, "timeout: after sending"),
        Settlement(status=DeliveryStatus.PENDING, next_at_ms=NOW_MS),
    )
    await storage.settle(
        _attempt(delivered, 2, Outcome.DELIVERED, 204, ""), Settlement(status=DeliveryStatus.DELIVERED)
    )
    await storage.settle(
        _attempt(dead, 1, Outcome.PERMANENT, 410, "HTTP 410"), Settlement(status=DeliveryStatus.DEAD)
    )
    await storage.close()


def _attempt(delivery: NewDelivery, number: int, outcome: Outcome, status: int | None, note: str) -> Attempt:
    return Attempt(
        delivery_id=delivery.id,
        endpoint=delivery.endpoint,
        attempt=number,
        started_ms=NOW_MS + number,
        duration_ms=12,
        outcome=outcome,
        status_code=status,
        note=note,
    )

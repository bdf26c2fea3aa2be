"""Straight through the same exchange as real deliveries, past storage and policy."""

import asyncio
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
import typer

from regimes.alerting.message import Parcel, pack, unpack
from regimes.alerting.render import render
from regimes.alerting.rules import routes_for
from regimes.clock import Clock, SystemClock
from regimes.commands.endpoints import NONE_CONFIGURED, named
from regimes.commands.running import ExitCode, run_to_end
from regimes.commands.webhooks.samples import sample
from regimes.config import Settings
from regimes.delivery.channel import Channel, open_channels
from regimes.delivery.endpoints import Endpoint
from regimes.delivery.exchange import Tried, exchange
from regimes.delivery.pace import Pace
from regimes.errors import ConfigError
from regimes.events import Event, EventType, body
from regimes.logs import LogSettings, configure
from regimes.pipeline.alerts import endpoints_of, links_of, routes, signing_secrets
from regimes.redact import Redactor
from regimes.storage.base import Outcome
from regimes.wording import count

LONGEST_HOLD_S: Final = 60.0
Plan: TypeAlias = Sequence[tuple[Endpoint, Sequence[EventType]]]


class Answer(msgspec.Struct, frozen=True):
    """What an endpoint said to one test message."""

    endpoint: str
    event_type: EventType
    tried: Tried

    @property
    def is_delivered(self) -> bool:
        """Whether it took the message."""
        return self.tried.outcome is Outcome.DELIVERED


def execute(settings: Settings, *, endpoint: str | None, kind: EventType | None) -> ExitCode:
    """Send and show each answer; CHECK_FAILED when one was not delivered. Raises ConfigError where nothing is to do."""
    configure(LogSettings(level="CRITICAL"), redact=Redactor.of(settings))
    plan = planned(settings, endpoint=endpoint, kind=kind)
    answers = run_to_end(_send_all(settings, plan))
    delivered = sum(answer.is_delivered for answer in answers)
    typer.echo(
        f"{delivered} of {count(len(answers), 'test message')} delivered to {count(len(plan), 'endpoint')}"
    )
    return ExitCode.OK if delivered == len(answers) else ExitCode.CHECK_FAILED


def planned(settings: Settings, *, endpoint: str | None, kind: EventType | None) -> Plan:
    """Which types each endpoint is sent: those it would get in earnest; a named endpoint gets a named type anyway."""
    endpoints = endpoints_of(settings)
    if not endpoints:
        raise ConfigError(NONE_CONFIGURED)
    if endpoint is not None and kind is not None:
        return [(named(endpoints, endpoint), [kind])]
    wanted = [named(endpoints, endpoint)] if endpoint is not None else list(endpoints)
    takers = {
        each: {route.endpoint for route in routes_for(sample(each, 0), routes(endpoints, settings))}
        for each in ([kind] if kind else EventType)
    }
    plan = [(one, [each for each, names in takers.items() if one.name in names]) for one in wanted]
    plan = [(one, kinds) for one, kinds in plan if kinds]
    if not plan:
        raise ConfigError(
            f"no endpoint takes {kind}: set WEBHOOKS_ALL or the one for {kind.source if kind else 'it'}, "
            "or name an endpoint with --endpoint"
        )
    return plan


async def _send_all(settings: Settings, plan: Plan) -> Sequence[Answer]:
    secrets, redact = signing_secrets(settings), Redactor.of(settings)
    answers: list[Answer] = []
    async with (
        open_channels([endpoint for endpoint, _ in plan], settings.delivery, secrets=secrets) as channels,
        asyncio.TaskGroup() as group,
    ):
        for channel, (_, kinds) in zip(channels, plan, strict=True):
            group.create_task(_send(channel, kinds, settings, redact, answers))
    return answers


async def _send(
    channel: Channel, kinds: Sequence[EventType], settings: Settings, redact: Redactor, answers: list[Answer]
) -> None:
    """Send to one endpoint in turn, no faster than it takes."""
    clock, pace, links = SystemClock(), Pace(channel.traits.rates), links_of(settings)
    hold_s = 0.0
    for kind in kinds:
        await asyncio.sleep(max(hold_s, pace.wait_s(clock.monotonic())))
        began_s = clock.monotonic()
        pace.begin(began_s)
        event = sample(kind, clock.now_ms())
        tried = await _try(channel, _parcel(event, dict(links(event))), clock)
        pace.end(began_s, clock.monotonic())
        hold_s = min(tried.reply.hold_s or 0.0, LONGEST_HOLD_S)
        answers.append(Answer(channel.endpoint.name, kind, tried))
        typer.echo(redact(line(answers[-1])))


async def _try(channel: Channel, parcel: Parcel, clock: Clock) -> Tried:
    """Once; and once more after a wait that the receiver asked for."""
    tried = await exchange(channel.target, channel.transport, parcel, clock, edit=None, memory={})
    wait_s = tried.reply.hold_s
    if tried.outcome is not Outcome.RETRY or wait_s is None or wait_s > LONGEST_HOLD_S:
        return tried
    await asyncio.sleep(wait_s)
    return await exchange(channel.target, channel.transport, parcel, clock, edit=None, memory={})


def _parcel(event: Event, links: dict[str, str]) -> Parcel:
    whole = body(event, links=links)
    return unpack(pack(whole, render(whole)))


def line(answer: Answer) -> str:
    """Say in one line what an endpoint answered."""
    tried = answer.tried
    status = "-" if tried.status_code is None else f"HTTP {tried.status_code}"
    note = "" if tried.reply.note == status else tried.reply.note
    parts = f"{answer.endpoint:<22} {answer.event_type:<24} {tried.outcome.value:<10} {status:<9} {tried.duration_ms:>5} ms"
    return f"{parts}  {note}".rstrip()

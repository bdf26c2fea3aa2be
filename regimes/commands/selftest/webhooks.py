"""Every kind of receiver through the real outbox: does this installation deliver, edit, and stay within limits?"""

import asyncio
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from regimes.alerting.render import render
from regimes.clock import SystemClock
from regimes.commands.receiver import LocalReceiver
from regimes.commands.selftest.check import Result
from regimes.commands.selftest.waiting import until
from regimes.commands.webhooks.samples import sample
from regimes.delivery.channel import Channel
from regimes.delivery.enqueue import Letter, new_delivery
from regimes.delivery.outbox import Outbox
from regimes.events import Event, EventType, Phase, body
from regimes.storage.base import NewDelivery, Step, Storage
from regimes.storage.sqlite import SqliteStorage


async def check() -> list[Result]:
    """Send one of each event, and a later state of one of them, to a receiver on loopback."""
    receiver = LocalReceiver()
    with tempfile.TemporaryDirectory(prefix="regimes-selftest-") as folder:
        storage = SqliteStorage(Path(folder) / "selftest.db")
        await storage.open()
        try:
            async with receiver.serving(), receiver.channels() as channels:
                outbox = Outbox(channels, storage, SystemClock())
                async with asyncio.TaskGroup() as group:
                    group.create_task(outbox.run())
                    await _send(storage, outbox, channels, receiver)
                    outbox.close()
        finally:
            await storage.close()
    return _results(receiver)


async def _send(
    storage: Storage, outbox: Outbox, channels: Sequence[Channel], receiver: LocalReceiver
) -> None:
    now_ms = SystemClock().now_ms()
    events = [sample(kind, now_ms) for kind in EventType]
    closed = msgspec.structs.replace(events[0], phase=Phase.CLOSED, revision=1, ts_ms=now_ms + 1)
    for wave in (events, [closed]):
        deliveries = [_delivery(event, channel, now_ms) for event in wave for channel in channels]
        arrived = partial(_have_arrived, receiver, len(receiver.received) + len(deliveries))
        await storage.commit(Step(deliveries=deliveries))
        outbox.wake()
        if not await until(arrived):
            return


def _have_arrived(receiver: LocalReceiver, messages: int) -> bool:
    return len(receiver.received) >= messages or bool(receiver.refused)


def _results(receiver: LocalReceiver) -> list[Result]:
    kinds = len(EventType)
    found = [
        Result(
            "webhooks",
            f"one of each event to {target}",
            sum(one.target == target for one in receiver.received) == kinds + 1,
            f"{kinds} and the end of one",
            str(sum(one.target == target for one in receiver.received)),
        )
        for target in ("discord", "telegram", "slack", "http")
    ]
    edits = sorted(one.target for one in receiver.received if one.changes)
    return [
        *found,
        Result(
            "webhooks",
            "the end of an episode edits its message",
            edits == ["discord", "telegram"],
            "discord, telegram",
            ", ".join(edits),
        ),
        Result(
            "webhooks", "nothing is refused", not receiver.refused, "nothing", "; ".join(receiver.refused[:3])
        ),
    ]


def _delivery(event: Event, channel: Channel, now_ms: int) -> NewDelivery:
    whole = body(event)
    return new_delivery(Letter.of(whole, render(whole)), channel.endpoint, now_ms=now_ms)

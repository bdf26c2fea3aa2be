"""A message that cannot wait for the database: sent at once, once, with no promise."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from regimes.alerting.message import Parcel, pack, unpack
from regimes.alerting.render import render
from regimes.clock import Clock
from regimes.delivery.channel import Channel
from regimes.delivery.exchange import exchange
from regimes.events import Event, body

QUIET_S: Final = 3600.0
_log = structlog.get_logger(__name__)


class Emergency:
    """Sends to the admin endpoints, or to all where there are none; the same subject at most once an hour."""

    def __init__(self, channels: Sequence[Channel], clock: Clock) -> None:
        self._clock = clock
        self._sent_at: dict[tuple[str, str], float] = {}
        self.change(channels)

    def change(self, channels: Sequence[Channel]) -> None:
        """Send to others from now on."""
        admins = [channel for channel in channels if "ADMIN" in channel.endpoint.routes]
        self._channels = admins or [channel for channel in channels if "ALL" in channel.endpoint.routes]

    async def send(self, event: Event) -> None:
        """Try each endpoint once, all at the same time. Never raises for an endpoint that cannot be reached."""
        key = (event.type.value, event.symbol)
        now = self._clock.monotonic()
        if now - self._sent_at.get(key, -QUIET_S) < QUIET_S:
            return
        self._sent_at[key] = now
        _log.error("emergency", title=event.title, why=event.why)
        whole = body(event)
        parcel = unpack(pack(whole, render(whole)))
        await asyncio.gather(*(self._try(channel, parcel) for channel in self._channels))

    async def _try(self, channel: Channel, parcel: Parcel) -> None:
        tried = await exchange(channel.target, channel.transport, parcel, self._clock, edit=None, memory={})
        _log.warning("emergency_sent", endpoint=channel.endpoint.name, outcome=tried.outcome.value)

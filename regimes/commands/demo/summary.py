"""What was sent, what arrived, and what came of it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from regimes.commands.receiver import LocalReceiver
from regimes.events import Event, Phase
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.pipeline import Pipeline
from regimes.pipeline.alerts import Alerts
from regimes.wording import count

FORCED_ORDERS: Final = "forceOrder@arr"


class Messages(msgspec.Struct, frozen=True):
    """What became of the alerts. by_status: deliveries, as the database counts them; arrived: as the receiver does."""

    endpoints: int
    by_status: Mapping[str, int]
    arrived: int
    refused: Sequence[str]

    @property
    def lost(self) -> int:
        """Messages that were to arrive and did not. A state replaced by a newer one before it left is no loss."""
        gone = {"dead", "expired"}
        missing = max(0, self.by_status.get("delivered", 0) - self.arrived)
        return missing + len(self.refused) + sum(self.by_status.get(status, 0) for status in gone)

    def words(self) -> str:
        """All counts in one line."""
        replaced, waiting = self.by_status.get("superseded", 0), self.by_status.get("pending", 0)
        delivered = count(self.by_status.get("delivered", 0), "message")
        parts = [
            f"alerts: {delivered} delivered to {count(self.endpoints, 'receiver')}",
            f"{self.arrived:,} arrived",
            f"{replaced:,} replaced by a newer state" if replaced else "",
            f"{waiting:,} still waiting" if waiting else "",
            f"lost {self.lost}",
            *self.refused[:3],
        ]
        return ", ".join(filter(None, parts))


class Summary:
    """Compares the exchange's own counts with the pipeline's, and the outbox's with the receiver's."""

    def __init__(
        self, exchange: LoopbackExchange, pipeline: Pipeline, alerts: Alerts, receiver: LocalReceiver
    ) -> None:
        self._exchange = exchange
        self._pipeline = pipeline
        self._alerts = alerts
        self._receiver = receiver
        self._opened = 0
        self._events = 0

    def count(self, event: Event) -> None:
        """Take note of an event."""
        self._events += 1
        self._opened += event.phase is Phase.OPENED

    @property
    def sent(self) -> int:
        """Liquidations the exchange has sent."""
        return self._exchange.sent.messages[FORCED_ORDERS]

    @property
    def seen(self) -> int:
        """Liquidations that arrived; a double counts as arrived."""
        streams = [s for s in self._pipeline.status() if s.stream == "liquidation"]
        return sum(stream.messages + stream.poison for stream in streams)

    @property
    def lost(self) -> int:
        """Liquidations that did not arrive."""
        return max(self.sent - self.seen, 0)

    def has_arrived(self, sent: int) -> bool:
        """Whether so many arrived and nothing waits for the engine."""
        return self.seen >= sent and not len(self._pipeline.queue)

    async def is_sending(self) -> bool:
        """Whether alerts wait to be stored or delivered."""
        waiting = await self._alerts.storage.deliveries(event_id=None, status="pending", limit=1)
        return bool(waiting) or self._alerts.desk.waiting > 0

    async def messages(self) -> Messages:
        """What became of the alerts so far."""
        by_status = (await self._alerts.storage.stats())["deliveries"]
        receiver = self._receiver
        return Messages(len(self._alerts.endpoints), by_status, len(receiver.received), receiver.refused)

    def words(self) -> str:
        """All counts of the market in one line."""
        streams = self._pipeline.status()
        intake = self._pipeline.engine.intake
        return (
            f"{count(self._opened, 'episode')} in {count(self._events, 'event')}; "
            f"{count(sum(s.messages for s in streams), 'message')}; "
            f"{count(intake.accepted['candle'], 'candle')}; "
            f"liquidations: {self.seen:,} seen of {self.sent:,} sent, {intake.accepted['liquidation']:,} counted, "
            f"lost {self.lost}"
        )

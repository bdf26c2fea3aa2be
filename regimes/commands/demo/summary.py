"""What was sent, what arrived, and what came of it."""

from typing import Final

from regimes.events import Event, Phase
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.pipeline import Pipeline
from regimes.wording import count

FORCED_ORDERS: Final = "forceOrder@arr"


class Summary:
    """Compares the exchange's own counts with the pipeline's."""

    def __init__(self, exchange: LoopbackExchange, pipeline: Pipeline) -> None:
        self._exchange = exchange
        self._pipeline = pipeline
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

    def words(self) -> str:
        """All counts in one line."""
        streams = self._pipeline.status()
        intake = self._pipeline.engine.intake
        return (
            f"{count(self._opened, 'episode')} in {count(self._events, 'event')}; "
            f"{count(sum(s.messages for s in streams), 'message')}; "
            f"{count(intake.accepted['candle'], 'candle')}; "
            f"liquidations: {self.seen:,} seen of {self.sent:,} sent, {intake.accepted['liquidation']:,} counted, "
            f"lost {self.lost}"
        )

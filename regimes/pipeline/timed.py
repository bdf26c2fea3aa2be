"""Time goes before data: a Tick enters the queue before any datum that would be ahead of it."""

from collections.abc import Callable, Sequence
from typing import Final

from regimes.clock import Clock
from regimes.feeds.base import ObservationQueue
from regimes.history.tape.recorder import Recorder
from regimes.observations import Liquidation, Observation, Tick

# Half of what the intake allows a datum to be ahead of the last Tick.
FARTHEST_MS: Final = 30_000


class TimedSink:
    """The sink feeds are given. Puts Ticks into the same queue, so that order is kept.

    `tick` is called by the timer. In between, data bring a Tick with them when event time has moved on by 30 s,
    which happens where it runs faster than real time. Before the first `tick`, while history is fetched, data wait
    in the queue without any.

    recorder: sees everything before the queue does. on_waiting: given each liquidation of that time before the first
    `tick`, as nobody takes it from the queue yet, and no exchange sends it again should the process end by then.
    """

    def __init__(
        self,
        queue: ObservationQueue,
        clock: Clock,
        recorder: Recorder | None = None,
        *,
        on_waiting: Callable[[Liquidation], None] = lambda _: None,
    ) -> None:
        self._queue = queue
        self._recorder = recorder
        self._clock = clock
        self._on_waiting = on_waiting
        self._ticked_ms: int | None = None

    def put(self, observation: Observation) -> None:
        self.put_frame((observation,), None)

    def put_frame(self, found: Sequence[Observation], frame: str | bytes | None) -> None:
        """Take observations and the exchange's own text, if they came in one."""
        if self._ticked_ms is None:
            self._wait(found)
        elif self._clock.now_ms() - self._ticked_ms >= FARTHEST_MS:
            self.tick()
        for observation in found:
            if self._recorder is not None:
                self._recorder.seen(observation, frame)
            self._queue.put(observation)

    def _wait(self, found: Sequence[Observation]) -> None:
        for observation in found:
            if isinstance(observation, Liquidation):
                self._on_waiting(observation)

    def tick(self) -> None:
        """Put the present moment into the queue; time never goes back in it."""
        self._ticked_ms = max(self._clock.now_ms(), self._ticked_ms or 0)
        tick = Tick(self._ticked_ms)
        if self._recorder is not None:
            self._recorder.seen(tick)
        self._queue.put(tick)

    @property
    def pressure(self) -> bool:
        """Whether so much waits that feeds should stop reading their sockets."""
        return self._queue.pressure

    async def eased(self) -> None:
        """Wait until there is no pressure."""
        await self._queue.eased()

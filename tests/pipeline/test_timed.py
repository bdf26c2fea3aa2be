from regimes.feeds.base import ObservationQueue
from regimes.observations import Liquidation, MarkPrice, Tick
from regimes.pipeline.timed import FARTHEST_MS, TimedSink


class HandClock:
    speed = 1.0

    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, event_seconds: float) -> None:
        self.ms += int(event_seconds * 1000)


def order(ts_ms: int) -> Liquidation:
    return Liquidation(ts_ms, "v", "BTC/USDT", "long", 1.0, 1.0, 1.0)


async def test_before_the_first_tick_data_wait_without_one() -> None:
    clock, queue = HandClock(), ObservationQueue()
    sink = TimedSink(queue, clock)
    sink.put(order(clock.ms))
    clock.ms += 10 * FARTHEST_MS
    sink.put(order(clock.ms))
    sink.tick()
    kinds = [type(item).__name__ for item in await queue.take(10)]
    assert kinds == ["Liquidation", "Liquidation", "Tick"]


async def test_each_liquidation_is_told_of_while_nobody_takes_it_and_no_longer() -> None:
    clock, waiting = HandClock(), list[Liquidation]()
    sink = TimedSink(ObservationQueue(), clock, on_waiting=waiting.append)
    sink.put(order(clock.ms))
    sink.put(MarkPrice(clock.ms, "v", "BTC/USDT", 1.0))
    sink.put_frame([order(clock.ms + 1)], "{}")
    sink.tick()
    sink.put(order(clock.ms + 2))
    assert waiting == [order(clock.ms), order(clock.ms + 1)]


async def test_a_tick_goes_before_a_datum_that_is_far_ahead_of_the_last() -> None:
    clock, queue = HandClock(), ObservationQueue()
    sink = TimedSink(queue, clock)
    sink.tick()
    sink.put(order(clock.ms))
    clock.ms += FARTHEST_MS - 1
    sink.put(order(clock.ms))
    clock.ms += 1
    sink.put(order(clock.ms))
    kinds = [type(item).__name__ for item in await queue.take(10)]
    assert kinds == ["Tick", "Liquidation", "Liquidation", "Tick", "Liquidation"]


async def test_time_does_not_go_back_in_the_queue_when_the_clock_does() -> None:
    clock, queue = HandClock(), ObservationQueue()
    sink = TimedSink(queue, clock)
    sink.tick()
    clock.ms -= 60_000
    sink.tick()
    assert await queue.take(10) == [Tick(1_000_000), Tick(1_000_000)]


async def test_feeds_feel_the_pressure_of_the_queue_behind_it() -> None:
    queue = ObservationQueue(capacity=2)
    sink = TimedSink(queue, HandClock())
    felt = [sink.pressure]
    sink.put(order(1))
    sink.put(order(2))
    felt.append(sink.pressure)
    await queue.take(2)
    await sink.eased()
    felt.append(sink.pressure)
    assert felt == [False, True, False]

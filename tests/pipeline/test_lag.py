import asyncio

from regimes.clock import SystemClock
from regimes.pipeline.lag import KEPT, LoopLag


def test_nothing_measured_says_nothing() -> None:
    assert LoopLag(SystemClock()).quantile_ms(0.99) is None


def test_quantiles_are_in_milliseconds_and_never_negative() -> None:
    lag = LoopLag(SystemClock())
    for late_s in (-0.001, 0.001, 0.002, 0.100):
        lag.record(late_s)
    assert lag.quantile_ms(0.0) == 0.0
    assert lag.quantile_ms(1.0) == 100.0


def test_only_the_newest_measurements_count() -> None:
    lag = LoopLag(SystemClock())
    lag.record(9.0)
    for _ in range(KEPT):
        lag.record(0.001)
    assert lag.quantile_ms(1.0) == 1.0


async def test_a_blocked_loop_shows_as_lag() -> None:
    clock = SystemClock()
    lag = LoopLag(clock)
    task = asyncio.create_task(lag.run())
    while lag.quantile_ms(1.0) is None:
        until = clock.monotonic() + 0.25
        while clock.monotonic() < until:
            pass  # hold the loop, which is the thing under test
        await asyncio.sleep(0)
    task.cancel()
    worst = lag.quantile_ms(1.0)
    assert worst is not None
    assert worst >= 100

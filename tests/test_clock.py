import time

import pytest

from regimes.clock import MarketClock, ScaledClock, SystemClock


def test_a_held_clock_stands_still_until_it_is_started() -> None:
    clock = ScaledClock(1_000, 3600, running=False)
    deadline = clock.monotonic() + 0.01
    while clock.monotonic() < deadline:
        pass
    assert clock.now_ms() == 1_000
    clock.start()
    deadline = clock.monotonic() + 0.01
    while clock.monotonic() < deadline:
        pass
    assert clock.now_ms() >= 1_000 + 10 * 3600


def test_starting_twice_does_not_set_time_back() -> None:
    clock = ScaledClock(0, 1e6)
    while clock.now_ms() < 1_000:
        pass
    before = clock.now_ms()
    clock.start()
    assert clock.now_ms() >= before


async def test_sleeping_in_event_time_takes_its_share_of_real_time() -> None:
    clock = ScaledClock(0, 1000)
    began = clock.monotonic()
    await clock.sleep(20)
    assert 0.019 <= clock.monotonic() - began < 2


@pytest.mark.parametrize("speed", [0, -1])
def test_time_that_does_not_advance_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be > 0"):
        ScaledClock(0, speed)


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_markets_time_goes_on_evenly_when_the_machines_clock_jumps(
    monkeypatch: pytest.MonkeyPatch, jump_ms: int
) -> None:
    clock, wall = MarketClock(), SystemClock()
    before = clock.now_ms()
    assert clock.ahead_ms == pytest.approx(0, abs=50)
    real_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + jump_ms * 1_000_000)
    assert wall.now_ms() - before == pytest.approx(jump_ms, abs=1_000)
    assert 0 <= clock.now_ms() - before < 1_000
    assert clock.ahead_ms == pytest.approx(-jump_ms, abs=1_000)


def test_a_markets_time_is_corrected_by_the_exchanges() -> None:
    clock = MarketClock()
    plain = clock.now_ms()
    clock.correct(3_600_000)
    assert 3_600_000 <= clock.now_ms() - plain < 3_601_000

import asyncio
from collections.abc import Iterator

from regimes.config.features import installed
from regimes.engine import Engine
from regimes.features.base import Universe
from regimes.observations import Candle, FundingRate, Observation
from regimes.pipeline.replay import JUDGED_HOURS, replay
from regimes.timeframe import DAY_MS, HOUR_MS, known_at_ms

NOW_MS = 1_737_982_800_000
INTERVAL_MS = 5_000


def engine() -> Engine:
    return Engine.build(installed(), Universe(("BTC/USDT",)))


def bar(open_ms: int, close: float = 100.0) -> Candle:
    return Candle(
        "binanceus", "BTC/USDT", "1h", open_ms, 100.0, max(close, 100.0), min(close, 100.0), close, 5.0
    )


def history(days: int) -> Iterator[Observation]:
    """Quiet days, the last of which swings by 4 % an hour."""
    first = NOW_MS - days * DAY_MS
    for open_ms in range(first, NOW_MS, HOUR_MS):
        wild = open_ms >= NOW_MS - DAY_MS
        move = 1.04 if wild else 1.0005
        yield bar(open_ms, 100.0 * (move if open_ms // HOUR_MS % 2 else 1 / move))


def test_a_bar_is_known_at_its_close_and_all_else_at_its_own_time() -> None:
    assert known_at_ms(bar(NOW_MS)) == NOW_MS + HOUR_MS
    assert known_at_ms(FundingRate(NOW_MS, "v", "BTC/USDT", 0.0001, 8)) == NOW_MS


async def test_history_leaves_the_engine_as_of_now_with_nothing_rejected() -> None:
    machine = engine()
    done = await replay(machine, history(40), NOW_MS, interval_ms=INTERVAL_MS)
    assert done.taken == 40 * 24
    assert machine.intake.rejected.total() == 0
    assert machine.now_ms == NOW_MS
    reading = machine.latest["volatility_regime", "BTC/USDT"]
    assert reading.as_of_ms == NOW_MS
    assert reading.ready


async def test_an_episode_in_the_history_began_when_it_began() -> None:
    machine = engine()
    done = await replay(machine, history(40), NOW_MS, interval_ms=INTERVAL_MS)
    (event,) = [e for e in machine.open_events.values() if e.type.value == "VOLATILITY_REGIME"]
    assert NOW_MS - DAY_MS < event.started_ms < NOW_MS - 12 * HOUR_MS
    assert event.id in {told.id for told in done.events}


async def test_others_have_a_turn_after_each_hour_that_is_judged() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await replay(engine(), history(40), NOW_MS, interval_ms=INTERVAL_MS)
    beside.cancel()
    assert turns >= JUDGED_HOURS


async def test_what_is_not_known_yet_is_left_out() -> None:
    machine = engine()
    done = await replay(machine, history(2), NOW_MS - 90 * 60_000, interval_ms=INTERVAL_MS)
    assert done.taken == 2 * 24 - 2
    assert machine.intake.rejected.total() == 0


async def test_without_history_time_is_set_and_nothing_else_happens() -> None:
    machine = engine()
    done = await replay(machine, iter(()), NOW_MS, interval_ms=INTERVAL_MS)
    assert (done.taken, done.events) == (0, [])
    assert machine.now_ms == NOW_MS


async def test_what_is_older_than_two_weeks_fills_the_windows() -> None:
    machine = engine()
    await replay(machine, history(160), NOW_MS, interval_ms=INTERVAL_MS)
    assert machine.intake.rejected.total() == 0
    reading = machine.latest["volatility_regime", "BTC/USDT"]
    assert (reading.n, reading.coverage) == (720, 1.0)
    regimes = machine.package("BTC/USDT")["regimes"]
    assert regimes["timeframes_ok"] == 4

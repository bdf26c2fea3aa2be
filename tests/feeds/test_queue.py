"""The bounded queue between feeds and engine: order, conflation, pressure, and what it says when it is full."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from regimes.feeds.base import BackPressure, ObservationQueue
from regimes.observations import (
    BookDepth,
    Candle,
    FeedGap,
    Liquidation,
    MarkPrice,
    Observation,
    Tick,
    Unavailable,
)


def liquidation(number: int) -> Liquidation:
    return Liquidation(number, "binanceusdm", "BTC/USDT", "long", 1.0, 1.0, 1.0)


def mark(number: int, symbol: str = "BTC/USDT") -> MarkPrice:
    return MarkPrice(number, "binanceusdm", symbol, float(number))


def bar(open_ms: int, *, closed: bool) -> Candle:
    return Candle("binanceus", "BTC/USDT", "1h", open_ms, 1.0, 1.0, 1.0, 1.0, 1.0, closed=closed)


async def drain(queue: ObservationQueue, limit: int = 1000) -> list[Observation]:
    taken: list[Observation] = []
    while len(queue):
        taken.extend(await queue.take(limit))
    return taken


async def test_facts_come_out_in_the_order_they_went_in() -> None:
    queue = ObservationQueue()
    sent: list[Observation] = [liquidation(1), bar(0, closed=True), Tick(5), liquidation(2)]
    for item in sent:
        queue.put(item)
    assert await drain(queue, limit=3) == sent


async def test_a_state_is_replaced_by_its_successor_and_never_overtakes_what_came_before_it() -> None:
    queue = ObservationQueue()
    for item in (mark(1), liquidation(2), Tick(3), mark(4), mark(4, "ETH/USDT")):
        queue.put(item)
    assert await drain(queue) == [liquidation(2), Tick(3), mark(4), mark(4, "ETH/USDT")]
    assert queue.conflated == 1


async def test_an_open_bar_conflates_and_a_closed_one_does_not() -> None:
    queue = ObservationQueue()
    for item in (bar(0, closed=False), bar(0, closed=False), bar(0, closed=True), bar(1, closed=True)):
        queue.put(item)
    assert await drain(queue) == [bar(0, closed=False), bar(0, closed=True), bar(1, closed=True)]


async def test_pressure_begins_at_capacity_and_eases_when_half_is_free() -> None:
    queue = ObservationQueue(capacity=10)
    assert isinstance(queue, BackPressure)
    for number in range(9):
        queue.put(liquidation(number))
    assert not queue.pressure
    queue.put(liquidation(9))
    waiter = asyncio.create_task(queue.eased())
    await queue.take(4)
    await asyncio.sleep(0)
    assert not waiter.done()
    await queue.take(1)
    await asyncio.wait_for(waiter, 1)
    assert not queue.pressure


async def test_beyond_twice_the_capacity_facts_are_counted_and_told_as_a_gap_over_their_times() -> None:
    queue = ObservationQueue(capacity=5)
    for number in range(13):
        queue.put(liquidation(number))
    queue.put(bar(77, closed=True))
    assert queue.dropped == {"Liquidation": 3, "Candle": 1}
    taken = await drain(queue, limit=5)
    gaps = {gap.kind: gap for gap in taken if isinstance(gap, FeedGap)}
    assert [item for item in taken if isinstance(item, Liquidation)] == [liquidation(n) for n in range(10)]
    assert (gaps["liquidation"].from_ms, gaps["liquidation"].to_ms) == (10, 12)
    assert gaps["liquidation"].reason == "queue full: 3 refused"
    assert (gaps["candle"].from_ms, gaps["candle"].to_ms) == (77, 77)


async def test_word_of_a_loss_is_taken_even_when_full() -> None:
    queue = ObservationQueue(capacity=1)
    gap = FeedGap(1, "binanceusdm", "liquidation", None, 0, 1, "lost")
    lacking = Unavailable(1, "binanceus", "funding", None, "spot only")
    for item in (liquidation(1), liquidation(2), liquidation(3), gap, lacking):
        queue.put(item)
    taken = await drain(queue, limit=1)
    assert gap in taken
    assert lacking in taken


async def test_a_taker_waits_until_something_comes() -> None:
    queue = ObservationQueue()
    taker = asyncio.create_task(queue.take(10))
    await asyncio.sleep(0)
    assert not taker.done()
    queue.put(Tick(1))
    assert await asyncio.wait_for(taker, 1) == [Tick(1)]


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_below_one_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity must be >= 1"):
        ObservationQueue(capacity)


async def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="limit must be >= 1"):
        await ObservationQueue().take(0)


OBSERVATIONS = st.one_of(
    st.integers(0, 9).map(liquidation),
    st.integers(0, 9).map(mark),
    st.builds(lambda n: bar(n, closed=True), st.integers(0, 9)),
    st.builds(lambda n: bar(n, closed=False), st.integers(0, 9)),
    st.builds(lambda n: BookDepth(n, "binanceus", "BTC/USDT", (), ()), st.integers(0, 9)),
)


@given(steps=st.lists(st.one_of(OBSERVATIONS, st.integers(1, 5)), max_size=80), capacity=st.integers(1, 12))
def test_nothing_is_lost_doubled_or_reordered_but_what_is_counted(
    steps: list[Observation | int], capacity: int
) -> None:
    async def play() -> None:
        queue = ObservationQueue(capacity)
        put: list[Observation] = []
        taken: list[Observation] = []
        for step in steps:
            if isinstance(step, int):
                if len(queue):
                    taken.extend(await queue.take(step))
            else:
                put.append(step)
                queue.put(step)
            assert len(queue) <= 2 * capacity + len(queue._lost) + 3
        taken.extend(await drain(queue))
        received = [item for item in taken if not isinstance(item, FeedGap)]
        assert len(received) + queue.conflated + sum(queue.dropped.values()) == len(put)
        rest = iter(put)
        assert all(any(item is other for other in rest) for item in received), (
            "not a subsequence of what was put"
        )
        told = [gap for gap in taken if isinstance(gap, FeedGap)]
        assert bool(told) == bool(queue.dropped["Liquidation"] + any(_closed_lost(put, received)))

    asyncio.run(play())


def _closed_lost(put: Sequence[Observation], received: Sequence[Observation]) -> list[bool]:
    closed = [item for item in put if isinstance(item, Candle) and item.closed]
    return [not any(item is other for other in received) for item in closed]

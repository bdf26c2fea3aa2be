"""Each sum is checked at every step against a list that is summed anew."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.windows.events import EventWindow, to_cents

SPANS = (10, 60, 240)

Item = tuple[int, int, bool]
amounts = st.integers(0, 10**6)
arrivals = st.lists(
    st.tuples(st.integers(0, 40), st.integers(-80, 20), amounts, st.booleans(), st.booleans()), max_size=80
)


class Naive:
    """The same window as a plain list."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.now = 0

    def within(self, span: int, after: int = -1) -> list[Item]:
        return [item for item in self.items if item[0] > max(self.now - span, after)]


@settings(max_examples=150)
@given(arrivals)
def test_every_sum_equals_a_fresh_one_at_every_step_late_data_included(
    steps: list[tuple[int, int, int, bool, bool]],
) -> None:
    window, naive = EventWindow(SPANS, 1000), Naive()
    for passed, offset, cents, is_long, ticks in steps:
        now = naive.now + passed
        ts = max(0, now + offset)
        if ticks:
            naive.now = now
            window.advance(now)
        taken = window.add(ts, cents, is_long=is_long)
        assert taken == (ts > naive.now - SPANS[-1])
        naive.items.append((ts, cents, is_long))
        day = naive.within(SPANS[-1])
        assert window.sums() == [sum(c for _, c, _ in naive.within(span)) for span in SPANS]
        assert window.sums(after_ms=ts) == [sum(c for _, c, _ in naive.within(span, ts)) for span in SPANS]
        assert window.long_cents() == sum(c for _, c, is_long in day if is_long)
        assert window.largest_cents() == max((c for _, c, _ in day), default=0)
        assert len(window) == len(day)
        assert window.newest_ms == max((t for t, _, _ in day), default=None)
        assert window.first_ms(1) == min((t for t, _, _ in naive.within(60)), default=None)
        assert window.since(ts) == sum(c for t, c, _ in day if t >= ts)


@given(arrivals)
def test_nothing_leaves_before_it_is_due_and_something_leaves_then(
    steps: list[tuple[int, int, int, bool, bool]],
) -> None:
    window = EventWindow(SPANS, 1000)
    now = 0
    for passed, offset, cents, is_long, _ in steps:
        now += passed
        window.advance(now)
        window.add(max(0, now + offset), cents + 1, is_long=is_long)
    while (due := window.due_ms) is not None:
        before = window.sums()
        window.advance(due - 1)
        assert window.sums() == before
        window.advance(due)
        assert window.sums() != before
    assert window.sums() == [0, 0, 0]


@settings(max_examples=50)
@given(arrivals, arrivals)
def test_a_restored_window_goes_on_as_the_original(first: list[Any], second: list[Any]) -> None:
    original, restored = EventWindow(SPANS, 20), EventWindow(SPANS, 20)
    now = run(original, first, 0)
    restored.restore(original.snapshot())
    assert restored.snapshot() == original.snapshot()
    run(original, second, now)
    run(restored, second, now)
    assert restored.snapshot() == original.snapshot()
    assert restored.sums() == original.sums()
    assert restored.largest_cents() == original.largest_cents()


def run(window: EventWindow, steps: list[Any], now: int) -> int:
    for passed, offset, cents, is_long, _ in steps:
        now += passed
        window.advance(now)
        window.add(max(0, now + offset), cents, is_long=is_long)
    return now


def test_a_rolling_sum_has_no_drift_after_a_huge_amount_has_come_and_gone() -> None:
    window = EventWindow(SPANS, 1000)
    window.add(0, to_cents(9_999_999_999.99), is_long=True)
    for second in range(1, 500):
        window.advance(second)
        window.add(second, to_cents(0.01), is_long=False)
    window.advance(499)
    assert window.sums() == [10, 60, 240]


def test_the_oldest_are_let_go_and_counted_when_the_window_is_full() -> None:
    window = EventWindow(SPANS, 3)
    for ts, cents in ((1, 900), (2, 20), (3, 30), (4, 40), (5, 50)):
        window.add(ts, cents, is_long=True)
    assert len(window) == 3
    assert window.dropped == 2
    assert window.sums() == [120, 120, 120]
    assert window.largest_cents() == 50
    assert not window.add(1, 7, is_long=True), "older than all that is kept"
    assert window.add(4, 1, is_long=True)
    assert window.sums() == [91, 91, 91]


def test_memory_stays_flat_while_events_come_and_go() -> None:
    window = EventWindow(SPANS, 10_000)
    for ts in range(50_000):
        window.advance(ts)
        window.add(ts, 1, is_long=False)
    assert len(window) == SPANS[-1]
    assert len(window._times) < 4 * 1024


@pytest.mark.parametrize(("usd", "cents"), [(0.004, 0), (0.14252, 14), (2290.825, 229082), (1e10, 10**12)])
def test_dollars_become_whole_cents(usd: float, cents: int) -> None:
    assert to_cents(usd) == cents


def test_sums_equal_numpy_on_a_day_of_random_money() -> None:
    rng = np.random.default_rng(7)
    times = np.sort(rng.integers(0, 5_000, 3_000))
    cents = rng.integers(0, 10**9, 3_000)
    window = EventWindow(SPANS, 10_000)
    for ts, amount in zip(times.tolist(), cents.tolist(), strict=True):
        window.advance(ts)
        window.add(ts, amount, is_long=True)
    for span, total in zip(SPANS, window.sums(), strict=True):
        assert total == cents[times > times[-1] - span].sum()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 200), amounts), max_size=40), st.integers(-1, 200))
def test_the_sum_that_ends_with_each_amount_and_when_it_falls_below_a_share_of_itself(
    items: list[tuple[int, int]], after_ms: int
) -> None:
    window, kept = EventWindow(SPANS, 1000), sorted(items, key=lambda item: item[0])
    for ts_ms, cents in kept:
        window.add(ts_ms, cents, is_long=True)
    first, sums = window.crests(after_ms=after_ms)
    found = dict(enumerate(sums, first))
    assert list(found) == [place for place, item in enumerate(kept) if item[0] > after_ms]
    for place, total in found.items():
        so_far, ts_ms = kept[: place + 1], kept[place][0]
        assert total == sum(cents for at, cents in so_far if at > ts_ms - SPANS[0])
        if (enough := -(-total // 2)) > 0:
            low_ms = window.falls_below_ms(enough, place)
            left = [sum(cents for at, cents in so_far if at > now - SPANS[0]) for now in (low_ms - 1, low_ms)]
            assert left[0] >= enough > left[1]

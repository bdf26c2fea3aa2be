"""Longer bars against the one-bar builder of timeframe.py, whatever the order in which hours come."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from regimes.observations import Candle
from regimes.timeframe import DAY_MS, HOUR_MS, WEEK_MS, aggregate, bar_open, to_ms
from regimes.windows.longer import HoursSeen, LongerBars

MONDAY_MS = 1_704_067_200_000  # 2024-01-01T00:00Z


def add(bars: LongerBars, row: int, open_ms: int, close: float, volume: float) -> None:
    bars.add(np.array([row]), np.array([open_ms]), np.array([close]), np.array([volume]))


def candle(open_ms: int, close: float, volume: float) -> Candle:
    return Candle("b", "BTC/USDT", "1h", open_ms, close, close, close, close, volume)


@given(
    timeframe=st.sampled_from(["1h", "4h", "1d", "1w"]),
    hours=st.lists(st.integers(0, 400), unique=True, min_size=1, max_size=120),
    cut=st.integers(0, 120),
)
def test_bars_are_those_built_from_all_their_hours_in_any_order_with_a_restart_anywhere(
    timeframe: str, hours: list[int], cut: int
) -> None:
    step = to_ms(timeframe)
    bars = LongerBars(1, 500, step, completeness=0.001)
    parts: dict[int, list[Candle]] = {}
    for index, hour in enumerate(hours):
        if index == cut:
            fresh = LongerBars(1, 500, step, completeness=0.001)
            fresh.restore(bars.snapshot())
            bars = fresh
        open_ms = MONDAY_MS + hour * HOUR_MS
        add(bars, 0, open_ms, 10.0 + hour, 2.0**-hour if hour < 40 else 3.0)
        parts.setdefault(bar_open(open_ms, step), []).append(
            candle(open_ms, 10.0 + hour, 2.0**-hour if hour < 40 else 3.0)
        )
    for open_ms, inside in parts.items():
        whole = aggregate(sorted(inside, key=lambda c: c.open_ms), timeframe).candle
        close, volume = bars.complete(open_ms, 1)
        assert close[0, 0] == whole.close
        assert volume[0, 0] == pytest.approx(whole.base_volume, rel=1e-12)


@pytest.mark.parametrize(("step", "enough"), [(HOUR_MS, 1), (4 * HOUR_MS, 4), (DAY_MS, 22), (WEEK_MS, 152)])
def test_bar_counts_only_with_nine_tenths_of_its_hours(step: int, enough: int) -> None:
    bars = LongerBars(1, 3, step, completeness=0.9)
    for hour in range(enough - 1):
        add(bars, 0, MONDAY_MS + hour * HOUR_MS, 5.0, 1.0)
    assert np.isnan(bars.complete(MONDAY_MS, 1)[0]).all()
    add(bars, 0, MONDAY_MS + (enough - 1) * HOUR_MS, 6.0, 1.0)
    close, volume = bars.complete(MONDAY_MS, 1)
    assert (close[0, 0], volume[0, 0]) == (6.0, float(enough))


def test_week_closes_with_the_last_hour_of_sunday() -> None:
    bars = LongerBars(1, 3, WEEK_MS, completeness=0.9)
    sunday_23h = MONDAY_MS + WEEK_MS - HOUR_MS
    assert bars.newest_closed_ms(sunday_23h) == MONDAY_MS
    assert bars.newest_closed_ms(sunday_23h - HOUR_MS) == MONDAY_MS - WEEK_MS


def test_unfinished_bar_tells_its_share_and_a_finished_one_is_none() -> None:
    bars = LongerBars(1, 3, 4 * HOUR_MS, completeness=0.9)
    add(bars, 0, MONDAY_MS, 5.0, 1.0)
    found = bars.unfinished(MONDAY_MS)
    assert found is not None
    assert (found[0][0], found[1]) == (5.0, 0.25)
    assert bars.unfinished(MONDAY_MS + 3 * HOUR_MS) is None


def test_hour_is_new_once_even_after_a_restart() -> None:
    seen = HoursSeen(2, 50)
    rows, times = np.array([0, 1, 0]), MONDAY_MS + np.array([0, 0, 5]) * HOUR_MS
    assert seen.mark(rows, times).all()
    fresh = HoursSeen(2, 50)
    fresh.restore(seen.snapshot())
    assert not fresh.mark(rows, times).any()
    assert fresh.at(MONDAY_MS + 5 * HOUR_MS).tolist() == [True, False]
    assert not fresh.mark(np.array([0]), np.array([MONDAY_MS - 50 * HOUR_MS])).any()

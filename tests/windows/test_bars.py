"""The panel against a plain dictionary of bars."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from regimes.errors import DataError
from regimes.timeframe import HOUR_MS, WEEK_MS
from regimes.windows.bars import BarPanel

CAPACITY = 7
MONDAY_MS = 1_704_067_200_000  # 2024-01-01T00:00Z


def panel(rows: int = 2, capacity: int = CAPACITY) -> BarPanel:
    return BarPanel(rows, capacity, HOUR_MS, {"close": float("nan"), "seen": False})


def put(target: BarPanel, row: int, hour: int, close: float) -> None:
    column = target.columns(np.array([hour * HOUR_MS]))[0]
    if column >= 0:
        target.fields["close"][row, column] = close
        target.fields["seen"][row, column] = True


WRITES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1000, 1040), st.floats(1, 9)), min_size=1, max_size=60
)


@given(writes=WRITES, end=st.integers(990, 1045), length=st.integers(1, 12), cut=st.integers(0, 60))
def test_window_is_what_a_dictionary_of_the_newest_bars_gives_with_a_restart_anywhere(
    writes: list[tuple[int, int, float]], end: int, length: int, cut: int
) -> None:
    ours, kept, head = panel(), {}, 0
    for index, (row, hour, close) in enumerate(writes):
        if index == cut:
            fresh = panel()
            fresh.restore(ours.snapshot())
            ours = fresh
        put(ours, row, hour, close)
        head = max(head, hour)
        if hour > head - CAPACITY:
            kept[row, hour] = close
    wanted = [
        [
            kept.get((row, hour), np.nan) if hour > head - CAPACITY else np.nan
            for hour in range(end - length + 1, end + 1)
        ]
        for row in range(2)
    ]
    np.testing.assert_array_equal(ours.window("close", end * HOUR_MS, length), wanted)
    np.testing.assert_array_equal(ours.window("seen", end * HOUR_MS, length), ~np.isnan(wanted))


def test_late_bar_enters_at_its_own_time_and_one_beyond_the_capacity_is_refused() -> None:
    ours = panel()
    put(ours, 0, 1010, 5.0)
    put(ours, 0, 1004, 4.0)
    assert ours.columns(np.array([1003 * HOUR_MS]))[0] == -1
    assert ours.window("close", 1010 * HOUR_MS, CAPACITY)[0, [0, 6]].tolist() == [4.0, 5.0]


def test_jump_beyond_the_capacity_leaves_nothing_of_the_past() -> None:
    ours = panel()
    for hour in range(1000, 1007):
        put(ours, 0, hour, 1.0)
    put(ours, 0, 5000, 2.0)
    window = ours.window("close", 5000 * HOUR_MS, CAPACITY)
    assert window[0, -1] == 2.0
    assert np.isnan(window[0, :-1]).all()


def test_weekly_grid_begins_on_monday() -> None:
    ours = BarPanel(1, 3, WEEK_MS, {"close": float("nan")})
    sunday, monday = ours.columns(np.array([MONDAY_MS - HOUR_MS, MONDAY_MS]))
    assert monday == sunday + 1
    assert ours.head_ms == MONDAY_MS


def test_empty_panel_reads_as_missing_and_survives_a_restart() -> None:
    ours = panel()
    ours.restore(panel().snapshot())
    assert ours.head_ms is None
    assert np.isnan(ours.window("close", HOUR_MS, 3)).all()
    assert ours.columns(np.array([], dtype=np.int64)).size == 0


def test_window_cannot_be_written_to() -> None:
    ours = panel()
    put(ours, 0, 1000, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        ours.window("close", 1000 * HOUR_MS, 2)[0, 0] = 3.0


def test_snapshot_of_another_shape_is_refused_with_both_sizes() -> None:
    ours = panel()
    put(ours, 0, 1000, 1.0)
    with pytest.raises(DataError, match=r"field close has 14 values.*3 x 7"):
        panel(rows=3).restore(ours.snapshot())

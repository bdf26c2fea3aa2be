"""The panel of returns answers what a plain table of closes would, whatever the order of arrival."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.windows.panel import FloatArray, ReturnPanel

Bar = tuple[int, int, float]


def expected(bars: list[Bar], rows: int, hours: int) -> FloatArray:
    """The first close of each hour, as a table, then log differences."""
    closes: dict[tuple[int, int], float] = {}
    for row, hour, close in bars:
        closes.setdefault((row, hour), close)
    head = max(hour for _, hour, _ in bars)
    table = np.full((rows, hours + 1), np.nan)
    for (row, hour), close in closes.items():
        if head - hour <= hours:
            table[row, hours - (head - hour)] = np.log(close)
    return np.diff(table, axis=1)


@settings(max_examples=200, deadline=None)
@given(
    bars=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1_000, 1_030), st.floats(1, 100)), min_size=1, max_size=80
    )
)
def test_any_order_of_arrival_gives_the_same_table(bars: list[Bar]) -> None:
    # A bar older than the panel at its arrival is refused, so only hours within one width are drawn here.
    panel = ReturnPanel(3, 40)
    panel.put(bars)
    np.testing.assert_array_equal(panel.returns(40), expected(bars, 3, 40))


def test_every_step_of_a_long_run_with_gaps_agrees_with_the_table() -> None:
    rng = np.random.default_rng(2)
    panel, bars = ReturnPanel(2, 10), []
    hour = 5
    for _ in range(300):
        hour += int(rng.choice([1, 1, 1, 2, 5, 30]))
        for row in range(2):
            if rng.random() < 0.9:
                bars.append((row, hour - int(rng.integers(0, 3)), float(rng.uniform(1, 9))))
                panel.put(bars[-1:])
        recent = [bar for bar in bars if bar[1] > panel.head - 12]
        table = expected(recent, 2, 10)
        np.testing.assert_array_equal(panel.returns(10), table)
        np.testing.assert_array_equal(panel.returns(4, ago=3), table[:, 3:7])


def test_the_count_of_returns_is_right_at_every_step_the_spare_hours_apart() -> None:
    rng = np.random.default_rng(8)
    panel, hour = ReturnPanel(3, 10, spare=5), 100
    for _ in range(300):
        hour += int(rng.choice([1, 1, 1, 2, 4, 20]))
        bars = [
            (row, hour - int(rng.integers(0, 12)), 1.0 + rng.random()) for row in range(3) for _ in range(2)
        ]
        panel.put(bars)
        np.testing.assert_array_equal(panel.counts, np.isfinite(panel.returns(10)).sum(axis=1))
        restored = ReturnPanel(3, 10, spare=5)
        restored.restore(panel.snapshot())
        np.testing.assert_array_equal(restored.counts, panel.counts)
        np.testing.assert_array_equal(restored.returns(10, ago=5), panel.returns(10, ago=5))


def test_the_first_close_of_an_hour_stays() -> None:
    panel = ReturnPanel(1, 4)
    assert panel.put([(0, 7, 10.0), (0, 8, 11.0)]) == 2
    assert panel.put([(0, 8, 99.0)]) == 0
    assert panel.returns(1)[0, 0] == np.log(11.0) - np.log(10.0)


def test_a_close_older_than_the_panel_is_refused() -> None:
    panel = ReturnPanel(1, 4)
    assert panel.put([(0, 100, 10.0)]) == 1
    assert panel.put([(0, 95, 1.0), (0, 96, 2.0)]) == 1
    assert np.isnan(panel.returns(4)).all()


def test_asking_for_more_than_is_held_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds 4 hours, not 5"):
        ReturnPanel(1, 4).returns(3, ago=2)


def test_a_restored_panel_goes_on_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    bars = [(int(rng.integers(0, 2)), hour, float(rng.uniform(1, 9))) for hour in range(50) for _ in range(2)]
    whole = ReturnPanel(2, 12)
    whole.put(bars[:61])
    resumed = ReturnPanel(2, 12)
    resumed.restore(whole.snapshot())
    for bar in bars[61:]:
        assert whole.put([bar]) == resumed.put([bar])
        np.testing.assert_array_equal(whole.returns(12), resumed.returns(12))
        np.testing.assert_array_equal(whole.newest, resumed.newest)
    assert whole.snapshot() == resumed.snapshot()

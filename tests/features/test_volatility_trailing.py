"""Trailing sums against plain ones, whatever came late and whatever was asked before."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from regimes.features.volatility_regime.trailing import TrailingSums
from regimes.timeframe import HOUR_MS
from regimes.windows.bars import BarPanel

ROWS, DAYS, SPARE = 3, 4, 30
FIRST = 1_000


def sums(panel: BarPanel) -> TrailingSums:
    return TrailingSums(panel, "value", DAYS)


def empty() -> BarPanel:
    return BarPanel(ROWS, DAYS * 24 + SPARE, HOUR_MS, {"value": float("nan")})


def put(panel: BarPanel, ours: TrailingSums, hour: int, row: int, value: float) -> None:
    column = panel.columns(np.array([hour * HOUR_MS]))[0]
    if column >= 0:
        panel.fields["value"][row, column] = value
        ours.changed(hour * HOUR_MS)


@given(
    hours=st.lists(st.integers(FIRST, FIRST + 200), min_size=1, max_size=80),
    asked=st.lists(st.integers(FIRST, FIRST + 200), max_size=20),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_the_window_and_the_same_bits_whatever_was_asked_before(
    hours: list[int], asked: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    panel = empty()
    ours = sums(panel)
    for place, hour in enumerate(hours):
        put(panel, ours, hour, int(rng.integers(ROWS)), float(rng.lognormal()))
        for end in asked[place : place + 1]:
            total, count = (found[0] for found in ours.ending([end * HOUR_MS]))
            window = panel.window("value", end * HOUR_MS, DAYS * 24)
            np.testing.assert_allclose(total, np.nansum(window, axis=1), rtol=1e-12)
            np.testing.assert_array_equal(count, np.count_nonzero(~np.isnan(window), axis=1))
            fresh_total, _ = sums(panel).ending([(end + ago) * HOUR_MS for ago in range(-5, 1)])
            assert total.tobytes() == fresh_total[-1].tobytes()


@pytest.mark.parametrize("hour", range(24))
def test_every_hour_of_a_day_has_a_window_of_whole_days(hour: int) -> None:
    panel = empty()
    ours = sums(panel)
    for at in range(FIRST, FIRST + DAYS * 24 + SPARE):
        for row in range(ROWS):
            put(panel, ours, at, row, 1.0)
    total, count = ours.ending([(FIRST + DAYS * 24 + hour) * HOUR_MS])
    assert total.tolist() == count.tolist() == [[DAYS * 24] * ROWS]

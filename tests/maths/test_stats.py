"""Each statistic against numpy, one row at a time."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as reference

from regimes.maths.stats import FloatArray, latest_valid, mean_and_std, sum_and_count, z_score

WINDOWS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(3, 30)),
    elements=st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))),
)


@given(WINDOWS)
def test_sum_and_count_leave_out_what_is_missing(windows: FloatArray) -> None:
    total, count = sum_and_count(windows)
    np.testing.assert_allclose(total, np.nansum(windows, axis=-1), rtol=1e-12, atol=1e-6)
    np.testing.assert_array_equal(count, (~np.isnan(windows)).sum(axis=-1))


@given(WINDOWS)
def test_mean_and_deviation_are_those_of_the_values_that_are_there(windows: FloatArray) -> None:
    mean, std, count = mean_and_std(windows)
    for row, window in enumerate(windows):
        there = window[~np.isnan(window)]
        assert count[row] == len(there)
        if len(there) >= 2:
            assert mean[row] == pytest.approx(np.mean(there), rel=1e-9, abs=1e-9)
            assert std[row] == pytest.approx(np.std(there, ddof=1), rel=1e-7, abs=1e-6)
        else:
            assert np.isnan(std[row])


@given(WINDOWS, st.integers(1, 3))
def test_latest_valid_is_the_tail_without_its_gaps(windows: FloatArray, length: int) -> None:
    latest, found = latest_valid(windows, length)
    for row, window in enumerate(windows):
        there = window[~np.isnan(window)][-length:]
        assert found[row] == len(there)
        np.testing.assert_array_equal(latest[row][length - len(there) :], there)
        assert np.isnan(latest[row][: length - len(there)]).all()


def test_a_row_gives_the_same_bits_alone_and_among_five_hundred() -> None:
    windows = np.random.default_rng(7).lognormal(size=(500, 720))
    windows[3, 100:140] = np.nan
    together, alone = mean_and_std(windows), [mean_and_std(windows[[row]]) for row in (0, 3, 499)]
    for (mean, std, count), row in zip(alone, (0, 3, 499), strict=True):
        assert (mean[0], std[0], count[0]) == tuple(part[row] for part in together)


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 17, 500])
@pytest.mark.parametrize("length", [1, 2, 8, 20, 24, 720])
def test_a_sum_is_taken_in_order_of_time_however_the_rows_lie_in_memory(rows: int, length: int) -> None:
    windows = np.random.default_rng(rows).lognormal(size=(rows, length))
    wanted = [reduce(add, row) for row in windows.tolist()]
    wider = np.zeros((length, rows + 3))
    wider[:, :rows] = windows.T
    for same in (windows, windows.copy(order="F"), wider.T[:rows]):
        assert sum_and_count(same)[0].tolist() == wanted


def test_z_score_agrees_with_scipy() -> None:
    windows = np.random.default_rng(1).normal(5, 2, size=(6, 20))
    mean, std, _ = mean_and_std(windows)
    np.testing.assert_allclose(
        z_score(windows[:, -1], mean, std), reference.zscore(windows, axis=-1, ddof=1)[:, -1], rtol=1e-12
    )


def test_z_score_of_a_flat_window_is_missing_not_noise() -> None:
    windows = np.full((1, 20), 0.1) * 61_234.5
    windows[0, 3] = np.nextafter(windows[0, 3], 0)
    mean, std, _ = mean_and_std(windows)
    assert np.isnan(z_score(windows[:, -1], mean, std, scale=mean)).all()

"""Each measure against numpy and scipy, on rows of every length at once."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from scipy import stats

from regimes.maths.anomaly import FloatArray, Measures, measure

rates = st.one_of(
    st.sampled_from([1e-4, 1e-4, 1e-4, 0.0, -1e-4]),
    st.integers(-75_000, 75_000).map(lambda units: round(units * 1e-7, 8)),
)
rows = st.lists(st.lists(rates, min_size=3, max_size=60), min_size=1, max_size=5)


def stacked(histories: list[list[float]]) -> FloatArray:
    matrix = np.full((len(histories), max(map(len, histories))), np.nan)
    for index, row in enumerate(histories):
        matrix[index, -len(row) :] = row
    return matrix


def measured(histories: list[list[float]]) -> Measures:
    matrix = stacked(histories)
    return measure(matrix, np.ones(matrix.shape, dtype=np.bool_))


@given(rows)
def test_mean_deviation_and_z_are_numpys(histories: list[list[float]]) -> None:
    found = measured(histories)
    for index, row in enumerate(histories):
        history = np.array(row)
        std = history.std(ddof=1)
        assert found.n[index] == len(row)
        assert found.mean[index] == pytest.approx(history.mean(), rel=1e-12, abs=1e-18)
        assert found.std[index] == pytest.approx(std, rel=1e-9, abs=1e-15)
        if std > 1.01e-7:
            assert found.z[index] == pytest.approx((row[-1] - history.mean()) / std, rel=1e-9, abs=1e-9)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert found.z[index] == pytest.approx(stats.zscore(history, ddof=1)[-1], rel=1e-9, abs=1e-9)


@given(rows)
def test_the_percentile_is_scipys_mean_rank(histories: list[list[float]]) -> None:
    found = measured(histories)
    for index, row in enumerate(histories):
        expected = stats.percentileofscore(row, row[-1], kind="mean")
        assert found.percentile[index] == pytest.approx(expected, abs=1e-9)


@given(rows)
def test_the_robust_z_is_numpys_quantiles_and_scipys_mad(histories: list[list[float]]) -> None:
    found = measured(histories)
    for index, row in enumerate(histories):
        past = np.array(row[:-1])
        low, median, high = np.quantile(past, [0.1, 0.5, 0.9])
        spread = max(1.4826 * stats.median_abs_deviation(past), (high - low) / 2.563, 1e-5)
        assert found.z_robust[index] == pytest.approx((row[-1] - median) / spread, rel=1e-9, abs=1e-9)


@given(rows)
def test_persistence_run_and_reversal_follow_from_the_scores(histories: list[list[float]]) -> None:
    found = measured(histories)
    for index, row in enumerate(histories):
        history = np.array(row)
        std = history.std(ddof=1)
        assume(std > 1.01e-7)
        scores = (history - history.mean()) / std
        assume(np.abs(np.abs(scores) - 2).min() > 1e-9)
        assert found.persistence[index] == pytest.approx(np.mean(np.abs(scores) >= 2))
        assert found.run_length[index] == run(scores)
        assert found.reversal[index] == reverses(row, scores)


def run(scores: FloatArray) -> int:
    length = 0
    for score in scores[::-1]:
        if abs(score) < 2 or np.sign(score) != np.sign(scores[-1]):
            break
        length += 1
    return length


def reverses(row: list[float], scores: FloatArray) -> bool:
    now = np.sign(row[-1])
    for rate, score in zip(row[-2::-1], scores[-2::-1], strict=True):
        if np.sign(rate) == now or now == 0:
            return False
        if abs(score) >= 2 and np.sign(score) == np.sign(rate) == -now:
            return True
    return False


@given(rows, st.integers(1, 40))
def test_a_row_measures_the_same_to_the_bit_beside_longer_rows(
    histories: list[list[float]], wider: int
) -> None:
    alone = measured(histories[:1])
    beside = measured([histories[0], [1e-4] * (len(histories[0]) + wider)])
    for ours, theirs in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(ours[:1], theirs[:1])


def test_a_flat_history_has_no_score_unless_the_rate_is_on_the_mean() -> None:
    found = measured([[1e-4] * 40, [1e-4] * 39 + [1.004e-4], [1e-4] * 39 + [1.1e-4]])
    assert found.z[0] == 0
    assert found.persistence[0] == 0
    assert np.isnan(found.z[1])
    assert np.isnan(found.persistence[1])
    assert found.z[2] > 6


def test_one_rate_alone_has_a_rank_but_no_spread() -> None:
    found = measured([[1e-4]])
    assert np.isnan(found.std[0])
    assert np.isnan(found.z[0])
    assert np.isnan(found.z_robust[0])
    assert found.percentile[0] == 50
    assert not found.reversal[0]


def test_a_reversal_counts_only_an_extreme_that_is_recent() -> None:
    row = np.array([[1e-4] * 40 + [9e-4, -1e-4]])
    recent = np.zeros(row.shape, dtype=np.bool_)
    assert not measure(row, recent).reversal[0]
    recent[0, -2] = True
    assert measure(row, recent).reversal[0]

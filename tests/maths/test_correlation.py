"""Pearson, Fisher and Holm against scipy and statsmodels, missing data included."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from regimes.maths.correlation import (
    FLAT_STD,
    FloatArray,
    fisher_z,
    holm,
    is_break,
    pearson_matrix,
    pearson_pairs,
    surely_above,
)


def market(seed: int, rows: int, columns: int, missing: float) -> FloatArray:
    rng = np.random.default_rng(seed)
    common = rng.standard_t(4, (1, columns))
    returns = 0.01 * (common + rng.uniform(0.2, 3, (rows, 1)) * rng.standard_t(4, (rows, columns)))
    returns[rng.random(returns.shape) < missing] = np.nan
    return returns


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(2, 6),
    columns=st.integers(3, 80),
    missing=st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]),
    at_least=st.integers(3, 20),
)
def test_every_pair_agrees_with_scipy_on_the_columns_both_have(
    seed: int, rows: int, columns: int, missing: float, at_least: int
) -> None:
    returns = market(seed, rows, columns, missing)
    found = pearson_matrix(returns, at_least=at_least)
    for a in range(rows):
        for b in range(rows):
            both = np.isfinite(returns[a]) & np.isfinite(returns[b])
            assert found.n[a, b] == both.sum()
            if both.sum() < at_least:
                assert np.isnan(found.r[a, b])
            else:
                expected = stats.pearsonr(returns[a, both], returns[b, both]).statistic
                assert found.r[a, b] == pytest.approx(expected, abs=1e-9)


def test_one_row_with_holes_leaves_the_complete_pairs_bit_for_bit_alone() -> None:
    whole = market(5, 4, 300, 0.0)
    holed = whole.copy()
    holed[3, 17] = np.nan
    assert (pearson_matrix(whole).r[:3, :3] == pearson_matrix(holed).r[:3, :3]).all()


def test_a_column_that_is_missing_everywhere_counts_for_nobody() -> None:
    returns = market(6, 3, 100, 0.0)
    outage = np.insert(returns, 40, np.nan, axis=1)
    found = pearson_matrix(outage)
    assert found.n.tolist() == [[100] * 3] * 3
    assert found.r == pytest.approx(pearson_matrix(returns).r, abs=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bounds=st.lists(st.tuples(st.integers(0, 60), st.integers(20, 60)), min_size=1, max_size=5),
    missing=st.sampled_from([0.0, 0.05, 0.2]),
    drift=st.sampled_from([0.0, 1.0]),
)
def test_chosen_pairs_agree_with_scipy_in_every_span_however_the_spans_overlap(
    seed: int, bounds: list[tuple[int, int]], missing: float, drift: float
) -> None:
    returns = market(seed, 7, 120, 0.0)
    returns[:, 60:] += drift  # a mean that is another one in each span
    returns[:, np.random.default_rng(seed).random(120) < missing] = np.nan
    rows, columns = np.array([0, 1, 5, 2]), np.array([6, 5, 3, 4])
    spans = [(start, start + length) for start, length in bounds]
    found = pearson_pairs(returns, rows, columns, spans)
    for span, line in zip(spans, found, strict=True):
        part = returns[:, slice(*span)]
        known = part[:, np.isfinite(part[0])]
        expected = [stats.pearsonr(known[a], known[b]).statistic for a, b in zip(rows, columns, strict=True)]
        assert line == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("missing", [False, True])
def test_a_series_that_does_not_move_correlates_with_nothing(*, missing: bool) -> None:
    returns = market(7, 3, 100, 0.0)
    returns[1] = 0.0123456789
    if missing:
        returns[1:, 50] = np.nan
    found = pearson_matrix(returns).r
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[0, 2])


def test_the_smallest_move_that_counts_is_far_below_a_stablecoins() -> None:
    assert FLAT_STD < 1e-8


@pytest.mark.parametrize("missing", [False, True])
def test_one_huge_outlier_does_not_spoil_the_rest(*, missing: bool) -> None:
    returns = market(8, 3, 200, 0.0)
    returns[0, 100] = 1e4
    if missing:
        returns[0, 3] = np.nan
    both = np.isfinite(returns[0])
    expected = stats.pearsonr(returns[0, both], returns[1, both]).statistic
    assert pearson_matrix(returns).r[0, 1] == pytest.approx(expected, abs=1e-9)


def test_no_data_give_no_correlation_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pearson_matrix(np.full((3, 50), np.nan))
    assert np.isnan(found.r).all()
    assert (found.n == 0).all()


@settings(max_examples=200)
@given(
    r1=st.floats(-0.999, 0.999),
    r2=st.floats(-0.999, 0.999),
    n1=st.integers(4, 2_000),
    n2=st.integers(4, 2_000),
)
def test_fisher_z_is_the_difference_in_standard_errors(r1: float, r2: float, n1: int, n2: int) -> None:
    spread = np.hypot((n1 - 3) ** -0.5, (n2 - 3) ** -0.5)
    expected = 0.5 * (np.log((1 + r1) / (1 - r1)) - np.log((1 + r2) / (1 - r2))) / spread
    assert float(fisher_z(r1, n1, r2, n2)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=200)
@given(
    r=st.floats(-0.999, 0.99),
    n=st.tuples(st.integers(20, 200), st.integers(500, 800)),
    min_z=st.floats(0.1, 8),
)
def test_what_is_surely_above_lies_so_many_standard_errors_away(
    r: float, n: tuple[int, int], min_z: float
) -> None:
    above = surely_above(np.array([r]), n, min_z)[0]
    spread = np.hypot((n[0] - 3) ** -0.5, (n[1] - 3) ** -0.5)
    assert float(fisher_z(above, n[0], r, n[1])) == pytest.approx(
        min(min_z, np.arctanh(0.99) / spread), rel=1e-6
    )


def test_what_is_surely_above_is_never_above_what_is_so_for_a_higher_one() -> None:
    r = np.linspace(-1.2, 1, 2_000, dtype=np.float32)
    for min_z in (0.5, 3.8, 50.0):
        assert (np.diff(surely_above(r, (24, 720), min_z)) >= -1e-6).all()


def test_fisher_z_of_independent_samples_is_standard_normal() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], (4_000, 200))
    r1 = [np.corrcoef(sample[:100].T)[0, 1] for sample in pairs]
    r2 = [np.corrcoef(sample[100:].T)[0, 1] for sample in pairs]
    assert stats.kstest(fisher_z(r1, 100, r2, 100), "norm").pvalue > 0.01


@pytest.mark.parametrize(("r1", "r2"), [(1.0, -1.0), (1.0, 1.0), (-1.0, 0.2)])
def test_fisher_z_stays_finite_at_perfect_correlation(r1: float, r2: float) -> None:
    assert np.isfinite(fisher_z(r1, 24, r2, 720))


@pytest.mark.parametrize("n", [0, 3])
def test_fisher_z_of_too_few_data_is_unknown(n: int) -> None:
    assert np.isnan(fisher_z(0.5, n, 0.1, 720))


@pytest.mark.parametrize(
    ("current", "normal", "broken"),
    [(0.82, 0.87, False), (0.15, 0.87, True), (0.5, 0.8, True), (0.501, 0.8, False)],
)
def test_the_worked_examples_of_a_break(current: float, normal: float, *, broken: bool) -> None:
    change = round(current - normal, 9)
    z = fisher_z(current, 168, normal, 720)
    assert bool(is_break(change, z, min_change=0.30, min_z=3.8)) is broken


def test_a_large_change_of_few_data_is_no_break() -> None:
    z = fisher_z(0.45, 20, 0.80, 500)
    assert not is_break(-0.35, z, min_change=0.30, min_z=3.8)


def test_what_is_unknown_is_no_break() -> None:
    assert not is_break(np.nan, np.nan, min_change=0.30, min_z=3.8)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=15), alpha=st.floats(0.001, 0.2))
def test_holm_agrees_with_statsmodels(p: list[float], alpha: float) -> None:
    assert holm(p, alpha) == multipletests(p, alpha=alpha, method="holm")[0].tolist()

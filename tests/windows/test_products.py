"""Sliding sums of products agree with a computation from scratch."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.windows.products import BLOCK, FloatArray, SlidingProducts, Triangle


def scratch(window: FloatArray) -> FloatArray:
    filled = np.nan_to_num(window)
    live = filled[:, ~np.isnan(window).all(axis=0)]
    centred = live - live.mean(axis=1, keepdims=True) if live.shape[1] else live
    return np.asarray(centred @ centred.T)


def build(window: FloatArray) -> SlidingProducts:
    products = SlidingProducts(len(window))
    products.rebuild(np.nan_to_num(window), int((~np.isnan(window).all(axis=0)).sum()))
    return products


def assert_agrees(sums: SlidingProducts, window: FloatArray) -> None:
    expected = scratch(window)
    np.testing.assert_allclose(sums.squares, np.diagonal(expected), atol=1e-13)
    scale = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    for start, stop, products in sums.settled():
        off = np.abs(products - expected[start:stop, start:])
        assert np.all(off <= 1e-4 * scale[start:stop, start:] + 1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(2, 30), missing=st.sampled_from([0.0, 0.1, 0.9]))
def test_every_slide_agrees_with_scratch(seed: int, width: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    series = rng.normal(0.002, 0.01, (4, width + 40))
    series[:, rng.random(width + 40) < missing] = np.nan
    series[1, rng.random(width + 40) < missing / 2] = np.nan
    sums = build(series[:, :width])
    for column in range(width, width + 40):
        sums.slide(series[:, column], series[:, column - width])
        window = series[:, column - width + 1 : column + 1]
        assert_agrees(sums, window)
        assert sums.columns == (~np.isnan(window).all(axis=0)).sum()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slides=st.integers(0, 12), outage=st.booleans())
def test_the_products_of_a_pair_are_known_before_they_are_settled(
    *, seed: int, slides: int, outage: bool
) -> None:
    rng = np.random.default_rng(seed)
    series = rng.normal(0.002, 0.01, (70, 62))
    if outage:
        series[:, [5, 52]] = np.nan
    sums = build(series[:, :50])
    for column in range(50, 50 + slides):
        sums.slide(series[:, column], series[:, column - 50])
    rows, columns = np.array([0, 3, 3, 66]), np.array([1, 3, 69, 68])
    expected = scratch(series[:, slides : 50 + slides])[rows, columns]
    np.testing.assert_allclose(sums.at(rows, columns), expected, rtol=1e-4, atol=1e-8)
    assert_agrees(sums, series[:, slides : 50 + slides])
    np.testing.assert_allclose(sums.at(rows, columns), expected, rtol=1e-4, atol=1e-8)


def test_what_is_not_zero_is_found_where_it_is() -> None:
    kept = Triangle(150, np.bool_)
    expected = {(0, 149), (3, 64), (64, 64), (130, 149), (149, 149)}
    for row, column in expected:
        block = kept.blocks[row // BLOCK]
        block.values[row - block.start, column - block.start] = True
    rows, columns = kept.nonzero()
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected
    assert kept.at(rows, columns).all()


def correlations(window: FloatArray) -> FloatArray:
    products = scratch(window)
    length = np.sqrt(np.diagonal(products))
    return np.asarray(products / np.outer(length, length))


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tails=st.sampled_from([1.5, 3.0, 30.0]),
    level=st.sampled_from([0.0, 0.05]),
    outage=st.booleans(),
)
def test_no_correlation_moves_farther_than_the_drift(
    *, seed: int, tails: float, level: float, outage: bool
) -> None:
    rng = np.random.default_rng(seed)
    common = rng.standard_t(tails, (1, 70))
    series = level + 0.01 * (common + rng.uniform(0.1, 3, (5, 1)) * rng.standard_t(tails, (5, 70)))
    series[:2, 45:] += 0.02 * rng.standard_t(tails)
    if outage:
        series[:, [10, 55]] = np.nan
    sums, before = build(series[:, :40]), correlations(series[:, :40])
    for column in range(40, 70):
        sums.slide(series[:, column], series[:, column - 40])
        moved = np.abs(correlations(series[:, column - 39 : column + 1]) - before)
        assert moved.max() <= sums.drift(np.ones(5, dtype=np.bool_)) + 1e-9
        chosen = np.array([True, False, True, False, False])
        assert moved[0, 2] <= sums.drift(chosen) + 1e-9


def test_drift_is_small_in_quiet_hours_and_begins_anew_when_settled() -> None:
    series = np.random.default_rng(5).normal(0, 0.01, (50, 730))
    sums = build(series[:, :720])
    every, drifts = np.ones(50, dtype=np.bool_), [sums.drift(np.ones(50, dtype=np.bool_))]
    for column in range(720, 730):
        sums.slide(series[:, column], series[:, column - 720])
        drifts.append(sums.drift(every))
    assert drifts[0] == pytest.approx(0.0, abs=1e-12)
    assert drifts == sorted(drifts)
    assert 0.03 < drifts[-1] < 0.15
    version = sums.version
    assert len(list(sums.settled())) == 1
    assert sums.version != version
    assert sums.drift(every) == pytest.approx(0.0, abs=1e-12)
    assert sums.drift(np.zeros(50, dtype=np.bool_)) == 0.0, "without two rows there is nothing that can move"


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 150])
def test_blocks_hold_every_pair_once(rows: int) -> None:
    series = np.random.default_rng(2).normal(0, 0.01, (rows, 60))
    sums = build(series[:, :50])
    for column in range(50, 60):
        sums.slide(series[:, column], series[:, column - 50])
    assert_agrees(sums, series[:, 10:])
    covered = np.zeros((rows, rows), dtype=int)
    for start, stop, products in sums.settled():
        covered[start:stop, start:] += 1
        assert products.shape == (stop - start, rows - start)
    assert (covered[np.triu_indices(rows)] == 1).all()


def test_an_outlier_that_leaves_says_that_the_sums_are_worn() -> None:
    series = np.random.default_rng(1).normal(0, 0.01, (3, 100))
    series[0, 30] = 10.0
    sums = build(series[:, :50])
    worn = []
    for column in range(50, 100):
        sums.slide(series[:, column], series[:, column - 50])
        worn.append(sums.worn)
    assert [column for column, is_worn in enumerate(worn) if is_worn] == [30]
    sums.rebuild(series[:, 50:], 50)
    assert not sums.worn
    assert_agrees(sums, series[:, 50:])


def test_ordinary_hours_never_wear_them() -> None:
    series = np.random.default_rng(3).standard_t(3, (50, 200)) * 0.01
    sums = build(series[:, :150])
    for column in range(150, 200):
        sums.slide(series[:, column], series[:, column - 150])
        assert not sums.worn

"""Sliding sums of products agree with a computation from scratch."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.windows.products import FloatArray, SlidingProducts


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
    for start, stop, products in sums.blocks:
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


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300])
def test_blocks_hold_every_pair_once(rows: int) -> None:
    series = np.random.default_rng(2).normal(0, 0.01, (rows, 60))
    sums = build(series[:, :50])
    for column in range(50, 60):
        sums.slide(series[:, column], series[:, column - 50])
    assert_agrees(sums, series[:, 10:])
    covered = np.zeros((rows, rows), dtype=int)
    for start, stop, products in sums.blocks:
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

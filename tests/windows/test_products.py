"""Sliding sums of products agree with a computation from scratch."""

import numpy as np
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
        np.testing.assert_allclose(sums.products, scratch(window), atol=1e-13)
        assert sums.columns == (~np.isnan(window).all(axis=0)).sum()


def test_an_outlier_that_has_left_leaves_no_more_than_rounding() -> None:
    series = np.random.default_rng(1).normal(0, 0.01, (3, 100))
    series[0, 30] = 10.0
    sums = build(series[:, :50])
    for column in range(50, 100):
        sums.slide(series[:, column], series[:, column - 50])
    np.testing.assert_allclose(sums.products, scratch(series[:, 50:]), atol=1e-12)

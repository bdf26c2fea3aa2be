"""The sequential test of correlations: normal pairs stay below the bound, broken ones pass it soon."""

from typing import Any

import numpy as np
import pytest

from bench.signals.correlation import AFTER, WARM, World, delays, simulate, strengths
from regimes.maths.correlation_watch import CorrelationWatch
from regimes.maths.stats import FloatArray


def watch_of(returns: FloatArray) -> CorrelationWatch:
    rows = returns.shape[1]
    first, second = (index.astype(np.int64) for index in np.triu_indices(rows, 1))
    watch = CorrelationWatch(rows, first, second)
    for hour in returns:
        watch.step(hour)
    return watch


def together(seed: int, hours: int, rows: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    common = rng.standard_t(5, size=(hours, 1))
    return np.asarray(0.005 * (common + 0.5 * rng.standard_t(5, size=(hours, rows))))


def test_nothing_is_known_before_weeks_of_returns() -> None:
    watch = watch_of(together(1, 400, 3))
    assert np.isnan(watch.found().strength).all()
    assert not watch.found().broken.any()


def test_volatility_is_weighed_by_the_hours_that_are_known() -> None:
    returns = 0.005 * np.random.default_rng(5).uniform(0.8, 1.2, (20, 2))
    returns[7, 0] = np.nan
    watch = watch_of(returns)
    for row, variance in enumerate(watch.arrays["variance"]):
        known = returns[~np.isnan(returns[:, row]), row]
        expected = known[0] ** 2
        for count, one in enumerate(known[1:], start=1):
            keep = 0.5 ** (1 / (count / 2 + 1))
            expected = keep * expected + (1 - keep) * one**2
        assert variance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("broken", "hours"), [(0.6, 48.0), (0.4, 24.0), (0.0, 14.0)])
def test_a_break_is_noticed_within_hours(broken: float, hours: float) -> None:
    strength = strengths(simulate(np.random.default_rng(3), World(), WARM + AFTER, 60, broken))
    assert np.median(delays(strength, 1.0)) <= hours
    assert (strength[-AFTER - 1] < 1).mean() > 0.9, "before it hardly any pair was said to be broken"


def test_a_correlation_that_rises_is_a_break_too() -> None:
    returns = together(2, WARM, 2)
    after = together(3, 120, 1)
    watch = watch_of(np.concatenate((returns, np.repeat(after, 2, axis=1) * [1.0, 1.001])))
    assert watch.found().strength[0] > 1
    assert watch.found().broken.nonzero()[0].tolist() == [0]


def test_the_scale_does_not_matter() -> None:
    returns = together(4, 900, 3)
    plain, scaled = watch_of(returns), watch_of(returns * [1.0, 100.0, 0.01])
    assert scaled.found().strength == pytest.approx(plain.found().strength)


def test_missing_and_flat_returns_poison_nothing() -> None:
    returns = together(5, 1_000, 4)
    returns[np.random.default_rng(0).random(returns.shape) < 0.05] = np.nan
    returns[:, 3] = 0.0
    watch = watch_of(returns)
    assert np.isfinite(
        np.concatenate([a.ravel() for n, a in watch.arrays.items() if n != "recent"])[4:]
    ).all()
    strength = dict(
        zip(
            zip(watch.first.tolist(), watch.second.tolist(), strict=True), watch.found().strength, strict=True
        )
    )
    assert all(np.isfinite(value) == (3 not in pair) for pair, value in strength.items())


def test_of_many_pairs_more_evidence_is_asked() -> None:
    few, many = (watch_of(together(6, 700, rows)) for rows in (2, 30))
    for watch in (few, many):
        watch.arrays["evidence"][:] = 0.0
        watch.arrays["evidence"][0, 0] = 6.8
    assert few.found().broken.nonzero()[0].tolist() == [0]
    assert many.found().broken.nonzero()[0].tolist() == []
    many.arrays["evidence"][0, 0] = 35.0
    assert many.found().broken.nonzero()[0].tolist() == [0]


def test_a_symbol_gives_the_same_bits_whoever_is_beside_it() -> None:
    returns = together(7, 800, 5)
    whole, part = watch_of(returns), watch_of(returns[:, :2])
    found: Any = whole.found().strength[0]
    assert found.tobytes() == part.found().strength[0].tobytes()

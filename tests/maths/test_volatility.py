"""Realised volatility and its regimes, against plain Python and the worked examples."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from regimes.maths import volatility
from regimes.maths.volatility import ClassifyBy

ABSOLUTE, RELATIVE = (0.01, 0.05, 0.10), (1.0, 1.5, 2.5)


def level(vol: float, ratio: float, by: ClassifyBy, factor: float = 1.0) -> int:
    found = volatility.levels(
        np.array([vol]),
        np.array([ratio]),
        absolute=ABSOLUTE,
        relative=RELATIVE,
        classify_by=by,
        factor=factor,
    )
    return int(found[0])


@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(720, 760),
    missing=st.floats(0, 1),
    scale=st.floats(1e-6, 0.3),
)
def test_volatilities_are_the_formulas_in_plain_python(
    seed: int, length: int, missing: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    squares = [None if rng.random() < missing else r * r for r in rng.normal(0, scale, length).tolist()]
    window = np.array([[math.nan if s is None else s for s in squares]])
    day = [s for s in squares[-24:] if s is not None]
    month = [s for s in squares[-720:] if s is not None]
    vol, day_count = volatility.volatility_24h(window)
    base, month_count = volatility.baseline_30d(window)
    assert (day_count[0], month_count[0]) == (len(day), len(month))
    assert vol[0] == pytest.approx(math.sqrt(math.fsum(day)), rel=1e-12)
    if month:
        assert base[0] == pytest.approx(math.sqrt(24 * math.fsum(month) / len(month)), rel=1e-12)
    else:
        assert math.isnan(base[0])


def test_return_exists_only_between_two_bars_that_exist() -> None:
    returns = volatility.log_returns(np.array([100.0, 110.0, np.nan, 121.0, 121.0]))
    np.testing.assert_allclose(returns, [math.log(1.1), np.nan, np.nan, 0.0])


@pytest.mark.parametrize(
    ("vol", "ratio", "by", "wanted"),
    [
        (0.021, 1.17, "both", 1),  # HIGH_VOL
        (0.052, 4.3, "both", 2),  # EXPLOSIVE
        (0.052, 4.3, "ratio", 3),
        (0.052, 4.3, "absolute", 2),
        (0.01, 9.0, "absolute", 1),
        (0.00999, 9.0, "both", 0),
        (0.05, 1.5, "both", 2),
        (0.10, 2.5, "both", 3),
        (0.5, 0.999, "both", 0),
        (0.5, math.nan, "both", 0),
    ],
)
def test_state_is_the_number_of_thresholds_reached_inclusive_and_both_takes_the_lower(
    vol: float, ratio: float, by: ClassifyBy, wanted: int
) -> None:
    assert level(vol, ratio, by) == wanted


def test_factor_lowers_every_threshold() -> None:
    assert level(0.0425, 1.275, "both", factor=0.85) == 2
    assert level(0.0424, 1.275, "both", factor=0.85) == 1


def test_ratio_of_a_price_that_never_moved_is_missing() -> None:
    assert np.isnan(volatility.ratio(np.array([0.0]), np.array([0.0]))).all()

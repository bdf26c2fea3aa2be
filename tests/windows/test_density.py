import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from regimes.windows.density import MOST_CELLS, PriceDensity

HALF_LIFE, CELL = 1000, 0.0005
items = st.lists(
    st.tuples(st.integers(0, 100_000), st.floats(0.01, 1e5), st.floats(1, 1e7)), min_size=1, max_size=60
)


@given(items, st.integers(0, 3_000))
def test_each_amount_has_halved_every_half_life_whatever_the_order(
    amounts: list[tuple[int, float, float]], later: int
) -> None:
    density = PriceDensity(HALF_LIFE, CELL)
    for ts, price, usd in amounts:
        density.add(ts, price, usd)
    now = max(ts for ts, _, _ in amounts) + later
    log_prices, left = density.levels(now)
    expected = sum(usd * 2.0 ** (-(now - ts) / HALF_LIFE) for ts, _, usd in amounts)
    assert left.sum() == pytest.approx(expected, rel=1e-9, abs=0.01 * len(amounts))
    known = np.array([math.log(price) for _, price, _ in amounts])
    assert all(np.abs(known - log_price).min() <= CELL / 2 * 1.001 for log_price in log_prices)


def test_weights_stay_finite_for_years() -> None:
    density = PriceDensity(HALF_LIFE, CELL)
    for ts in range(0, 10_000_000, 7_919):
        density.add(ts, 100.0, 500.0)
    _, left = density.levels(10_000_000 // 7_919 * 7_919)
    assert np.isfinite(left).all()
    assert left.sum() == pytest.approx(500 / (1 - 2 ** (-7.919)), rel=1e-3)


def test_memory_is_bounded_and_the_heaviest_stay() -> None:
    density = PriceDensity(HALF_LIFE, CELL)
    density.add(0, 3.0, 1e9)
    for index in range(3 * MOST_CELLS):
        density.add(0, math.exp(index * CELL * 2), 1.0)
    log_prices, left = density.levels(0)
    assert len(left) <= MOST_CELLS
    assert np.exp(log_prices[left.argmax()]) == pytest.approx(3.0, rel=CELL)


def test_a_restored_density_is_the_same() -> None:
    density, other = PriceDensity(HALF_LIFE, CELL), PriceDensity(HALF_LIFE, CELL)
    for ts in range(100):
        density.add(ts * 50, 100 + ts % 7, 10.0)
    other.restore(density.snapshot())
    assert other.snapshot() == density.snapshot()
    np.testing.assert_array_equal(other.levels(9000), density.levels(9000))

import numpy as np
from hypothesis import given, settings, strategies as st

from regimes.feeds.simulator.paths import Knots, bar_knots, walk

BARS = st.tuples(
    st.floats(1e-3, 1e5),
    st.floats(0, 0.2),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([60, 900, 3600]),
)


@settings(max_examples=60, deadline=None)
@given(BARS, st.integers(0, 2**31))
def test_a_path_touches_open_high_low_and_close_and_stays_between(
    bar: tuple[float, float, float, float, int], seed: int
) -> None:
    low, width, opens, closes, seconds = bar
    low = round(low, 6)
    high = round(low * (1 + width), 6)
    open_, close = (min(high, max(low, round(low + share * (high - low), 6))) for share in (opens, closes))
    rng = np.random.default_rng(seed)

    path = walk(bar_knots(open_, high, low, close, seconds, rng), 6, rng)

    assert len(path) == seconds
    assert (path[0], path.max(), path.min(), path[-1]) == (open_, high, low, close)


def test_a_path_is_rounded_to_the_decimals_of_its_instrument() -> None:
    rng = np.random.default_rng(1)
    path = walk(Knots((0, 1000, 3599), (100.0, 103.21, 99.87)), 2, rng)
    assert np.array_equal(path, np.round(path, 2))


def test_a_bar_that_did_not_move_has_a_flat_path() -> None:
    rng = np.random.default_rng(1)
    assert set(walk(bar_knots(5.0, 5.0, 5.0, 5.0, 60, rng), 4, rng).tolist()) == {5.0}


def test_the_same_seed_walks_the_same_way_and_another_one_does_not() -> None:
    knots = Knots((0, 100, 200, 299), (10.0, 12.0, 9.0, 11.0))
    first, again, other = (walk(knots, 4, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_rising_bar_makes_its_low_first_more_often_than_not() -> None:
    rng = np.random.default_rng(0)
    low_first = sum(bar_knots(10, 12, 9, 11, 3600, rng).price[1] == 9 for _ in range(400))
    assert 240 < low_first < 320

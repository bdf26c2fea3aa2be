import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.signal import find_peaks
from scipy.stats import gaussian_kde

from regimes.maths.zones import Zone, around, clusters, merged, walls

WIDTH = 0.002


def test_two_groups_of_prices_are_two_clusters_at_their_centres() -> None:
    rng = np.random.default_rng(2)
    log_prices = np.log(np.concatenate([rng.normal(100, 0.05, 300), rng.normal(110, 0.05, 100)]))
    found = clusters(log_prices, np.full(400, 1000.0), WIDTH, min_share=0.05)
    assert [zone.price for zone in found] == pytest.approx([100, 110], rel=1e-3)
    assert [zone.notional_usd for zone in found] == [300_000, 100_000]


def test_peaks_are_those_of_scipys_kernel_density() -> None:
    rng = np.random.default_rng(8)
    log_prices = rng.normal(4.6, 0.02, 60)
    usd = rng.lognormal(8, 1, 60)
    found = clusters(log_prices, usd, WIDTH, min_share=1e-9)
    grid = np.arange(log_prices.min() - 0.01, log_prices.max() + 0.01, WIDTH / 40)
    kde = gaussian_kde(log_prices, bw_method=WIDTH / log_prices.std(ddof=1), weights=usd)
    # scipy scales by the weighted deviation: set the bandwidth exactly.
    kde.set_bandwidth(WIDTH / np.sqrt(kde.covariance[0, 0]) * kde.factor)
    peaks, _ = find_peaks(kde(grid), height=0.02 * kde(grid).max())
    assert abs(len(found) - len(peaks)) <= 2
    heavy = sorted(found, key=lambda zone: -zone.notional_usd)[:3]
    for zone in heavy:
        assert np.abs(np.log(zone.price) - grid[peaks]).min() < 1.5 * WIDTH


@given(st.lists(st.tuples(st.floats(90, 110), st.floats(1, 1e6)), min_size=1, max_size=60))
def test_clusters_share_out_all_the_money(items: list[tuple[float, float]]) -> None:
    prices, usd = np.array(items).T
    found = clusters(np.log(prices), usd, WIDTH, min_share=1e-12)
    assert sum(zone.notional_usd for zone in found) == pytest.approx(usd.sum(), rel=1e-9)
    assert all(prices.min() * 0.999 <= zone.price <= prices.max() * 1.001 for zone in found)


def test_no_money_or_an_absurd_range_of_prices_gives_no_clusters() -> None:
    assert clusters(np.zeros(0), np.zeros(0), WIDTH, min_share=0.05) == []
    assert clusters(np.log([1e-9, 1e12]), np.ones(2), WIDTH, min_share=0.05) == []


def book(*quantities: float) -> np.ndarray:
    return np.array([[100.0 + i, quantity] for i, quantity in enumerate(quantities)])


def test_a_wall_stands_through_most_snapshots() -> None:
    flashed = [book(1, 1, 1, 1, 9), book(1, 1, 1, 1, 1), book(1, 1, 1, 1, 1)]
    standing = [book(1, 1, 1, 1, 9), book(1, 1, 1, 1, 9), book(1, 1, 1, 1, 1)]
    assert walls(flashed, 5.0) == []
    assert walls(standing, 5.0) == [Zone(104.0, 936.0, "book")]
    assert walls([book(1, 1, 1, 1, 5)] * 3, 5.0) == [], "it must be above five times"


def test_a_level_that_was_not_there_was_empty() -> None:
    assert walls([book(1, 1, 1, 1, 9), book(1, 1, 1, 1), book(1, 1, 1, 1)], 5.0) == []
    assert walls([np.zeros((0, 2))] * 3, 5.0) == []


def test_zones_that_touch_become_one() -> None:
    zones = [Zone(100.0, 10.0, "book"), Zone(100.15, 30.0, "liquidations"), Zone(102.0, 5.0, "book")]
    found = merged(zones, WIDTH)
    assert [zone.source for zone in found] == ["book+liquidations", "book"]
    assert found[0].price == pytest.approx(100.1125)
    assert found[0].notional_usd == 40


def test_the_nearest_come_first_on_each_side() -> None:
    zones = [Zone(float(price), 1.0, "book") for price in range(90, 111)]
    below, above = around(zones, 100.0, 3)
    assert [zone.price for zone in below] == [100, 99, 98]
    assert [zone.price for zone in above] == [101, 102, 103]

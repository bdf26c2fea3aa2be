"""The sums that slide for hundreds of symbols say what a computation from scratch says."""

import numpy as np
import pytest

from regimes.features.correlation_engine.large import ANCHOR_HOURS, LargeMarket
from regimes.features.correlation_engine.market import Market, SmallMarket
from regimes.features.correlation_engine.pairs import NO_BREAK, PANEL_HOURS
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import FloatArray
from regimes.windows.panel import ReturnPanel
from tests.features.correlation_engine.market import START_HOUR, apart_from, closes, together

ROWS = 6
SETTINGS = CorrelationSettings()
EVERY = tuple(index.astype(np.int64) for index in np.triu_indices(ROWS, 1))


def new_panel() -> ReturnPanel:
    return ReturnPanel(ROWS, PANEL_HOURS, spare=ANCHOR_HOURS)


def fill(panel: ReturnPanel, prices: FloatArray, column: int) -> None:
    panel.put(
        (row, START_HOUR + column, float(prices[row, column]))
        for row in range(len(prices))
        if np.isfinite(prices[row, column])
    )


def assert_same(large: Market, small: Market) -> None:
    found, expected = large.pairs(*EVERY), small.pairs(*EVERY)
    for name in found._fields:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-8, err_msg=name)
    np.testing.assert_allclose(large.matrix(), small.matrix(), atol=1e-9)
    np.testing.assert_array_equal(large.known(), small.known())
    np.testing.assert_array_equal(large.flat(), small.flat())
    candidates = set(zip(*(index.tolist() for index in large.candidates(SETTINGS)), strict=True))
    broken = expected.levels(SETTINGS) > NO_BREAK
    assert candidates >= set(zip(EVERY[0][broken].tolist(), EVERY[1][broken].tolist(), strict=True))
    weak = expected.strength < 0.3 - 1e-2
    assert not candidates & set(zip(EVERY[0][weak].tolist(), EVERY[1][weak].tolist(), strict=True))


def market_with(trouble: str) -> FloatArray:
    prices = closes(apart_from(850, together(71, ROWS, 1_020), 2))
    if trouble == "outage of all":
        prices[:, 700:705] = np.nan
        prices[:, 990:993] = np.nan
    elif trouble == "holes":
        prices[np.random.default_rng(4).random(prices.shape) < 0.01] = np.nan
    elif trouble == "late listing":
        prices[4, :600] = np.nan
    elif trouble == "flat":
        prices[1, 300:] = 5.0
    elif trouble == "jump":
        prices[3, 500:] *= 1e4
    return prices


@pytest.mark.parametrize("trouble", ["none", "outage of all", "holes", "late listing", "flat", "jump"])
def test_sliding_sums_agree_with_scratch_at_every_hour(trouble: str) -> None:
    prices = market_with(trouble)
    panel, large, small = new_panel(), LargeMarket(ROWS), SmallMarket(ROWS)
    for column in range(prices.shape[1]):
        fill(panel, prices, column)
        large.advance(panel)
        if column % 61 == 0 or column > 970 or (500 < column < 560):
            small.advance(panel)
            assert_same(large, small)


RESTLESS = CorrelationSettings(min_change=0.2, min_fisher_z=3.0)


def restless_market(seed: int, rows: int, hours: int) -> FloatArray:
    """Heavy tails, a crash of every other row that becomes normal in a single hour a week later, jumps, an outage, holes."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.2, 2.0, (rows, 1))
    moves = 0.01 * (rng.standard_t(3, (1, hours)) + share * rng.standard_t(3, (rows, hours)))
    moves[::2, -200] -= 0.5
    moves[rng.integers(0, rows, 3), -rng.integers(1, 60, 3)] += rng.normal(0, 0.3, 3)
    prices = closes(moves)
    prices[:, -20:-18] = np.nan
    prices[0, : hours - 900] = np.nan
    prices[1, hours - 905] = np.nan
    return prices


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_that_breaks_is_missed_at_any_hour(seed: int) -> None:
    rows, hours = 66, 960
    prices = restless_market(seed, rows, hours)
    first, second = (index.astype(np.int64) for index in np.triu_indices(rows, 1))
    panel = ReturnPanel(rows, PANEL_HOURS, spare=ANCHOR_HOURS)
    large, small = LargeMarket(rows), SmallMarket(rows)
    broken = looked_at = 0
    for column in range(hours):
        fill(panel, prices, column)
        if column < hours - 65:
            continue
        large.advance(panel)
        small.advance(panel)
        candidates = set(zip(*(index.tolist() for index in large.candidates(RESTLESS)), strict=True))
        places = np.flatnonzero(small.pairs(first, second).levels(RESTLESS) > NO_BREAK)
        true = set(zip(first[places].tolist(), second[places].tolist(), strict=True))
        assert not true - candidates
        broken, looked_at = broken + len(true), looked_at + len(candidates)
    assert 10_000 < broken <= looked_at < 1.1 * broken


def test_they_depend_on_the_panel_alone_bit_for_bit() -> None:
    prices = market_with("holes")
    panel, slid = new_panel(), LargeMarket(ROWS)
    for column in range(prices.shape[1]):
        fill(panel, prices, column)
        slid.advance(panel)
        if column > 960:
            fresh = LargeMarket(ROWS)
            fresh.advance(panel)
            for a, b in zip(slid.pairs(*EVERY), fresh.pairs(*EVERY), strict=True):
                np.testing.assert_array_equal(a, b)


def test_bars_that_come_late_are_taken_in_by_a_rebuild() -> None:
    prices = market_with("none")
    panel, large, small = new_panel(), LargeMarket(ROWS), SmallMarket(ROWS)
    holed = prices.copy()
    holed[2, 955:960] = np.nan
    for column in range(970):
        fill(panel, holed, column)
        large.advance(panel)
    panel.put((2, START_HOUR + column, float(prices[2, column])) for column in range(955, 960))
    large.advance(panel, rebuild=True)
    small.advance(panel)
    assert_same(large, small)
    fill(panel, prices, 970)
    large.advance(panel)
    small.advance(panel)
    assert_same(large, small)


def test_hours_that_are_missing_for_all_can_be_skipped_in_one_step() -> None:
    prices = market_with("none")
    panel, large, small = new_panel(), LargeMarket(ROWS), SmallMarket(ROWS)
    for column in [*range(960), 967, 968, 1_010]:
        fill(panel, prices, column)
        large.advance(panel)
    small.advance(panel)
    assert_same(large, small)

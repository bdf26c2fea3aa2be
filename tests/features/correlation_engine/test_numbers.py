"""The published numbers against independent computations: scipy on every hour, polars on the recorded crashes."""

from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from regimes.features.base import Status
from regimes.features.correlation_engine import (
    CorrelationEngine,
    CorrelationReading,
    MarketCorrelationReading,
    compare,
    correlation_matrix,
)
from regimes.maths.correlation import FloatArray
from regimes.observations import Candle, Tick
from regimes.timeframe import HOUR_MS
from tests.features.correlation_engine.market import (
    START_HOUR,
    SYMBOLS,
    apart_from,
    bars,
    closes,
    engine,
    hour_of,
    prices_of,
    recorded,
    run,
    together,
)

PAIRS = ("BTC/ETH", "BTC/SOL", "ETH/SOL")


def market_reading(feature: CorrelationEngine) -> MarketCorrelationReading:
    reading = feature.readings()[-1]
    assert isinstance(reading, MarketCorrelationReading)
    return reading


def reading_of(feature: CorrelationEngine, symbol: str) -> CorrelationReading:
    reading = next(r for r in feature.readings() if r.symbol == symbol)
    assert isinstance(reading, CorrelationReading)
    return reading


def by_scipy(a: FloatArray, b: FloatArray, needed: int) -> tuple[float | None, int]:
    both = np.isfinite(a) & np.isfinite(b)
    return (float(stats.pearsonr(a[both], b[both]).statistic) if both.sum() >= needed else None), int(
        both.sum()
    )


def expected_numbers(
    returns: FloatArray, a: int, b: int, hours: int, needed: int
) -> tuple[float | None, ...]:
    """current, normal, change, Fisher z by scipy. returns: shape (rows, all hours so far)."""
    end = returns.shape[1]
    start = max(0, end - hours)
    now, n1 = by_scipy(returns[a, start:], returns[b, start:], needed)
    span = slice(max(0, start - 720), start)
    normal, n2 = by_scipy(returns[a, span], returns[b, span], 500)
    if now is None or normal is None:
        return now, normal, None, None
    spread = np.sqrt(1 / (n1 - 3) + 1 / (n2 - 3))
    return now, normal, now - normal, float((np.arctanh(now) - np.arctanh(normal)) / spread)


def assert_numbers(reading: CorrelationReading, returns: FloatArray) -> None:
    for pair, (a, b) in zip(PAIRS, combinations(range(3), 2), strict=True):
        if pair not in reading.current:
            continue
        week = expected_numbers(returns, a, b, 168, 140)
        day = expected_numbers(returns, a, b, 24, 20)
        found_week = [m[pair] for m in (reading.current, reading.normal, reading.change, reading.fisher_z)]
        found_day = [
            m[pair]
            for m in (reading.current_24h, reading.normal_24h, reading.change_24h, reading.fisher_z_24h)
        ]
        assert found_week == [None if x is None else pytest.approx(x, abs=1e-7) for x in week]
        assert found_day == [None if x is None else pytest.approx(x, abs=1e-7) for x in day]


@pytest.mark.parametrize("missing", [0.0, 0.05, 0.12])
def test_every_hour_agrees_with_scipy_from_the_first_bar_on(missing: float) -> None:
    returns = apart_from(960, together(11, 3, 1_010), 2)
    prices = closes(returns)
    holes = np.random.default_rng(5).random(prices.shape) < missing
    prices[holes] = np.nan
    known = np.diff(np.log(prices), axis=1, prepend=np.nan)
    feature = engine()
    stream = bars(prices)
    for column in range(prices.shape[1]):
        run(feature, [next(stream) for _ in range(1 + int(np.isfinite(prices[:, column]).sum()))])
        if column < 30 or column % 7 == 0 or column > 950:
            assert_numbers(market_reading(feature), known[:, : column + 1])


def test_a_symbols_reading_holds_its_own_pairs_and_the_markets_all() -> None:
    feature = engine()
    run(feature, bars(closes(together(1, 3, 900))))
    assert list(reading_of(feature, "ETH/USDT").current) == ["BTC/ETH", "ETH/SOL"]
    assert list(market_reading(feature).current) == list(PAIRS)
    matrix = market_reading(feature).matrix
    assert matrix is not None
    assert matrix[0][1] == matrix[1][0] == reading_of(feature, "BTC/USDT").current["BTC/ETH"]
    assert np.asarray(matrix) == pytest.approx(feature.matrix(), abs=1e-9)
    assert market_reading(feature).assets == ("BTC", "ETH", "SOL")


def polars_numbers(frame: pl.DataFrame, a: str, b: str, hours: int) -> dict[str, float]:
    """The same by polars alone, as of the last row."""
    returns = frame.select(pl.col(a, b).log().diff()).drop_nulls()
    rows = frame.with_row_index().select("index", pl.col(a, b).log().diff()).drop_nulls()
    last = frame.height - 1
    recent = rows.filter(pl.col("index") > last - hours)
    before = rows.filter(pl.col("index").is_between(last - hours - 719, last - hours))
    assert returns.height > 0
    r1, r2 = (part.select(pl.corr(a, b)).item() for part in (recent, before))
    spread = (1 / (recent.height - 3) + 1 / (before.height - 3)) ** 0.5
    return {"current": r1, "normal": r2, "change": r1 - r2, "z": (np.arctanh(r1) - np.arctanh(r2)) / spread}


@pytest.mark.parametrize("day", ["2021-05-19", "2022-11-08", "2024-08-05"])
def test_the_recorded_crashes_give_what_the_formulas_imply(data_dir: Path, day: str) -> None:
    midnight = hour_of(f"{day}T00:00")
    first, last = midnight - 950, midnight + 48
    frame = recorded(data_dir, first, last)
    feature = engine()
    stream = bars(prices_of(frame), first_hour=first)
    checked = 0
    for column in range(frame.height):
        count = sum(frame[symbol][column] is not None for symbol in SYMBOLS)
        run(feature, [next(stream) for _ in range(count + 1)])
        if first + column < midnight or (first + column) % 3:
            continue
        checked += 1
        reading = market_reading(feature)
        so_far = frame.head(column + 1)
        for pair, (a, b) in zip(PAIRS, combinations(SYMBOLS, 2), strict=True):
            week, dayly = polars_numbers(so_far, a, b, 168), polars_numbers(so_far, a, b, 24)
            assert reading.current[pair] == pytest.approx(week["current"], abs=1e-8)
            assert reading.normal[pair] == pytest.approx(week["normal"], abs=1e-8)
            assert reading.fisher_z[pair] == pytest.approx(week["z"], abs=1e-6)
            assert reading.current_24h[pair] == pytest.approx(dayly["current"], abs=1e-8)
            assert reading.change_24h[pair] == pytest.approx(dayly["change"], abs=1e-8)
            assert reading.fisher_z_24h[pair] == pytest.approx(dayly["z"], abs=1e-6)
            breaks = [abs(w["change"]) >= 0.30 and abs(w["z"]) >= 3.8 for w in (week, dayly)]
            if any(breaks):
                assert pair in reading.breaks
    assert checked >= 16


def test_changing_what_comes_later_changes_nothing_before_bit_for_bit(data_dir: Path) -> None:
    midnight = hour_of("2022-11-08T00:00")
    frame = recorded(data_dir, midnight - 920, midnight + 72)
    prices = prices_of(frame)
    cut = 960
    other = prices.copy()
    other[:, cut:] *= np.random.default_rng(1).uniform(0.5, 2.0, other[:, cut:].shape)
    first, second = list(bars(prices)), list(bars(other))
    count = sum(1 for _ in bars(prices[:, :cut]))
    whole, changed = run(engine(), first), run(engine(), second)
    assert whole[:count] == changed[:count]
    assert whole != changed


def test_the_library_compares_plain_arrays_like_the_feature() -> None:
    returns = apart_from(840, together(3, 3, 900), 2)
    feature = engine()
    run(feature, bars(closes(returns)))
    found = compare(returns[0], returns[2])
    reading = market_reading(feature)
    assert found.current == pytest.approx(reading.current["BTC/SOL"], abs=1e-8)
    assert found.fisher_z == pytest.approx(reading.fisher_z["BTC/SOL"], abs=1e-6)
    assert found.is_break is True
    assert compare(returns[0], returns[1]).is_break is False


def test_the_library_says_none_for_too_few_data_and_refuses_too_short_series() -> None:
    holes = np.full(888, np.nan)
    assert compare(holes, holes) == (None, None, None, None, False)
    with pytest.raises(ValueError, match="888"):
        compare(np.zeros(100), np.zeros(100))


def test_a_frame_of_closes_gives_the_matrix_of_its_returns() -> None:
    prices = closes(together(4, 3, 200))
    frame = pl.DataFrame({name: prices[row] for row, name in enumerate(["BTC", "ETH", "SOL"])})
    frame = frame.with_columns(
        pl.when(pl.int_range(200) == 50).then(None).otherwise(pl.col("ETH")).alias("ETH")
    )
    found = correlation_matrix(frame)
    returns = frame.select(pl.all().log().diff()).select("BTC", "ETH").drop_nulls()
    assert found["symbol"].to_list() == ["BTC", "ETH", "SOL"]
    assert found["ETH"][0] == pytest.approx(returns.select(pl.corr("BTC", "ETH")).item(), abs=1e-12)


def test_history_before_the_last_tick_gives_the_numbers_of_one_that_was_lived_through() -> None:
    prices = closes(together(5, 3, 1000))
    lived, told = engine(), engine()
    run(lived, list(bars(prices)))
    end_ms = (START_HOUR + prices.shape[1]) * HOUR_MS
    run(told, [Tick(end_ms), *(o for o in bars(prices) if isinstance(o, Candle)), Tick(end_ms + 40_000)])
    assert market_reading(told).matrix == market_reading(lived).matrix
    assert market_reading(told).normal == market_reading(lived).normal


def test_history_that_ends_long_before_the_last_tick_is_computed_too() -> None:
    prices = closes(together(5, 3, 1000))
    feature = engine()
    gone_ms = (START_HOUR + prices.shape[1] + 100) * HOUR_MS
    run(feature, [Tick(gone_ms), *(o for o in bars(prices) if isinstance(o, Candle)), Tick(gone_ms + 5_000)])
    reading = market_reading(feature)
    assert reading.status is Status.STALE
    assert set(reading.current) == set(PAIRS)

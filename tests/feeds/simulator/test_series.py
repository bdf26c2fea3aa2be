import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from regimes.feeds.simulator.series import Series
from regimes.feeds.simulator.source import Bars
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS, bar_open

FIRST_MS = 1_735_689_600_000  # 2025-01-01 00:00 UTC, a Wednesday


def hourly(count: int, *, missing: tuple[int, ...] = (), seed: int = 0) -> Bars:
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, count))), 2)
    open_ = np.append(100.0, close[:-1])
    high = np.round(np.maximum(open_, close) * 1.004, 2)
    low = np.round(np.minimum(open_, close) * 0.996, 2)
    volume = np.round(rng.uniform(10, 20, count), 3)
    ts = FIRST_MS + HOUR_MS * np.arange(count)
    bars = Bars(ts, open_, high, low, close, volume, volume * 100, volume / 2)
    keep = [i for i in range(count) if i not in missing]
    return Bars(*(column[keep] for column in bars.columns()))


def series(hours: Bars, finer: tuple[Bars, ...] = ()) -> Series:
    return Series(hours, decimals=2, key=(1,), finer=finer)


def test_a_finished_hour_is_the_bar_it_was_made_from() -> None:
    hours = hourly(30)
    found = series(hours).bars(HOUR_MS, FIRST_MS, FIRST_MS + 29 * HOUR_MS, FIRST_MS + 30 * HOUR_MS)
    for column, expected in zip(found.columns(), hours.columns(), strict=True):
        assert np.array_equal(column, expected)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 40 * HOUR_MS), st.sampled_from([MINUTE_MS, 5 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS, DAY_MS])
)
def test_the_unfinished_bar_is_the_last_of_the_bars_at_that_moment(offset_ms: int, step_ms: int) -> None:
    walked, at_ms = series(hourly(41)), FIRST_MS + offset_ms
    bar = walked.bar(step_ms, at_ms)
    bars = walked.bars(step_ms, at_ms - 3 * step_ms, at_ms, at_ms)
    assert bar is not None
    assert bar == pytest.approx(tuple(column[-1] for column in bars.columns()))
    assert bar.open_ms == bar_open(at_ms, step_ms)
    assert bar.low <= bar.close <= bar.high
    assert bar.close == walked.price(at_ms)


def test_minutes_of_an_hour_make_up_that_hour() -> None:
    hours = hourly(3)
    found = series(hours).bars(
        MINUTE_MS, FIRST_MS + HOUR_MS, FIRST_MS + 2 * HOUR_MS - 1, FIRST_MS + 3 * HOUR_MS
    )
    assert len(found) == 60
    assert (found.open[0], found.close[-1]) == (hours.open[1], hours.close[1])
    assert (found.high.max(), found.low.min()) == (hours.high[1], hours.low[1])
    assert found.volume.sum() == pytest.approx(hours.volume[1])


@pytest.mark.parametrize("step_ms", [4 * HOUR_MS, DAY_MS, WEEK_MS])
def test_longer_bars_are_made_of_their_hours(step_ms: int) -> None:
    hours = hourly(24 * 20)
    end_ms = FIRST_MS + 24 * 20 * HOUR_MS
    found = series(hours).bars(step_ms, FIRST_MS, end_ms, end_ms)
    assert all(bar_open(ts, step_ms) == ts for ts in found.open_ms.tolist())
    for i, open_ms in enumerate(found.open_ms.tolist()):
        inside = (hours.open_ms >= open_ms) & (hours.open_ms < open_ms + step_ms)
        assert found.open[i] == hours.open[inside][0]
        assert found.high[i] == hours.high[inside].max()
        assert found.low[i] == hours.low[inside].min()
        assert found.close[i] == hours.close[inside][-1]
        assert found.volume[i] == pytest.approx(hours.volume[inside].sum())


def test_hours_without_trades_stay_missing_and_the_price_is_carried_through_them() -> None:
    hours = hourly(10, missing=(4, 5))
    walked = series(hours)
    at_ms = FIRST_MS + 5 * HOUR_MS + 1
    assert walked.bar(HOUR_MS, at_ms) is None
    assert walked.price(at_ms) == hours.close[3]
    assert len(walked.bars(HOUR_MS, FIRST_MS, at_ms, at_ms)) == 4
    assert len(walked.bars(MINUTE_MS, FIRST_MS + 4 * HOUR_MS, at_ms, at_ms)) == 0


def test_nothing_is_known_before_the_first_hour() -> None:
    walked = series(hourly(3))
    assert walked.price(FIRST_MS - 1) is None
    assert walked.bar(HOUR_MS, FIRST_MS - 1) is None


def test_known_minutes_drive_the_hour_they_fill_and_not_one_they_do_not() -> None:
    hours = hourly(2)
    minutes = series(hours).bars(MINUTE_MS, FIRST_MS, FIRST_MS + HOUR_MS - 1, FIRST_MS + 2 * HOUR_MS)
    other = Series(hours, decimals=2, key=(99,), finer=(minutes,))
    found = other.bars(MINUTE_MS, FIRST_MS, FIRST_MS + HOUR_MS - 1, FIRST_MS + 2 * HOUR_MS)
    for name in ("open", "high", "low", "close"):
        assert np.array_equal(getattr(found, name), getattr(minutes, name))
    assert found.volume == pytest.approx(minutes.volume)
    holed = Series(hours, decimals=2, key=(99,), finer=(minutes.part(1, 60),))
    last_ms = FIRST_MS + HOUR_MS - 1
    minutes_of = [walked.bars(MINUTE_MS, FIRST_MS, last_ms, last_ms) for walked in (holed, other)]
    assert not np.array_equal(minutes_of[0].close, minutes_of[1].close)


def test_what_came_later_does_not_change_a_bar_seen_earlier() -> None:
    hours = hourly(6)
    at_ms = FIRST_MS + 3 * HOUR_MS + 1_234_567
    whole = series(hours).bars(HOUR_MS, FIRST_MS, at_ms, at_ms)
    cut = series(hours.part(0, 4)).bars(HOUR_MS, FIRST_MS, at_ms, at_ms)
    for column, expected in zip(whole.columns(), cut.columns(), strict=True):
        assert np.array_equal(column, expected)

"""The seasonal volatility state against direct sums, its limits, and that no row sees another or the future."""

import numpy as np
import pytest

from regimes.maths import forecast_frozen, forecast_state
from regimes.maths.forecast import TERMS, WEEK_HOURS, SeasonalVolatility, garman_klass, hour_of_week
from regimes.maths.forecast_fit import RunningFit, fit, log_forecast, qlike
from regimes.maths.stats import FloatArray

HOURS = 700
FIRST_HOUR = 450_000
FLAT = np.ones(WEEK_HOURS)


def bars(rows: int, hours: int = HOURS, seed: int = 1) -> FloatArray:
    """Open, high, low and close of random walks, shape (hours, 4, rows)."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (hours, rows)), axis=0))
    open_ = np.roll(close, 1, axis=0)
    open_[0] = 100
    spread = np.exp(np.abs(rng.normal(0, 0.004, (2, hours, rows))))
    return np.stack(
        (open_, np.maximum(open_, close) * spread[0], np.minimum(open_, close) / spread[1], close), axis=1
    )


def led(found: FloatArray, model: SeasonalVolatility | None = None) -> SeasonalVolatility:
    rows = np.arange(found.shape[2])
    model = model or SeasonalVolatility(len(rows), FLAT, np.zeros(len(rows), dtype=np.int64))
    for place, four in enumerate(found):
        model.step(rows, FIRST_HOUR + place, four)
    return model


def test_mean_with_a_half_life_is_the_weighted_sum_it_stands_for() -> None:
    found = bars(1, 300)
    model = led(found)
    close = found[:, 3, 0]
    squares = np.diff(np.log(close)) ** 2
    weights = 0.5 ** (np.arange(len(squares))[::-1] / 168)
    assert model.means[10, 0] == pytest.approx(np.sum(weights * squares) / np.sum(weights), rel=1e-6)


def test_day_variance_is_the_sum_of_the_last_24_squared_returns() -> None:
    found = bars(3)
    variance, count = led(found).day_variance()
    expected = np.sum(np.diff(np.log(found[-25:, 3]), axis=0) ** 2, axis=0)
    np.testing.assert_allclose(variance, expected, rtol=1e-12)
    assert count.tolist() == [24, 24, 24]


def test_the_90th_percentile_of_a_years_days_is_numpys() -> None:
    found = bars(2, 24 * 120)
    squares = np.diff(np.log(found[:, 3]), axis=0) ** 2
    weekly = max(place for place in range(len(found)) if hour_of_week(FIRST_HOUR + place) == 0)
    ends = [place for place in range(24, weekly + 1) if (FIRST_HOUR + place) % 24 == 0]
    days = [squares[place - 24 : place].sum(axis=0) for place in ends]
    expected = np.percentile(days, 90, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(led(found).year_p90, expected, rtol=1e-6)


def test_hours_that_were_missed_are_not_counted_as_this_days() -> None:
    found = bars(2)
    model = led(found)
    model.step(np.array([0]), FIRST_HOUR + HOURS + 9, found[-1][:, :1])
    _, count = model.day_variance()
    assert count.tolist() == [14, 24]


def test_a_row_does_not_depend_on_the_others_bit_for_bit() -> None:
    found = bars(5)
    together = led(found)
    for row in range(5):
        alone = led(found[:, :, [row]])
        np.testing.assert_array_equal(alone.means[:, 0], together.means[:, row])
        np.testing.assert_array_equal(alone.profile()[:, 0], together.profile()[:, row])


def test_rows_stepped_in_portions_give_the_same_bits() -> None:
    found = bars(4)
    whole = led(found)
    parts = SeasonalVolatility(4, FLAT, np.zeros(4, dtype=np.int64))
    for place, four in enumerate(found):
        for rows in (np.array([2]), np.array([0, 1, 3])):
            parts.step(rows, FIRST_HOUR + place, four[:, rows])
    assert parts.snapshot() == whole.snapshot()


def test_a_snapshot_goes_on_as_if_never_interrupted() -> None:
    found = bars(3, 900)
    whole = led(found)
    first = led(found[:500])
    second = SeasonalVolatility(3, FLAT, np.zeros(3, dtype=np.int64))
    second.restore(first.snapshot())
    for place in range(500, 900):
        second.step(np.arange(3), FIRST_HOUR + place, found[place])
    assert second.snapshot() == whole.snapshot()
    np.testing.assert_array_equal(second.terms(FIRST_HOUR + 899), whole.terms(FIRST_HOUR + 899))


def test_the_profile_finds_the_hours_that_move_more() -> None:
    rng = np.random.default_rng(5)
    model = SeasonalVolatility(1, FLAT, np.zeros(1, dtype=np.int64))
    price = 100.0
    for place in range(52 * WEEK_HOURS):
        loud = hour_of_week(FIRST_HOUR + place) % 24 == 14
        after = price * float(np.exp(rng.normal(0, 0.02 if loud else 0.005)))
        model.step(
            np.array([0]),
            FIRST_HOUR + place,
            np.array([[price], [max(price, after)], [min(price, after)], [after]]),
        )
        price = after
    profile = model.profile()[:, 0].reshape(7, 24).mean(axis=0)
    assert int(profile.argmax()) == 14
    assert profile[14] > 1.5 * profile[4]


def test_prices_that_stand_still_leave_terms_finite() -> None:
    still = np.full((500, 4, 1), 100.0)
    assert np.isfinite(led(still).terms(FIRST_HOUR + 499)).all()


def test_garman_klass_of_a_bar_that_only_moved_is_not_negative() -> None:
    one = np.array([100.0])
    assert garman_klass(one, one * 1.1, one, one * 1.1)[0] > 0
    assert garman_klass(one, one, one, one)[0] == 0


def test_fit_finds_the_slopes_the_data_were_made_with() -> None:
    rng = np.random.default_rng(2)
    terms = np.stack((np.ones(20_000), rng.normal(size=20_000)))
    realised = np.exp(0.5 + 0.8 * terms[1]) * rng.exponential(size=20_000)
    slopes, _ = fit(terms, realised, np.ones(20_000))
    np.testing.assert_allclose(slopes, [0.5, 0.8], atol=0.03)
    right, wrong = (qlike(realised, np.exp(log_forecast(terms, s))).mean() for s in (slopes, slopes * 1.3))
    assert right < wrong


def test_running_fit_follows_when_the_world_changes() -> None:
    rng = np.random.default_rng(3)
    terms = np.stack((np.ones(2_000), rng.normal(size=2_000)))
    start, information = fit(terms, np.exp(0.2 * terms[1]) * rng.exponential(size=2_000), np.ones(2_000))
    running = RunningFit(start, information, half_life_hours=1_000)
    for _ in range(2_000):
        now = np.stack((np.ones(5), rng.normal(size=5)))
        running.age(6)
        running.learn(now, np.exp(1.0 + 0.7 * now[1]) * rng.exponential(size=5))
    np.testing.assert_allclose(running.coefficients, [1.0, 0.7], atol=0.15)


def test_what_is_shipped_has_one_number_for_each_term() -> None:
    terms = len(TERMS)
    assert len(forecast_frozen.COEFFICIENTS) == terms
    assert len(forecast_frozen.INFORMATION) == terms * (terms + 1) // 2
    assert len(forecast_frozen.PROFILE) == WEEK_HOURS
    assert np.mean(forecast_frozen.PROFILE) == pytest.approx(1, abs=1e-3)
    for table in (forecast_frozen.CLUSTERING, forecast_frozen.EXTREME):
        assert list(table.score) == sorted(table.score)
        assert list(table.probability) == sorted(table.probability)
        assert 0 <= table.probability[0] <= table.probability[-1] <= 1


def test_state_rises_after_six_hours_and_falls_after_a_day_with_a_margin() -> None:
    def after(score: float, level: int, age: int) -> int:
        found = forecast_state.next_level(
            np.array([score]), np.array([level]), np.array([age]), (0.0, 1.0, 2.0)
        )
        return int(found[0])

    assert after(1.5, 0, 6) == 2
    assert after(1.5, 0, 5) == 0
    assert after(-0.1, 1, 48) == 1
    assert after(-0.4, 1, 48) == 0
    assert after(-0.4, 1, 23) == 1
    assert after(np.nan, 2, 100) == 2

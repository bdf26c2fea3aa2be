"""The numbers the product promises."""

import doctest

import numpy as np
import pytest
from hypothesis import given, strategies as st

from regimes.events import Phase, Severity
from regimes.features import liquidation_cascade
from regimes.features.base import Status
from regimes.maths import cascade, zones
from tests.features.liquidation_cascade.market import BTC, DAY, HOUR, MINUTE, Market, liquidation


def test_the_examples_in_the_docstrings_hold() -> None:
    for module in (liquidation_cascade, cascade, zones):
        result = doctest.testmod(module)
        assert result.failed == 0
        assert result.attempted > 1


def test_2_4_million_evenly_over_24_h_is_100_000_an_hour_severity_2_and_no_alert() -> None:
    market = Market()
    market.evenly(2_400_000, DAY, 24 * 60)
    reading = market.reading()
    assert reading.total_liquidation_usd == pytest.approx(2_400_000, abs=10)
    assert reading.velocity_usd_per_hour == pytest.approx(100_000, rel=1e-4)
    assert market.of(BTC) == []
    market = Market()
    market.evenly(2_400_000, DAY, 24)
    reading = market.reading()
    assert reading.velocity_usd_per_hour == 100_000
    assert (reading.severity, reading.label, reading.alert_level) == (2, "INFO", None)
    assert reading.cascade_detected is True
    assert reading.status is Status.OK
    assert reading.coverage == 1


def test_5_million_over_10_h_after_quiet_is_500_000_an_hour_and_severity_4() -> None:
    market = Market()
    market.wait(14 * HOUR)
    market.evenly(5_000_000, 10 * HOUR, 600)
    reading = market.reading()
    assert reading.total_liquidation_usd == pytest.approx(5_000_000, abs=10)
    assert reading.velocity_usd_per_hour == pytest.approx(500_000, rel=1e-4)
    assert (reading.severity, reading.label, reading.alert_level) == (4, "CRITICAL", Severity.CRITICAL)
    opened = market.of(BTC, Phase.OPENED)
    assert len(opened) == 1
    assert reading.duration_hours == pytest.approx(10, abs=0.1)


def test_2_million_within_one_hour_is_severity_5() -> None:
    market = Market()
    market.wait(DAY)
    market.evenly(2_000_000, 50 * MINUTE, 50)
    reading = market.reading()
    assert reading.velocity_usd_per_hour == 2_000_000
    assert (reading.severity, reading.label) == (5, "CRITICAL")


@pytest.mark.parametrize(
    ("usd", "severity"), [(500_000.0, 0), (500_000.01, 4), (600_000, 5), (599_999.99, 4)]
)
def test_a_cascade_is_a_total_above_the_threshold_and_bands_include_their_lower_bound(
    usd: float, severity: int
) -> None:
    market = Market()
    market.send(liquidation(market.now, usd))
    market.wait(MINUTE)
    assert market.reading().severity == severity
    assert market.reading().cascade_detected is (severity > 0)
    assert market.reading().velocity_usd_per_hour == usd


@pytest.mark.parametrize(
    ("velocity", "severity", "word"),
    [
        (99_999.99, 1, "INFO"),
        (100_000, 2, "INFO"),
        (200_000, 3, "WARNING"),
        (400_000, 4, "CRITICAL"),
        (600_000, 5, "CRITICAL"),
    ],
)
def test_severity_bands(velocity: float, severity: int, word: str) -> None:
    assert cascade.severity(24 * velocity, velocity) == severity
    assert cascade.label(severity) == word


@given(
    st.lists(st.tuples(st.integers(0, 30 * HOUR), st.floats(0.01, 1e7)), max_size=50),
    st.integers(0, 30 * HOUR),
)
def test_velocity_is_the_fastest_of_four_windows(items: list[tuple[int, float]], now: int) -> None:
    ts = np.array([t for t, _ in items], dtype=np.int64)
    usd = np.array([u for _, u in items], dtype=np.float64)
    expected = max(
        sum(round(u, 2) for t, u in items if now - hours * HOUR < t <= now) / hours
        for hours in (1, 4, 12, 24)
    )
    assert cascade.velocity(ts, usd, now) == pytest.approx(expected, rel=1e-9, abs=0.5)

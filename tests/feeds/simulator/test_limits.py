import pytest

from regimes.feeds.simulator.limits import Meter, RequestLimits, weight
from regimes.feeds.simulator.source import Venue


@pytest.mark.parametrize(
    ("venue", "call", "query", "cost"),
    [
        ("usdm", "klines", {"limit": "99"}, 1),
        ("usdm", "klines", {"limit": "499"}, 2),
        ("usdm", "klines", {}, 5),
        ("usdm", "klines", {"limit": "1000"}, 5),
        ("usdm", "klines", {"limit": "1500"}, 10),
        ("usdm", "premiumIndex", {}, 10),
        ("usdm", "premiumIndex", {"symbol": "BTCUSDT"}, 1),
        ("usdm", "fundingRate", {"symbol": "BTCUSDT"}, 0),
        ("usdm", "depth", {"symbol": "BTCUSDT", "limit": "1000"}, 20),
        ("spot", "klines", {"limit": "1000"}, 1),
        ("spot", "depth", {"limit": "1000"}, 10),
        ("spot", "ticker/24hr", {}, 40),
        ("spot", "klines", {"limit": "many"}, 1),
    ],
)
def test_each_call_has_its_weight(venue: Venue, call: str, query: dict[str, str], cost: int) -> None:
    assert weight(venue, call, query) == cost


def test_a_meter_starts_again_with_each_window() -> None:
    now = [0.0]
    meter = Meter(10, 60.0, lambda: now[0])
    assert meter.spend(10)
    assert not meter.spend(1)
    now[0] = 59.0
    assert meter.seconds_left() == 1
    now[0] = 60.0
    assert meter.spend(10)
    assert meter.used == 10


def test_funding_calls_have_their_own_five_minutes() -> None:
    limits = RequestLimits(lambda: 20.0)
    assert [limits.spend("usdm", "fundingRate", {}) for _ in range(500)] == [None] * 500
    assert limits.spend("usdm", "fundingInfo", {}) == 280
    assert limits.spend("usdm", "klines", {}) is None
    assert limits.used("usdm") == 5
    assert limits.used("spot") == 0

"""Whatever is thrown at the intake: it does not raise, and nothing unusable passes."""

from math import isfinite
from typing import Any

from hypothesis import given, settings, strategies as st

from regimes.features.base import Universe
from regimes.intake import Intake
from regimes.observations import (
    BookDepth,
    Candle,
    FeedGap,
    FundingRate,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Tick,
    Unavailable,
)

NOW = 1_738_000_800_000
number = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0.5, 2.0),
    st.integers(),
    st.sampled_from([None, "1.5", "NaN", True, 1e308, -0.0, 10**400]),
)
time = st.one_of(
    st.integers(NOW - 10**8, NOW + 10**6), st.integers(), st.floats(), st.none(), st.text(max_size=5)
)
name = st.one_of(
    st.sampled_from(["BTC/USDT", "binanceus", "liquidation", "long", "1h", "币/USDT"]),
    st.text(max_size=5),
    st.none(),
)
levels = st.one_of(st.lists(st.tuples(number, number), max_size=3).map(tuple), number)
flag = st.one_of(st.booleans(), st.none())
anything = st.one_of(
    st.builds(Candle, name, name, name, time, number, number, number, number, number, number, number, flag),
    st.builds(Liquidation, time, name, name, name, number, number, number),
    st.builds(FundingRate, time, name, name, number, number),
    st.builds(MarkPrice, time, name, name, number, number, number, time),
    st.builds(OpenInterest, time, name, name, number, number),
    st.builds(BookDepth, time, name, name, levels, levels),
    st.builds(Tick, time),
    st.builds(FeedGap, time, name, name, name, time, time, name),
    st.builds(Unavailable, time, name, name, name, name),
    name,
)


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    if isinstance(value, tuple):
        return [inner for item in value for inner in numbers_in(item)]
    fields = getattr(value, "__struct_fields__", ())
    return [inner for field in fields for inner in numbers_in(getattr(value, field))]


@settings(max_examples=3_000, deadline=None)
@given(observations=st.lists(anything, max_size=6))
def test_it_never_raises_and_never_passes_a_number_that_is_none(observations: list[Any]) -> None:
    intake = Intake(Universe(("BTC/USDT",)))
    intake.admit(Tick(NOW))
    for observation in observations:
        if intake.admit(observation) is None:
            assert all(isfinite(value) for value in numbers_in(observation))
            assert not isinstance(getattr(observation, "ts_ms", 0), float | str | None)
    assert sum(intake.accepted.values()) + sum(intake.rejected.values()) == len(observations) + 1


@settings(max_examples=500, deadline=None)
@given(low=st.floats(1, 50), spread=st.floats(0, 50), at=st.floats(0, 1), volume=st.floats(0, 1e9))
def test_every_sound_bar_passes(low: float, spread: float, at: float, volume: float) -> None:
    high = low + spread
    close = min(high, low + at * spread)
    bar = Candle("binanceus", "BTC/USDT", "1h", NOW - NOW % 3_600_000, high, high, low, close, volume)
    assert Intake(Universe(("BTC/USDT",))).admit(bar) is None

"""Bursts of liquidations: a sequential test against what is usual for the symbol."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bench.signals.cascade import f1, false_a_week, judge, markets, product, seconds
from bench.signals.cascade_market import SIZES, Symbol, World, simulate
from regimes.maths.burst import Burst, confidence, threshold

HOUR, DAY = 3_600_000, 86_400_000
START = 1_700_000_000_000


def usual(hours: int = 48, *, every_ms: int = 600_000, usd: float = 1_000.0) -> Burst:
    """One each ten minutes, of sizes that vary a little."""
    burst = Burst()
    for place in range(hours * HOUR // every_ms):
        burst.add(START + place * every_ms, usd * (0.5 + place % 7 / 6))
    return burst


def end(burst: Burst) -> int:
    assert burst.last_ms is not None
    return burst.last_ms


def test_nothing_is_said_before_half_a_day_is_known() -> None:
    burst = Burst()
    assert burst.seen(START) is None
    for place in range(500):
        burst.add(START + place * 1000, 1e6)
    assert burst.seen(end(burst)) is None, "the first data may be a burst or may be usual"
    assert usual(13).seen(START + 13 * HOUR) is not None


def test_a_usual_day_is_no_burst() -> None:
    burst = usual()
    seen = burst.seen(end(burst))
    assert seen is not None
    assert (seen.burst, seen.since_ms, seen.confidence) == (False, None, None)
    assert seen.strength < 1


def test_a_burst_is_noticed_within_a_minute_and_dated_back_to_its_first_liquidation() -> None:
    burst = usual()
    first = end(burst) + 300_000
    for place in range(30):
        burst.add(first + place * 2000, 5_000.0)
    seen = burst.seen(end(burst))
    assert seen is not None
    assert (seen.burst, seen.since_ms) == (True, first)
    assert seen.strength >= 1
    assert seen.confidence is not None
    assert 0 < seen.confidence <= 1


def test_larger_sizes_are_evidence_too() -> None:
    small, large = usual(), usual()
    for place in range(6):
        at = end(small) + 300_000 if not place else end(small) + 20_000
        small.add(at, 1_000.0)
        large.add(at, 50_000.0)
    assert large.evidence > small.evidence


def test_time_alone_ends_a_burst_and_looking_changes_nothing() -> None:
    burst = usual()
    for place in range(60):
        burst.add(end(burst) + 2_000, 5_000.0 + place)
    before = msgspec.structs.asdict(burst)
    strengths = [seen.strength for hours in range(24) if (seen := burst.seen(end(burst) + hours * HOUR))]
    assert strengths == sorted(strengths, reverse=True)
    later = burst.seen(end(burst) + 12 * HOUR)
    assert later is not None
    assert (later.burst, later.strength, later.since_ms) == (False, 0.0, None)
    assert msgspec.structs.asdict(burst) == before


def test_what_was_not_seen_is_no_silence() -> None:
    watched, away = usual(), usual()
    gap = (end(away) + 1, end(away) + 1 + 6 * HOUR)
    away.pass_over(*gap)
    watched.add(end(watched) + 60_000, 1_000.0)
    away.add(gap[1] + 59_999, 1_000.0)
    assert away.slow == pytest.approx(watched.slow)
    assert away.evidence == pytest.approx(watched.evidence)
    again = end(away)
    away.pass_over(START, START + HOUR)
    assert end(away) == again, "a gap that ended before changes nothing"


@given(
    st.lists(
        st.tuples(st.integers(-5_000, 10**8), st.floats(0, 1e10, allow_nan=False)), min_size=1, max_size=60
    )
)
@settings(deadline=None, max_examples=80)
def test_every_number_stays_finite_whatever_comes(steps: list[tuple[int, float]]) -> None:
    burst, now = Burst(), START
    for step, usd in steps:
        now += step
        burst.add(now, usd)
        numbers = [v for v in msgspec.structs.asdict(burst).values() if isinstance(v, float)]
        assert all(math.isfinite(value) and value >= 0 for value in (*numbers[:8], burst.rate))
        assert 0 <= burst.branching <= 1
        assert burst.evidence_at(now + DAY) <= burst.evidence
    assert Burst(**msgspec.structs.asdict(burst)) == burst


def test_busier_symbols_need_more_evidence_and_stronger_alarms_are_surer() -> None:
    bounds = [threshold(per_hour / 3600) for per_hour in (1e-3, 0.1, 1, 10, 100, 1000)]
    assert bounds == sorted(bounds)
    assert bounds[0] >= 4
    shares = [confidence(strength) for strength in (0.5, 1, 1.2, 1.5, 2, 9)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1


@pytest.mark.parametrize("branching", [0.3, 0.6, 0.8])
def test_the_branching_ratio_is_found_through_the_throttle(branching: float) -> None:
    found = []
    for seed in range(4):
        world = World(a_week=1e-3, branching=branching)
        market = simulate(np.random.default_rng(seed), Symbol(20.0, 1_000.0), 2, world)
        burst = Burst()
        for at, usd in zip(market.times.tolist(), market.usd.tolist(), strict=True):
            burst.add(round(at * 1000), usd)
        seen = burst.seen(end(burst))
        assert seen is not None
        assert seen.branching_ratio is not None
        found.append(seen.branching_ratio)
    assert np.mean(found) == pytest.approx(branching, abs=0.1)


def test_cascades_are_found_at_less_than_one_false_alarm_a_symbol_week() -> None:
    every = [market for symbol in SIZES for market in markets(11, symbol, World(), 1, 6)]
    scores = [judge(market, product, 6) for market in every]
    assert f1(scores) >= 0.6
    assert false_a_week(scores) <= 1
    assert np.median(seconds(scores, every)) <= 180

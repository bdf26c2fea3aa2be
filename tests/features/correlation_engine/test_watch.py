"""The sequential test in the readings."""

import numpy as np

from regimes.features.correlation_engine import MarketCorrelationReading
from regimes.observations import MARKET, Tick
from regimes.timeframe import HOUR_MS
from tests.features.correlation_engine.market import START_HOUR, bars, closes, engine, last, run, together


def test_a_pair_that_parts_is_named_and_the_others_are_not() -> None:
    returns = together(41, 3, 960)
    returns[2, -60:] = 0.01 * np.random.default_rng(1).normal(size=60)
    watching = engine()
    run(watching, bars(closes(returns)))
    whole, btc = last(watching, MARKET), last(watching, "BTC/USDT")
    assert isinstance(whole, MarketCorrelationReading)
    assert set(whole.sequential_breaks) == {"BTC/SOL", "ETH/SOL"}
    assert set(whole.break_strength) == {"BTC/ETH", "BTC/SOL", "ETH/SOL"}
    assert (whole.break_strength["BTC/SOL"] or 0) > 1 > (whole.break_strength["BTC/ETH"] or 0)
    assert set(btc.break_strength) == {"BTC/ETH", "BTC/SOL"}
    assert btc.sequential_breaks == ("BTC/SOL",)


def test_history_at_once_and_hour_by_hour_give_the_same_evidence() -> None:
    observations = list(bars(closes(together(42, 3, 880))))
    slow, fast = engine(), engine()
    run(slow, observations)
    for observation in observations:
        fast.update(observation)
    fast.update(Tick((START_HOUR + 890) * HOUR_MS))
    assert last(slow, MARKET).break_strength == last(fast, MARKET).break_strength
    assert last(slow, MARKET).break_strength

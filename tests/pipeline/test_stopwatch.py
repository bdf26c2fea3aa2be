from regimes.clock import SystemClock
from regimes.engine import Engine
from regimes.features.base import Universe
from regimes.observations import Liquidation, Tick
from regimes.pipeline.stopwatch import timed
from tests.toys import LiquidationCounter

UNIVERSE = Universe(("BTC/USDT",))


def stream() -> list[Tick | Liquidation]:
    began_ms = 1_737_982_800_000
    orders = [Liquidation(began_ms + n, "v", "BTC/USDT", "long", 1.0, 1.0 + n, 1.0) for n in range(5)]
    return [Tick(began_ms + 10), *orders, Tick(began_ms + 3_600_000)]


def test_a_timed_feature_says_the_same_and_its_time_is_added_up() -> None:
    seconds: dict[str, float] = {}
    kinds = timed([LiquidationCounter], SystemClock(), seconds)
    assert seconds == {"liquidation_counter": 0.0}
    plain, watched = Engine.build([LiquidationCounter], UNIVERSE), Engine.build(kinds, UNIVERSE)
    for observation in stream():
        assert watched.step(observation) == plain.step(observation)
    assert seconds["liquidation_counter"] > 0
    watched.restore(plain.snapshot())
    assert watched.snapshot() == plain.snapshot()

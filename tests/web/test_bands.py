import numpy as np

from regimes.features.volatility_regime.library import classify
from regimes.features.volatility_regime.settings import VolatilitySettings
from regimes.observations import Candle
from regimes.timeframe import HOUR_MS
from regimes.web.bands import states
from tests.web.service import bar

RULES = VolatilitySettings()


def market(hours: int) -> list[Candle]:
    draws = np.random.default_rng(3)
    spread = np.where(np.arange(hours) % 400 > 300, 0.03, 0.002)
    closes = 100 * np.exp(np.cumsum(draws.normal(0, spread)))
    return [bar("BTC/USDT", number * HOUR_MS, float(close)) for number, close in enumerate(closes)]


def test_each_bar_is_judged_as_the_library_judges_the_history_up_to_it() -> None:
    bars = market(1600)
    found = states(bars, RULES, 700)
    assert len(found) == 700
    assert len(set(found.values())) >= 3
    for number in range(900, 1600, 37):
        history = np.array([one.close for one in bars[: number + 1]])
        assert found[bars[number].open_ms] == classify(history, settings=RULES).vol_regime


def test_bars_without_history_enough_and_missing_ones_have_no_state() -> None:
    assert states([], RULES, 10) == {}
    assert states(market(300), RULES, 100) == {}
    bars = market(1000)
    gone = bars.pop(-5)
    found = states(bars, RULES, 10)
    assert gone.open_ms not in found
    assert bars[-1].open_ms in found

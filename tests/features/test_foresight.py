"""Hours judged together say what hours one by one say."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from regimes.config.features import installed
from regimes.engine import Engine
from regimes.events import Event
from regimes.features.base import Universe
from regimes.features.correlation_engine.pairs import PANEL_HOURS
from regimes.features.correlation_engine.screen import may_break
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.features.foresight import Hours
from regimes.features.volatility_regime import VolatilityRegime
from regimes.history import open_source
from regimes.maths.correlation import fisher_z, is_break, pearson_matrix
from regimes.observations import Candle, Observation, Tick, Unavailable
from regimes.study.player import Happened, Player
from regimes.timeframe import DAY_MS, HOUR_MS
from tests.study.market import START_MS, SYMBOLS, hours

DAYS = 36
FROM_MS = START_MS + 31 * DAY_MS
END_MS = START_MS + DAYS * DAY_MS
MARKET = list(hours(DAYS))


class HourByHour(Engine):
    """Told nothing beforehand."""

    def foresee(self, observations: Iterable[Observation]) -> None:
        pass


def said(
    kind: type[Engine],
    market: Sequence[Observation],
    symbols: tuple[str, ...],
    span: tuple[int, int],
) -> tuple[list[Happened], bytes]:
    """Every event, and the state at the end."""
    machine = kind.build(installed(), Universe(symbols, ("1h", "4h", "1d")))
    machine.hush()
    player = Player(machine, interval_ms=5_000, from_ms=span[0])
    events = list(player.play(market, span[1]))
    machine.step(Tick(span[1]))
    return events, machine.snapshot()


def together_as_one_by_one(market: Sequence[Observation]) -> list[Happened]:
    found, state = said(Engine, market, SYMBOLS, (FROM_MS, END_MS))
    expected, expected_state = said(HourByHour, market, SYMBOLS, (FROM_MS, END_MS))
    assert found == expected
    assert state == expected_state
    return found


def bars(market: Iterable[Observation], hour: int) -> list[Candle]:
    return [x for x in market if isinstance(x, Candle) and x.open_ms == FROM_MS + hour * HOUR_MS]


def test_a_market_where_all_is_in_order() -> None:
    found = together_as_one_by_one(MARKET)
    assert len({item.event.type for item in found}) >= 4


def test_hours_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    together = list[int]()
    foresee = VolatilityRegime.foresee

    def counting(self: VolatilityRegime, hours: Hours) -> list[list[Event]] | None:
        together.append(len(hours.open_ms))
        return foresee(self, hours)

    monkeypatch.setattr(VolatilityRegime, "foresee", counting)
    said(Engine, MARKET, SYMBOLS, (FROM_MS, END_MS))
    assert sum(together) >= 0.95 * (END_MS - FROM_MS) / HOUR_MS
    assert len(together) <= DAYS - 31 + 2


@pytest.mark.parametrize("hour", [40, 47, 55])
def test_a_bar_that_does_not_come(hour: int) -> None:
    lacking = bars(MARKET, hour)[1]
    together_as_one_by_one([item for item in MARKET if item is not lacking])


def test_a_bar_that_the_intake_refuses() -> None:
    wrong = bars(MARKET, 50)[0]
    refused = msgspec.structs.replace(wrong, high=wrong.low / 2)
    together_as_one_by_one([refused if item is wrong else item for item in MARKET])


def test_a_bar_that_comes_late() -> None:
    late = bars(MARKET, 50)[1]
    others = [item for item in MARKET if item is not late]
    place = others.index(bars(MARKET, 53)[0])
    together_as_one_by_one([*others[:place], late, *others[place:]])


def test_bars_of_another_venue_and_length_and_of_nobody() -> None:
    bar = bars(MARKET, 50)[0]
    place = MARKET.index(bar)
    others = [
        msgspec.structs.replace(bar, venue="w", close=bar.low),
        msgspec.structs.replace(bar, symbol="XRP/USDT"),
        msgspec.structs.replace(bar, timeframe="4h", open_ms=bar.open_ms // (4 * HOUR_MS) * 4 * HOUR_MS),
    ]
    together_as_one_by_one([*MARKET[: place + 1], *others, *MARKET[place + 1 :]])


def test_an_hour_of_which_no_bar_comes_and_a_day() -> None:
    gone = {id(bar) for hour in (40, *range(60, 90)) for bar in bars(MARKET, hour)}
    together_as_one_by_one([item for item in MARKET if id(item) not in gone])


def test_word_that_a_symbol_has_no_bars_between_them() -> None:
    place = MARKET.index(bars(MARKET, 50)[1])
    word = Unavailable(FROM_MS + 50 * HOUR_MS, "v", "candle", SYMBOLS[1], "gone")
    together_as_one_by_one([*MARKET[:place], word, *MARKET[place:]])


@pytest.mark.parametrize("hour", [38, 51])
def test_a_snapshot_in_the_middle(hour: int) -> None:
    at_ms = FROM_MS + hour * HOUR_MS + 1_000
    early = [item for item in MARKET if not isinstance(item, Candle) or item.open_ms + HOUR_MS <= at_ms]

    def state(kind: type[Engine]) -> bytes:
        machine = kind.build(installed(), Universe(SYMBOLS, ("1h", "4h")))
        machine.hush()
        machine.foresee(MARKET)
        list(Player(machine, interval_ms=5_000, from_ms=FROM_MS).play(early, at_ms))
        return machine.snapshot()

    assert state(Engine) == state(HourByHour)


def test_real_hours(data_dir: Path) -> None:
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    source = open_source(data_dir)
    end_ms = 1_723_248_000_000  # 2024-08-10
    market = list(source.observations(end_ms - 55 * DAY_MS, end_ms, symbols))
    span = (end_ms - 15 * DAY_MS, end_ms)
    found, state = said(Engine, market, symbols, span)
    expected, expected_state = said(HourByHour, market, symbols, span)
    assert found == expected
    assert state == expected_state
    assert len(found) > 20


def test_an_hour_is_passed_over_only_if_no_pair_can_break() -> None:
    rng, settings, count = np.random.default_rng(3), CorrelationSettings(), 400
    common = rng.normal(0, 0.01, PANEL_HOURS + count - 1)
    alike = np.where(np.arange(len(common)) // 60 % 3 == 0, 0.1, 0.9)
    own = 0.004 * rng.normal(size=(2, len(common)))
    returns = np.stack([common, alike * common + own[0], 0.5 * common + own[1]])
    returns[0, 300:305] = np.nan
    first, second = np.triu_indices(3, 1)
    may = may_break(returns, count, first, second, settings)
    breaks = np.zeros(count, dtype=bool)
    for place in range(count):
        window = returns[:, place : place + PANEL_HOURS]
        for hours_, needed in ((168, 140), (24, 20)):
            now = pearson_matrix(window[:, -hours_:], at_least=needed)
            before = pearson_matrix(window[:, -hours_ - 720 : -hours_], at_least=500)
            z = fisher_z(now.r, now.n, before.r, before.n)
            found = is_break(now.r - before.r, z, min_change=settings.min_change, min_z=settings.min_fisher_z)
            breaks[place] |= found.any()
    assert not (breaks & ~may).any()
    assert breaks.any()
    assert not may.all()

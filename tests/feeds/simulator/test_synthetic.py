import time
from itertools import pairwise

import numpy as np
import pytest

from regimes.commands.demo.options import Options
from regimes.errors import ConfigError
from regimes.feeds.simulator.liquidations import pushes
from regimes.feeds.simulator.scenarios import Scenario
from regimes.feeds.simulator.source import FloatArray
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS

START_MS = 1_738_065_600_000 + 10 * MINUTE_MS  # 2025-01-28 12:10 UTC
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
SEEDS = range(6)


def market(scenario: Scenario, seed: int = 0) -> SyntheticMarket:
    return SyntheticMarket(SYMBOLS, START_MS, seed, scenario)


def returns(source: SyntheticMarket, symbol_id: str, at_ms: int) -> FloatArray:
    """Hourly log returns of closed spot bars up to a moment."""
    last_ms = at_ms // HOUR_MS * HOUR_MS - HOUR_MS
    bars = source.bars("spot", symbol_id, HOUR_MS, last_ms - 40 * DAY_MS, last_ms, at_ms)
    assert set(np.diff(bars.open_ms).tolist()) == {HOUR_MS}
    return np.diff(np.log(bars.close))


def volatility(source: SyntheticMarket, at_ms: int) -> tuple[float, float]:
    """24 h realised volatility of BTC and its 30 d baseline."""
    squares = returns(source, "BTCUSDT", at_ms) ** 2
    return float(np.sqrt(squares[-24:].sum())), float(np.sqrt(squares[-720:].sum() / 30))


def velocity(source: SyntheticMarket, symbol_id: str, at_ms: int) -> float:
    """The largest of total(w)/w over 1, 4, 12, 24 h of what is pushed, USD an hour."""
    seen = [
        p for p in pushes(source, source.start_ms, at_ms, largest_only=True) if p.order.symbol_id == symbol_id
    ]
    totals = {
        hours: sum(p.order.notional for p in seen if p.order.ts_ms > at_ms - hours * HOUR_MS)
        for hours in (1, 4, 12, 24)
    }
    return max(total / hours for hours, total in totals.items())


def funding_z(source: SyntheticMarket, at_ms: int, symbol_id: str = "BTCUSDT") -> float:
    rates = np.array([f.rate for f in source.fundings(symbol_id, at_ms - 30 * DAY_MS, at_ms)])
    return float((rates[-1] - rates.mean()) / rates.std(ddof=1))


@pytest.mark.parametrize("seed", SEEDS)
def test_cascade_raises_the_velocity_within_minutes_and_it_subsides(seed: int) -> None:
    source = market("cascade", seed)
    assert velocity(source, "BTCUSDT", START_MS + 3 * MINUTE_MS) < 200_000
    assert velocity(source, "BTCUSDT", START_MS + 15 * MINUTE_MS) > 400_000
    assert velocity(source, "BTCUSDT", START_MS + 8 * HOUR_MS) < 250_000


def test_cascade_sells_out_longs_while_the_price_falls() -> None:
    source = market("cascade")
    before, after = (source.mark("BTCUSDT", START_MS + m * MINUTE_MS) for m in (2, 10))
    assert before is not None
    assert after is not None
    assert after.mark_price < before.mark_price * 0.955
    orders = source.forced_orders(START_MS + 3 * MINUTE_MS, START_MS + 10 * MINUTE_MS)
    assert sum(o.side == "SELL" for o in orders) > 0.8 * len(orders)


@pytest.mark.parametrize("minute", [0, 1, 30, 41, 57, 59])
def test_cascade_comes_soon_whatever_minute_the_market_opens_in(minute: int) -> None:
    start_ms = START_MS // HOUR_MS * HOUR_MS + minute * MINUTE_MS
    source = SyntheticMarket(SYMBOLS, start_ms, 3, "cascade")
    seen = source.forced_orders(start_ms, start_ms + 32 * MINUTE_MS)
    assert sum(o.notional for o in seen if o.symbol_id == "BTCUSDT") > 400_000


@pytest.mark.parametrize("seed", SEEDS)
def test_calm_stays_calm(seed: int) -> None:
    source = market("calm", seed)
    assert velocity(source, "BTCUSDT", START_MS + 12 * HOUR_MS) < 200_000
    moments = (START_MS + hours * HOUR_MS for hours in range(0, 24, 4))
    assert all(volatility(source, at_ms)[0] < 0.06 for at_ms in moments)


@pytest.mark.parametrize("seed", SEEDS)
def test_volatility_explodes_within_a_day(seed: int) -> None:
    source = market("vol-explosion", seed)
    day = [volatility(source, START_MS + hours * HOUR_MS) for hours in range(25)]
    assert any(now > 0.05 and now > 1.5 * baseline for now, baseline in day)
    assert day[0][0] < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_correlation_breaks_within_a_day(seed: int) -> None:
    source = market("correlation-break", seed)

    def correlation(at_ms: int, hours: int, skip: int = 0) -> float:
        bitcoin, ether = (
            returns(source, name, at_ms)[-hours - skip :][:hours] for name in ("BTCUSDT", "ETHUSDT")
        )
        return float(np.corrcoef(bitcoin, ether)[0, 1])

    later_ms = START_MS + DAY_MS
    normal = correlation(later_ms, 720, skip=24)
    assert normal > 0.7
    assert correlation(later_ms, 24) < normal - 0.5
    assert np.arctanh(correlation(later_ms, 24)) < np.arctanh(normal) - 3.8 / np.sqrt(21)


@pytest.mark.parametrize("seed", SEEDS)
def test_funding_spikes_at_the_next_settlement(seed: int) -> None:
    source = market("funding-spike", seed)
    mark = source.mark("BTCUSDT", START_MS)
    assert mark is not None
    assert abs(funding_z(source, mark.next_funding_ms)) > 3
    assert abs(funding_z(market("calm", seed), mark.next_funding_ms)) < 3


def test_mixed_holds_all_of_them() -> None:
    source = market("mixed")
    mark = source.mark("BTCUSDT", START_MS)
    assert mark is not None
    assert velocity(source, "BTCUSDT", START_MS + 15 * MINUTE_MS) > 400_000
    assert abs(funding_z(source, mark.next_funding_ms)) > 2
    assert max(volatility(source, START_MS + h * HOUR_MS)[0] for h in range(30)) > 0.05


def test_the_demos_market_is_in_a_crisis_and_an_hour_later_no_more() -> None:
    options = Options()
    source = options.source(SYMBOLS)
    assert isinstance(source, SyntheticMarket)
    at_ms, after_ms = (options.start_ms + minutes * MINUTE_MS for minutes in (15, 75))
    for name in ("BTCUSDT", "ETHUSDT"):
        assert velocity(source, name, at_ms) > 400_000
        assert velocity(source, name, after_ms) < 400_000
    assert sum(order.notional for order in source.forced_orders(options.start_ms, after_ms)) / 4 < 400_000


def test_the_same_seed_gives_the_same_market_asked_in_any_order() -> None:
    first, second = market("mixed", 7), market("mixed", 7)
    later = second.forced_orders(START_MS + 5 * HOUR_MS, START_MS + 6 * HOUR_MS)
    assert later == first.forced_orders(START_MS, START_MS + 6 * HOUR_MS)[-len(later) :]
    for at_ms in (START_MS + 7 * HOUR_MS + 11, START_MS + 33, START_MS + WEEK_MS):
        assert first.bar("usdm", "SOLUSDT", HOUR_MS, at_ms) == second.bar("usdm", "SOLUSDT", HOUR_MS, at_ms)
        assert first.mark("ETHUSDT", at_ms) == second.mark("ETHUSDT", at_ms)


def test_another_seed_gives_another_market() -> None:
    assert market("calm", 1).bar("spot", "BTCUSDT", HOUR_MS, START_MS) != market("calm", 2).bar(
        "spot", "BTCUSDT", HOUR_MS, START_MS
    )


def test_history_goes_back_half_a_year_and_the_future_on_for_a_week() -> None:
    source = market("calm")
    bars = source.bars(
        "usdm", "ETHUSDT", HOUR_MS, START_MS - 26 * WEEK_MS, START_MS + WEEK_MS, START_MS + WEEK_MS
    )
    assert len(bars) == 27 * 168
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.low > 0).all()
    assert (bars.volume > 0).all()


def test_volatility_clusters_and_follows_the_hour_of_the_week() -> None:
    source = market("calm", 11)
    last_ms = START_MS // HOUR_MS * HOUR_MS - HOUR_MS
    bars = source.bars("spot", "BTCUSDT", HOUR_MS, last_ms - 26 * WEEK_MS, last_ms, START_MS)
    size = np.abs(np.log(bars.close / bars.open))
    clustered = [np.corrcoef(size[:-lag], size[lag:])[0, 1] for lag in (1, 2, 3, 24)]
    assert min(clustered) > 0.03
    busy = np.isin(bars.open_ms // HOUR_MS % 24, (14, 15, 16))
    assert size[busy].mean() > 1.1 * size[~busy].mean()


def test_liquidations_excite_one_another() -> None:
    orders = market("calm", 5).forced_orders(START_MS, START_MS + 2 * DAY_MS)
    times = np.array([o.ts_ms for o in orders if o.symbol_id == "BTCUSDT"])
    counts = np.histogram(times, bins=np.arange(START_MS, START_MS + 2 * DAY_MS, MINUTE_MS))[0]
    assert counts.var() > 1.5 * counts.mean()


def test_forced_orders_come_in_order_and_lie_beyond_their_fill() -> None:
    orders = market("cascade").forced_orders(START_MS, START_MS + HOUR_MS)
    assert all(first.ts_ms <= second.ts_ms for first, second in pairwise(orders))
    for order in orders:
        assert order.avg_price is not None
        beyond = order.price < order.avg_price if order.side == "SELL" else order.price > order.avg_price
        assert beyond
        assert 0 < order.last_qty <= order.filled_qty == order.qty


def test_one_symbol_in_three_settles_every_four_hours() -> None:
    source = market("calm")
    assert [source.funding_hours(name) for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT")] == [8, 8, 4]
    found = source.fundings("SOLUSDT", START_MS - DAY_MS, START_MS)
    assert [f.ts_ms % (4 * HOUR_MS) for f in found] == [0] * 6


def test_the_predicted_rate_becomes_the_settled_one() -> None:
    source = market("mixed", 2)
    settled = source.fundings("BTCUSDT", START_MS, START_MS + DAY_MS)[0]
    before = source.mark("BTCUSDT", settled.ts_ms - 1)
    assert before is not None
    assert (before.predicted_rate, before.next_funding_ms) == (settled.rate, settled.ts_ms)


def test_the_book_straddles_the_price_and_its_walls_stand_still() -> None:
    source = market("calm")
    books = [source.book("spot", "BTCUSDT", START_MS + seconds * 1000) for seconds in (0, 30, 60)]
    walls = []
    for book in books:
        assert book is not None
        assert book.bid_prices[0] < book.ask_prices[0]
        assert (np.diff(book.bid_prices) < 0).all()
        assert (np.diff(book.ask_prices) > 0).all()
        walls.append(set(book.bid_prices[book.bid_qtys > 5 * np.median(book.bid_qtys)].tolist()))
    assert set.intersection(*walls)


def test_five_hundred_symbols_are_ready_within_ten_seconds() -> None:
    began = time.process_time()
    source = SyntheticMarket([f"COIN{i}/USDT" for i in range(500)], START_MS)
    for name in source.listings("spot"):
        assert source.bar("spot", name, HOUR_MS, START_MS) is not None
    assert time.process_time() - began < 10


def test_three_symbols_are_ready_within_a_second() -> None:
    began = time.process_time()
    market("mixed")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("symbols", [(), ("BTC/USDT", "BTC/USDT")])
def test_symbols_must_be_given_once(symbols: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="symbols must be given"):
        SyntheticMarket(symbols, START_MS)


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="cascade, funding-spike"):
        SyntheticMarket(SYMBOLS, START_MS, 0, "panic")  # type: ignore[arg-type]

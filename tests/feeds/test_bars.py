"""Each closed bar once, and what is missing known."""

from hypothesis import given, strategies as st

from regimes.feeds.bars import BarAccount
from regimes.observations import Candle
from regimes.timeframe import HOUR_MS

NOW = 480_000 * HOUR_MS


def bar(hour: int, *, closed: bool = True, close: float = 1.0, timeframe: str = "1h") -> Candle:
    return Candle("v", "BTC/USDT", timeframe, NOW + hour * HOUR_MS, 1.0, 1.0, 1.0, close, 1.0, closed=closed)


def account() -> BarAccount:
    return BarAccount(["BTC/USDT"], "1h", NOW)


def take(bars: BarAccount, candle: Candle) -> bool:
    wanted = bars.wants(candle)
    if wanted and candle.closed:
        bars.delivered(candle)
    return wanted


def test_a_closed_bar_is_wanted_once() -> None:
    bars = account()
    assert take(bars, bar(0))
    assert not take(bars, bar(0))


def test_a_second_version_with_other_values_is_passed_on_so_that_the_conflict_is_seen() -> None:
    bars = account()
    take(bars, bar(0))
    assert bars.wants(bar(0, close=1.01))


def test_where_only_closed_bars_are_asked_for_unfinished_ones_are_not_wanted() -> None:
    bars = BarAccount(["BTC/USDT"], "1h", NOW, closed_only=True)
    assert not take(bars, bar(0, closed=False))
    assert take(bars, bar(0))
    assert not take(bars, bar(1, timeframe="1m"))


def test_an_unfinished_state_of_a_finished_bar_is_not_wanted() -> None:
    bars = account()
    assert take(bars, bar(0, closed=False))
    take(bars, bar(0))
    assert not take(bars, bar(0, closed=False))
    assert take(bars, bar(1, closed=False))


def test_other_timeframes_and_symbols_are_not_wanted() -> None:
    bars = account()
    assert not bars.wants(bar(0, timeframe="1m"))
    assert not bars.wants(Candle("v", "X/USDT", "1h", NOW, 1.0, 1.0, 1.0, 1.0, 1.0))


def test_a_jump_says_that_bars_are_missing_until_they_come() -> None:
    bars = account()
    assert not bars.delivered(bar(0))
    assert bars.delivered(bar(3))
    assert bars.missing("BTC/USDT", NOW + 4 * HOUR_MS) == (NOW + HOUR_MS, NOW + 4 * HOUR_MS)
    take(bars, bar(2))
    take(bars, bar(1))
    assert bars.missing("BTC/USDT", NOW + 4 * HOUR_MS) is None


def test_hours_the_exchange_has_no_bar_for_are_settled_and_not_asked_again() -> None:
    bars = account()
    bars.settled("BTC/USDT", NOW + 2 * HOUR_MS)
    assert bars.missing("BTC/USDT", NOW + 2 * HOUR_MS + 1) is None
    assert bars.missing("BTC/USDT", NOW + 3 * HOUR_MS) == (NOW + 2 * HOUR_MS, NOW + 3 * HOUR_MS)


def test_nothing_is_missing_before_the_hour_is_over() -> None:
    assert account().missing("BTC/USDT", NOW + HOUR_MS - 1) is None


def test_a_seed_sets_where_history_ends() -> None:
    bars = account()
    bars.seed("BTC/USDT", NOW - 5 * HOUR_MS)
    assert bars.missing("BTC/USDT", NOW) == (NOW - 4 * HOUR_MS, NOW)


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)), st.lists(st.integers(0, 11), max_size=12))
def test_in_any_order_with_doubles_and_holes_each_bar_is_delivered_once(
    order: list[int], absent: set[int], doubles: list[int]
) -> None:
    bars = account()
    delivered = [hour for hour in [*order, *doubles] if hour not in absent and take(bars, bar(hour))]
    assert sorted(delivered) == sorted(set(range(12)) - absent)
    missing = bars.missing("BTC/USDT", NOW + 12 * HOUR_MS)
    assert (missing is None) == (not absent)
    if missing is not None:
        assert missing[0] == NOW + min(absent) * HOUR_MS

"""Each settlement once, with the interval it was for."""

import pytest

from regimes.feeds.funding import FundingAccount, with_intervals
from regimes.timeframe import HOUR_MS

NOW = 480_000 * HOUR_MS


def rows(*hours: float) -> list[tuple[int, float]]:
    return [(NOW + int(hour * HOUR_MS), 0.0001) for hour in hours]


def hours_of(
    given: list[tuple[int, float]],
    *,
    previous_ms: int | None = None,
    listed_hours: float | None = None,
    next_ms: int | None = None,
) -> list[float]:
    found = with_intervals(
        given,
        venue="v",
        symbol="BTC/USDT",
        previous_ms=previous_ms,
        listed_hours=listed_hours,
        next_ms=next_ms,
    )
    return [rate.interval_hours for rate in found]


def test_each_interval_is_the_time_since_the_settlement_before() -> None:
    assert hours_of(rows(0, 8, 12, 13), previous_ms=NOW - 8 * HOUR_MS) == [8, 8, 4, 1]


def test_milliseconds_of_jitter_do_not_matter() -> None:
    assert hours_of([(NOW + 13, 0.0), (NOW + 4 * HOUR_MS + 2, 0.0)], previous_ms=NOW - 4 * HOUR_MS) == [4, 4]


def test_where_a_settlement_is_missing_the_listed_interval_counts() -> None:
    assert hours_of(rows(0, 16), previous_ms=NOW - 8 * HOUR_MS, listed_hours=8.0) == [8, 8]


def test_the_first_of_all_takes_the_listed_interval_or_the_spacing_to_the_next() -> None:
    assert hours_of(rows(0, 4), listed_hours=8.0) == [8, 4]
    assert hours_of(rows(0, 4)) == [4, 4]
    assert hours_of(rows(0), next_ms=NOW + HOUR_MS) == [1]


def test_a_span_that_is_no_whole_number_of_hours_says_nothing_about_the_interval() -> None:
    assert hours_of(rows(0), previous_ms=NOW - 4 * HOUR_MS - 90_000, listed_hours=8.0) == [8]


def test_no_settlements_give_none() -> None:
    assert hours_of([], previous_ms=NOW, next_ms=NOW + HOUR_MS) == []


def account() -> FundingAccount:
    return FundingAccount(["BTC/USDT"], NOW)


def take(funding: FundingAccount, *hours: float) -> list[int]:
    found = funding.take("BTC/USDT", rows(*hours), venue="v", listed_hours=8.0)
    return [(rate.ts_ms - NOW) // HOUR_MS for rate in found]


def test_a_settlement_is_due_at_the_announced_time_until_it_is_there() -> None:
    funding = account()
    funding.announced("BTC/USDT", NOW + 8 * HOUR_MS)
    assert funding.due(NOW + 8 * HOUR_MS - 1) == []
    assert funding.due(NOW + 8 * HOUR_MS) == ["BTC/USDT"]
    assert take(funding) == []
    funding.announced("BTC/USDT", NOW + 16 * HOUR_MS)
    assert funding.due(NOW + 8 * HOUR_MS) == ["BTC/USDT"]
    assert take(funding, 8) == [8]
    assert funding.due(NOW + 15 * HOUR_MS) == []
    assert funding.due(NOW + 16 * HOUR_MS) == ["BTC/USDT"]


def test_a_settlement_is_delivered_once_however_often_it_is_answered() -> None:
    funding = account()
    assert take(funding, 8) == [8]
    assert take(funding, 8) == []
    assert take(funding, 8, 16) == [16]


def test_a_settlement_soon_after_the_start_is_not_overlooked() -> None:
    funding = account()
    funding.announced("BTC/USDT", NOW + HOUR_MS // 10)
    assert funding.due(NOW + HOUR_MS // 10) == ["BTC/USDT"]


def test_what_settled_before_the_start_is_not_delivered_unless_history_ended_earlier() -> None:
    assert take(account(), -8, 8) == [8]
    funding = account()
    funding.seed("BTC/USDT", NOW - 16 * HOUR_MS)
    assert funding.due(NOW) == ["BTC/USDT"]
    assert funding.ask_from_ms("BTC/USDT") == NOW - 16 * HOUR_MS + 1
    assert take(funding, -8, 0) == [-8, 0]


def test_the_old_time_announced_once_more_after_settling_is_not_due_again() -> None:
    funding = account()
    funding.announced("BTC/USDT", NOW + 8 * HOUR_MS)
    take(funding, 8)
    funding.announced("BTC/USDT", NOW + 8 * HOUR_MS)
    assert funding.due(NOW + 9 * HOUR_MS) == []


@pytest.mark.parametrize("symbol", ["ETH/USDT"])
def test_a_seed_for_a_symbol_nobody_watches_changes_nothing(symbol: str) -> None:
    funding = account()
    funding.seed(symbol, NOW)
    assert funding.due(NOW) == []

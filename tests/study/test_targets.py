from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from regimes.history import open_source
from regimes.study.targets import Kind, Target, deleveraging, large_moves, share_of_time, targets
from regimes.timeframe import DAY_MS, HOUR_MS

START_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS


def series(close: np.ndarray, *, drop: slice = slice(0, 0)) -> tuple[pl.Series, pl.Series]:
    opens = START_MS + np.arange(len(close)) * HOUR_MS
    keep = np.ones(len(close), dtype=bool)
    keep[drop] = False
    return pl.Series("t", opens[keep]), pl.Series("p", close[keep])


def walk(hours: int, seed: int = 1) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.005, hours)))


def by_definition(close: np.ndarray) -> set[int]:
    """The hours that count, worked out one at a time."""
    price, found = np.log(close), set()
    for now in range(len(close) - 24):
        past = range(max(24, now - 8_759), now + 1)
        if len(past) < 720:
            continue
        changes = [abs(price[then] - price[then - 24]) for then in past]
        spreads = [np.sqrt(np.sum(np.diff(price[then - 24 : then + 1]) ** 2)) for then in past]
        ahead = np.sqrt(np.sum(np.diff(price[now : now + 25]) ** 2))
        if abs(price[now + 24] - price[now]) >= np.quantile(changes, 0.95) or ahead >= np.quantile(
            spreads, 0.95
        ):
            found.add(now)
    return found


def test_large_moves_are_those_of_the_definition() -> None:
    close = walk(1_100)
    inside: set[int] = set()
    for move in large_moves(*series(close), "BTC/USDT"):
        first = (move.from_ms - START_MS) // HOUR_MS - 1
        last = (move.until_ms - START_MS) // HOUR_MS - 25
        inside |= set(range(first, last + 1))
    hours = by_definition(close)
    assert hours
    assert hours <= inside
    assert all(min(abs(hour - one) for one in hours) <= 24 for hour in inside)


def test_a_jump_is_one_move_that_begins_a_day_before_it() -> None:
    close = walk(1_500)
    close[1_200:] *= 1.5
    moves = large_moves(*series(close), "BTC/USDT")
    jump_ms = START_MS + 1_201 * HOUR_MS
    (hit,) = [move for move in moves if move.from_ms <= jump_ms < move.until_ms]
    assert hit.from_ms <= jump_ms - 23 * HOUR_MS


def test_nothing_is_called_large_before_there_is_a_month_to_compare_with() -> None:
    assert large_moves(*series(walk(740)), "BTC/USDT") == []


def test_missing_hours_carry_the_last_close() -> None:
    close = walk(1_200)
    close[1_000:1_010] = close[999]
    assert large_moves(*series(close, drop=slice(1_000, 1_010)), "BTC/USDT") == large_moves(
        *series(close), "BTC/USDT"
    )


@settings(deadline=None)
@given(st.integers(30, 400))
def test_what_comes_later_does_not_change_which_hours_counted(cut: int) -> None:
    close = walk(1_500)
    short = large_moves(*series(close[: 1_500 - cut]), "BTC/USDT")
    whole = large_moves(*series(close), "BTC/USDT")
    assert [move.from_ms for move in short] == [move.from_ms for move in whole][: len(short)]


def test_deleveraging_is_many_liquidations_while_contracts_go() -> None:
    rng = np.random.default_rng(1)
    usd, interest = rng.uniform(0, 100, 400), 1000.0 + np.arange(400) * 0.01 + rng.normal(0, 0.05, 400)
    usd[[250, 300]] = 10_000
    interest[300:] -= 200
    interest[350:] -= 200
    found = deleveraging(usd.tolist(), interest.tolist(), START_MS, "BTC/USDT")
    assert [
        one.from_ms for one in found if one.from_ms in {START_MS + h * HOUR_MS for h in (250, 300, 350)}
    ] == [START_MS + 300 * HOUR_MS]
    assert all(one.until_ms - one.from_ms == 2 * HOUR_MS for one in found)


def test_a_week_without_open_interest_says_nothing() -> None:
    held: list[float | None] = [1000.0] * 100 + [None] * 300
    assert deleveraging([1.0] * 399 + [1e6], held, START_MS, "BTC/USDT") == []


def test_real_targets_lie_whole_in_the_span_and_august_is_one(data_dir: Path) -> None:
    from_ms, to_ms = 1_717_200_000_000, 1_725_148_800_000  # 2024-06 to 2024-08
    symbols = ("BTC/USDT", "ETH/USDT")
    found = targets(open_source(data_dir), symbols, from_ms, to_ms)
    assert all(from_ms <= one.from_ms < one.until_ms <= to_ms for one in found)
    crash_ms = 1_722_816_000_000
    for symbol in symbols:
        own = [one for one in found if one.symbol == symbol]
        assert any(one.from_ms <= crash_ms < one.until_ms for one in own if one.kind is Kind.LARGE_MOVE)
        assert sum(one.kind is Kind.DELEVERAGING for one in own) >= 5


def test_the_share_of_time_counts_overlaps_once_and_only_what_is_in_the_span() -> None:
    def target(first: int, end: int, symbol: str = "BTC/USDT") -> Target:
        return Target(Kind.LARGE_MOVE, symbol, START_MS + first * DAY_MS, START_MS + end * DAY_MS)

    found = [target(0, 2), target(1, 3), target(9, 12), target(4, 8, "ETH/USDT")]
    assert share_of_time(found, "BTC/USDT", START_MS, START_MS + 10 * DAY_MS, lead_ms=0) == pytest.approx(0.4)
    assert share_of_time(
        found, "BTC/USDT", START_MS, START_MS + 10 * DAY_MS, lead_ms=DAY_MS
    ) == pytest.approx(0.5)

import random
from pathlib import Path

import pytest

from bench.soak.house import live
from bench.soak.ledger import Fact, Gaps, account
from regimes.commands.running import run_to_end
from regimes.observations import FeedGap, Liquidation

SEEN: Fact = (1_000, "BTCUSDT", "long", 100.0, 2.0)
LOST: Fact = (5_000, "BTCUSDT", "short", 101.0, 3.0)


def row(fact: Fact) -> Liquidation:
    ts_ms, name, closed, price, qty = fact
    return Liquidation(
        ts_ms,
        "binanceusdm",
        f"{name[:3]}/{name[3:]}",
        "long" if closed == "long" else "short",
        price,
        qty,
        1.0,
    )


def gap(from_ms: int, to_ms: int | None) -> FeedGap:
    return FeedGap(to_ms or from_ms, "binanceusdm", "liquidation", None, from_ms, to_ms, "cut")


def test_what_is_neither_stored_nor_in_a_gap_is_unexplained() -> None:
    gaps = Gaps()
    gaps.take([gap(1_500, None), gap(1_500, 5_500)])
    found = account([(SEEN, 1_100), (LOST, 6_000)], [row(SEEN)], gaps)
    assert (found.sent, found.stored, found.in_gaps, found.unexplained) == (2, 1, 0, 1)


@pytest.mark.parametrize("end_ms", [6_000, None])
def test_what_was_sent_while_a_gap_was_told_of_is_explained(end_ms: int | None) -> None:
    gaps = Gaps()
    gaps.take([gap(1_500, end_ms)])
    found = account([(SEEN, 1_100), (LOST, 6_000)], [row(SEEN)], gaps)
    assert (found.in_gaps, found.unexplained) == (1, 0)


def test_doubles_and_what_nobody_sent_are_found() -> None:
    found = account([(SEEN, 1_100)], [row(SEEN), row(SEEN), row(LOST)], Gaps())
    assert (found.twice, found.invented, found.unexplained) == (1, 1, 0)


@pytest.mark.usefixtures("logging_as_before")
def test_an_hour_of_market_with_everything_that_can_go_wrong_loses_nothing(tmp_path: Path) -> None:
    found = run_to_end(live(tmp_path, 300.0, 12.0, random.Random(2)))
    books = found.account
    assert books.sent > 50
    assert books.stored
    assert found.drawn.total() >= 2
    assert (books.unexplained, books.twice, books.invented) == (0, 0, 0)
    assert (found.dropped, found.unconnected) == (0, 0)
    assert (found.deliveries.pending, found.deliveries.untrue) == (0, 0)

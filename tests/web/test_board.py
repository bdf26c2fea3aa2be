from regimes.observations import FundingRate
from regimes.timeframe import HOUR_MS
from regimes.web.board import KEPT_BARS, KEPT_SETTLEMENTS, Board, Price
from tests.web.service import bar, mark

S = "BTC/USDT"


def test_the_price_is_the_last_trade_while_a_bar_is_under_way_else_the_mark() -> None:
    board = Board()
    assert board.price(S) is None
    board.take_marks([mark(S, 5.0, 1)])
    assert board.price(S) == Price(5.0, "mark", "binanceusdm")
    board.take_candles([bar(S, HOUR_MS, 7.0, closed=False)])
    assert board.price(S) == Price(7.0, "candle", "binanceus")
    board.take_candles([bar(S, HOUR_MS, 8.0)])
    assert board.price(S) == Price(5.0, "mark", "binanceusdm")


def test_a_late_bar_is_kept_in_its_place_and_changes_no_price() -> None:
    board = Board()
    board.take_candles(
        [bar(S, 3 * HOUR_MS, 3.0, closed=False), bar(S, 2 * HOUR_MS, 2.0), bar(S, HOUR_MS, 1.0)]
    )
    assert [one.close for one in board.closed(S)] == [1.0, 2.0]
    unfinished = board.unfinished(S)
    assert unfinished is not None
    assert unfinished.close == 3.0


def test_bars_and_settlements_are_bounded_and_the_oldest_go() -> None:
    board = Board()
    board.take_candles(bar(S, number * HOUR_MS, 1.0) for number in range(KEPT_BARS + 10))
    assert [one.open_ms for one in board.closed(S)][:1] == [10 * HOUR_MS]
    rates = [FundingRate(number, "v", S, 0.1, 8.0) for number in reversed(range(KEPT_SETTLEMENTS + 5))]
    board.take_funding(rates)
    assert len(board.funding(S)) == KEPT_SETTLEMENTS
    assert [one.ts_ms for one in board.funding(S)] == sorted(one.ts_ms for one in board.funding(S))

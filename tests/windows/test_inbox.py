"""The inbox keeps what came first, in order of arrival."""

from regimes.observations import Candle
from regimes.windows.inbox import FULL_AT, CandleInbox

HOUR_MS = 3_600_000


def bar(hour: int, close: float, symbol: str = "A") -> Candle:
    return Candle("b", symbol, "1h", hour * HOUR_MS, close, close, close, close, close / 2)


def test_of_the_same_bar_the_first_counts_and_the_order_of_arrival_stays() -> None:
    inbox = CandleInbox(("A", "B"))
    for candle in (bar(2, 4.0, "B"), bar(1, 6.0), bar(2, 8.0, "B")):
        inbox.add(candle)
    batch = inbox.take()
    assert batch is not None
    assert batch.rows.tolist() == [1, 0]
    assert batch.open_ms.tolist() == [2 * HOUR_MS, HOUR_MS]
    assert batch.close.tolist() == [4.0, 6.0]
    assert batch.volume.tolist() == [2.0, 3.0]
    assert inbox.take() is None


def test_says_when_it_is_full() -> None:
    inbox = CandleInbox(("A",))
    assert not any(inbox.add(bar(hour, 1.0)) for hour in range(FULL_AT - 1))
    assert inbox.add(bar(FULL_AT, 1.0))

from regimes.observations import BookDepth
from regimes.windows.depth import DepthHistory


def book(second: int, quantity: float = 1.0) -> BookDepth:
    return BookDepth(second * 1000, "x", "BTC/USDT", ((99.0, quantity),), ((101.0, quantity), (102.0, 2.0)))


def test_a_minute_and_three_snapshots_are_needed() -> None:
    depth = DepthHistory()
    for second in (0, 30, 59):
        assert depth.add(book(second))
    assert depth.sides(59_000) is None
    assert depth.add(book(75))
    bids, asks = depth.sides(75_000) or ([], [])
    assert [side.shape for side in bids] == [(1, 2)] * 4
    assert [side.shape for side in asks] == [(2, 2)] * 4


def test_snapshots_that_come_fast_or_late_are_not_kept() -> None:
    depth = DepthHistory()
    assert depth.add(book(0))
    assert not depth.add(book(14))
    assert depth.add(book(15))
    assert not depth.add(book(3))


def test_old_snapshots_go_and_an_old_book_is_no_book() -> None:
    depth = DepthHistory()
    for second in range(0, 600, 15):
        depth.add(book(second))
    assert len((depth.sides(585_000) or ([], []))[0]) == 9
    assert depth.sides(585_000 + 120_001) is None


def test_an_empty_side_is_an_empty_side() -> None:
    depth = DepthHistory()
    for second in (0, 30, 60):
        depth.add(BookDepth(second * 1000, "x", "BTC/USDT", (), ((101.0, 1.0),)))
    bids, _ = depth.sides(60_000) or ([], [])
    assert [side.shape for side in bids] == [(0, 2)] * 3


def test_a_restored_history_is_the_same() -> None:
    depth, other = DepthHistory(), DepthHistory()
    for second in (0, 30, 75):
        depth.add(book(second, second + 0.5))
    other.restore(depth.snapshot())
    assert other.snapshot() == depth.snapshot()
    assert not other.add(book(80))

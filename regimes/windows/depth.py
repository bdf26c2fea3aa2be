"""The last two minutes of an order book, thinned out."""

from collections import deque
from struct import pack
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from regimes.observations import BookDepth

_SHORTEST_MS: Final = 60_000
_FEWEST: Final = 3

Side = npt.NDArray[np.float64]


class DepthHistory:
    """Snapshots of one book, at most one every `every_ms`, none older than `keep_ms` before the newest."""

    def __init__(self, *, every_ms: int = 15_000, keep_ms: int = 120_000) -> None:
        self._every_ms = every_ms
        self._keep_ms = keep_ms
        self._books: deque[tuple[int, Side, Side]] = deque()

    def add(self, book: BookDepth) -> bool:
        """Take a snapshot if it is due; False when it is not, or comes late."""
        books = self._books
        if books and book.ts_ms < books[-1][0] + self._every_ms:
            return False
        books.append((book.ts_ms, _side(book.bids), _side(book.asks)))
        while books[0][0] < book.ts_ms - self._keep_ms:
            books.popleft()
        return True

    def sides(self, now_ms: int) -> tuple[list[Side], list[Side]] | None:
        """Bids and asks of each snapshot, shape (levels, 2): price and base quantity.

        None when there are too few, they span less than a minute, or the newest is old.
        """
        books = self._books
        if len(books) < _FEWEST or books[-1][0] - books[0][0] < _SHORTEST_MS:
            return None
        if books[-1][0] < now_ms - self._keep_ms:
            return None
        return [bids for _, bids, _ in books], [asks for _, _, asks in books]

    def snapshot(self) -> list[Any]:
        """Times, and both sides as bytes."""
        return [[ts_ms, bids.tobytes(), asks.tobytes()] for ts_ms, bids, asks in self._books]

    def restore(self, snapshot: list[Any]) -> None:
        """Take back a snapshot."""
        self._books = deque((ts_ms, _from_bytes(bids), _from_bytes(asks)) for ts_ms, bids, asks in snapshot)


def _side(levels: tuple[tuple[float, float], ...]) -> Side:
    if not levels:
        return np.empty((0, 2))
    # Packing two tuples takes half as long as any way through numpy.
    prices, quantities = zip(*levels, strict=True)
    packed = pack(f"={2 * len(levels)}d", *prices, *quantities)
    return np.frombuffer(packed, dtype=np.float64).reshape(2, -1).T


def _from_bytes(data: bytes) -> Side:
    return np.frombuffer(data, dtype=np.float64).reshape(-1, 2)

"""Recordings with a tape of liquidations beside them, as one source."""

import heapq
from collections.abc import Collection, Iterator
from typing import Final

from regimes.history.parquet import FUTURES, ParquetSource
from regimes.history.tape.source import TapeSource
from regimes.observations import FeedGap, Liquidation, Observation, Unavailable
from regimes.timeframe import DAY_MS, known_at_ms

TAPE_FOLDER: Final = "tape"
_LOSSES: Final = (FeedGap, Unavailable)


class JoinedSource:
    """A `Source`: candles and funding as recorded, liquidations and their gaps from the tape, its span that of the recordings.

    recordings: without liquidations of their own; those would count twice.
    """

    def __init__(self, recordings: ParquetSource, tape: TapeSource) -> None:
        self.name = recordings.name
        self._recordings = recordings
        self._tape = tape

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._recordings.symbols

    def span(self) -> tuple[int, int]:
        return self._recordings.span()

    def observations(
        self, from_ms: int, to_ms: int, symbols: Collection[str] | None = None
    ) -> Iterator[Observation]:
        recorded = (o for o in self._recordings.observations(from_ms, to_ms, symbols) if not _is_loss(o))
        taped = (
            o
            for o in self._tape.observations(from_ms, to_ms, ())
            if isinstance(o, Liquidation) or _is_loss(o)
        )
        return heapq.merge(self._gaps(from_ms, to_ms), recorded, taped, key=known_at_ms)

    def _gaps(self, from_ms: int, to_ms: int) -> Iterator[FeedGap]:
        """Before the tape begins, from a day before the span, and after it ends."""
        first_ms, end_ms = self._tape.span()
        if from_ms < first_ms:
            until_ms = min(first_ms, to_ms)
            yield FeedGap(from_ms, FUTURES, "liquidation", None, from_ms - DAY_MS, until_ms, "not recorded")
        if end_ms < to_ms:
            since_ms = max(end_ms, from_ms)
            yield FeedGap(since_ms, FUTURES, "liquidation", None, since_ms, None, "not recorded")


def _is_loss(observation: Observation) -> bool:
    return isinstance(observation, _LOSSES) and observation.kind == "liquidation"

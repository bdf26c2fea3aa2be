"""Takes observations at no cost to those who bring them, and writes them to the tape from a thread of its own."""

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Self

import msgspec
import structlog

from regimes import __version__
from regimes.clock import Clock
from regimes.history.tape.block import Meta, Record
from regimes.history.tape.segment import PACKED, Segments
from regimes.history.tape.settings import TapeSettings
from regimes.observations import (
    BookDepth,
    Candle,
    DataKind,
    FeedGap,
    FundingRate,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Tick,
    Unavailable,
)

_log = structlog.get_logger(__name__)

_TYPES: Final[dict[DataKind, type]] = {
    "candle": Candle,
    "liquidation": Liquidation,
    "funding": FundingRate,
    "mark_price": MarkPrice,
    "open_interest": OpenInterest,
    "depth": BookDepth,
}
# A tuple, as a union takes three times as long.
_LOSSES: Final = (FeedGap, Unavailable)
_CLOSE_S: Final = 5.0


class TapeState(msgspec.Struct, frozen=True):
    """How the recorder does.

    written: observations on disk. waiting: for the disk. dropped: not recorded, as too much waited or the disk took
    nothing. error: what the disk last said; empty when it took the last block.
    """

    written: int
    waiting: int
    dropped: int
    bytes: int
    error: str


class Recorder:
    """Records one run. A context manager: it writes from `__enter__` to the end of the block, then everything is on disk.

    of_engine: an engine takes what is recorded, its history included. Ticks, and word of losses of the recorded kinds, are always recorded.

    Where an engine is fed through a queue, `seen` is called before it and `took` behind it, both in their own order; whatever
    the queue let go is then recorded as superseded. Where there is none, `record` does both.
    """

    def __init__(self, settings: TapeSettings, clock: Clock, *, of_engine: bool = True) -> None:
        self._settings = settings
        self._clock = clock
        self._kinds = frozenset(settings.kinds)
        self._types = frozenset({*(_TYPES[kind] for kind in self._kinds), Tick})
        self._frames = settings.frames
        meta = Meta(__version__, (), settings.kinds, whole=of_engine and self._kinds == _TYPES.keys())
        self._segments = Segments(settings, meta, secrets.randbits(64), clock.now_ms)
        self._ready: deque[Record] = deque()
        self._pending: dict[int, Record] = {}
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._write_on, name="tape", daemon=True)
        self._written = 0
        # Each is changed by one thread alone: refused by those who bring, lost and told by the one that writes.
        self._refused = 0
        self._lost = 0
        self._told = 0
        self._error = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for record in self._pending.values():
            self._hand_over(_superseded(record))
        self._pending.clear()
        self._closing = True
        self._wake.set()
        self._thread.join(_CLOSE_S)

    def state(self) -> TapeState:
        """How it does now."""
        waiting = len(self._ready) + len(self._pending)
        return TapeState(
            self._written, waiting, self._refused + self._lost, self._segments.bytes, self._error
        )

    def watch(self, symbols: Sequence[str]) -> None:
        """Say what the run watches, before the first observation."""
        self._segments.meta = msgspec.structs.replace(self._segments.meta, symbols=tuple(symbols))

    def seen(self, observation: Observation, frame: str | bytes | None = None) -> None:
        """An observation is about to enter the queue."""
        if self._wants(observation):
            if len(self._pending) < self._settings.queue:
                self._pending[id(observation)] = self._record(observation, frame)
            else:
                self._refused += 1

    def took(self, observation: Observation) -> None:
        """The engine is given an observation."""
        if not self._wants(observation):
            return
        own = id(observation)
        if own not in self._pending:
            self._hand_over(self._record(observation, None))
            return
        # What entered the queue before it and has not left it never will: the queue keeps its order.
        while (first := next(iter(self._pending))) != own:
            self._hand_over(_superseded(self._pending.pop(first)))
        self._hand_over(self._pending.pop(own))

    def record(self, observation: Observation, frame: str | bytes | None = None) -> None:
        """Record an observation that goes nowhere else."""
        if self._wants(observation):
            self._hand_over(self._record(observation, frame))

    def _wants(self, observation: Observation) -> bool:
        if type(observation) in self._types:
            return True
        return isinstance(observation, _LOSSES) and observation.kind in self._kinds

    def _record(self, observation: Observation, frame: str | bytes | None) -> Record:
        if not self._frames:
            frame = None
        elif isinstance(frame, bytes):
            frame = frame.decode(errors="replace")
        return Record(self._clock.now_ms(), observation, frame)

    def _hand_over(self, record: Record) -> None:
        if len(self._ready) >= self._settings.queue:
            self._refused += 1
            return
        self._ready.append(record)
        if len(self._ready) == PACKED:
            self._wake.set()

    def _write_on(self) -> None:
        """Run the thread: write what waits, now and then, until it is closed."""
        self._guarded(self._segments.adopt)
        while not self._closing:
            self._wake.wait(self._settings.flush_seconds)
            self._wake.clear()
            self._write_waiting()
        self._write_waiting()
        self._guarded(lambda: self._segments.finish(closing=True))

    def _write_waiting(self) -> None:
        while self._ready:
            batch = [self._ready.popleft() for _ in range(min(len(self._ready), PACKED))]
            untold = self._refused + self._lost - self._told
            if self._guarded(lambda: self._segments.write(batch, untold)):  # noqa: B023  # called at once
                self._told += untold
                self._written += len(batch)
            else:
                self._lost += len(batch)

    def _guarded(self, write: Callable[[], None]) -> bool:
        """Do something with the disk; whether it took it. What it says is logged once."""
        try:
            write()
        except (OSError, ValueError) as error:
            if not self._error:
                _log.error("tape_not_written", folder=str(self._segments.folder), error=str(error))
            self._error = str(error) or type(error).__name__
            return False
        if self._error:
            _log.info("tape_written_again", folder=str(self._segments.folder))
        self._error = ""
        return True


def _superseded(record: Record) -> Record:
    return msgspec.structs.replace(record, superseded=True)

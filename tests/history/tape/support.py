"""Tapes for tests."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from regimes.clock import ScaledClock
from regimes.history.tape.recorder import Recorder
from regimes.history.tape.settings import TapeSettings
from regimes.observations import Liquidation, Observation
from regimes.timeframe import known_at_ms

START_MS = 1_737_982_800_000  # 2025-01-27 13:00 UTC
ALL_KINDS = ("candle", "liquidation", "funding", "mark_price", "open_interest", "depth")


class StillClock(ScaledClock):
    """Shows what it is told."""

    def __init__(self, at_ms: int = START_MS) -> None:
        super().__init__(at_ms, 1.0, running=False)

    def at(self, ts_ms: int) -> None:
        self._start_ms = ts_ms


def liquidation(number: int, symbol: str = "BTC/USDT") -> Liquidation:
    """The one of this number: a second after the one before."""
    price, quantity = 100_000.0 + number, 0.1
    ts_ms = START_MS + number * 1000
    return Liquidation(ts_ms, "binanceusdm", symbol, "long", price, quantity, price * quantity)


def settings(folder: Path, **changes: Any) -> TapeSettings:
    return TapeSettings(**{"folder": folder, "flush_seconds": 0.05, **changes})


def record(folder: Path, observations: Iterable[Observation], **changes: Any) -> None:
    """Record observations one after the other, each at its own time."""
    clock = StillClock()
    with Recorder(settings(folder, **changes), clock) as recorder:
        recorder.watch(("BTC/USDT",))
        for observation in observations:
            clock.at(known_at_ms(observation))
            recorder.record(observation)


def wait_for(condition: Callable[[], object], at_most_s: float = 10.0) -> None:
    """Wait for what another thread will do."""
    pause = threading.Event()
    for _ in range(round(at_most_s / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError(f"it did not happen within {at_most_s} s")

"""Whether an endpoint may be sent to: a pure state machine, a value that is stored with the endpoint."""

from enum import StrEnum
from typing import Final

import msgspec

FAILURES_TO_OPEN: Final = 5
FIRST_OPEN_MS: Final = 30_000
LONGEST_OPEN_MS: Final = 15 * 60_000


class BreakerPhase(StrEnum):
    """CLOSED lets everything through, OPEN nothing, HALF_OPEN one probe, PARKED nothing until a person acts."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    PARKED = "parked"


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Failures in a row, how often it opened since the last success, until when it is open, why it is parked."""

    failures: int = 0
    openings: int = 0
    open_until_ms: int | None = None
    parked_reason: str | None = None
    parked_ms: int | None = None

    def phase(self, now_ms: int) -> BreakerPhase:
        """Where it stands now; an open one is half open once its time has passed."""
        if self.parked_reason is not None:
            return BreakerPhase.PARKED
        if self.open_until_ms is None:
            return BreakerPhase.CLOSED
        return BreakerPhase.OPEN if now_ms < self.open_until_ms else BreakerPhase.HALF_OPEN

    def slots(self, now_ms: int, *, under_way: int, workers: int) -> int:
        """How many more deliveries may start now. A parked endpoint takes none to its receiver."""
        phase = self.phase(now_ms)
        if phase is BreakerPhase.OPEN:
            return 0
        return max(0, (1 if phase is BreakerPhase.HALF_OPEN else workers) - under_way)

    def succeeded(self) -> "Breaker":
        """Close it. What was parked stays parked: an answer to an older request does not bring it back."""
        return self if self.parked_reason is not None else Breaker()

    def failed(self, now_ms: int) -> "Breaker":
        """Count a failure; the fifth in a row, or a failed probe, opens it, each time for twice as long."""
        if self.parked_reason is not None:
            return self
        failures = self.failures + 1
        phase = self.phase(now_ms)
        if phase is BreakerPhase.OPEN or (phase is BreakerPhase.CLOSED and failures < FAILURES_TO_OPEN):
            return msgspec.structs.replace(self, failures=failures)
        open_ms = min(FIRST_OPEN_MS * 2 ** min(self.openings, 16), LONGEST_OPEN_MS)
        return Breaker(failures=failures, openings=self.openings + 1, open_until_ms=now_ms + open_ms)

    def parked(self, now_ms: int, reason: str) -> "Breaker":
        """Give the endpoint up until a person enables it or changes its URL."""
        return self if self.parked_reason is not None else Breaker(parked_reason=reason, parked_ms=now_ms)

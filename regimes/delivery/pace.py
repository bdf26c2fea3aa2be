"""How fast a receiver may be sent to when it says so in its rules, not in its answers."""

from bisect import insort
from collections.abc import Sequence

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """At most so many messages in any span of so many seconds."""

    messages: int
    span_s: float


class Pace:
    """The last sends to one receiver, held against its rates. Times are real seconds of a monotonic clock.

    A send counts from its begin while it is under way, then from its end: the receiver saw it in between.
    """

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = tuple(rates)
        self._sent_s: list[float] = []

    def wait_s(self, now_s: float) -> float:
        """How long until the next send is within every rate."""
        waits = [
            self._sent_s[-rate.messages] + rate.span_s - now_s
            for rate in self._rates
            if len(self._sent_s) >= rate.messages
        ]
        return max(0.0, *waits) if waits else 0.0

    def begin(self, now_s: float) -> None:
        """A send begins."""
        insort(self._sent_s, now_s)
        del self._sent_s[: -max((rate.messages for rate in self._rates), default=1)]

    def end(self, began_s: float, now_s: float) -> None:
        """A send that began then has ended."""
        if began_s in self._sent_s:
            self._sent_s.remove(began_s)
            insort(self._sent_s, now_s)

"""What the outbox counts, for metrics and status pages: names of endpoints and outcomes, nothing secret."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

from regimes.storage.base import DeliveryStatus, Outcome

WAITED_UP_TO_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Waited:
    """Real seconds from an event's commit to its delivery: how many up to each bound, how many in all, their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(WAITED_UP_TO_S) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one delivery."""
        self.counts[bisect_left(WAITED_UP_TO_S, seconds)] += 1
        self.seconds += seconds


class Counters:
    """Since the start of the process.

    tries: by (endpoint, outcome). ended: by (endpoint, status) deliveries that will not be tried again. seconds: real
    seconds spent in tries, by endpoint. waited: how long deliveries took, by endpoint. diverted: given to the fallback, by endpoint. storage_errors: calls of the
    database that failed and were made again.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.tries: Counter[tuple[str, Outcome]] = Counter()
        self.ended: Counter[tuple[str, DeliveryStatus]] = Counter()
        self.seconds: dict[str, float] = {}
        self.diverted: Counter[str] = Counter()
        self.waited: dict[str, Waited] = {}
        self.storage_errors = 0
        self.add(endpoints)

    def add(self, endpoints: Sequence[str]) -> None:
        """Count these endpoints too, from 0; those that are known go on."""
        for name in endpoints:
            if name not in self.seconds:
                self.seconds[name], self.waited[name] = 0.0, Waited()
                self.diverted[name] = 0
                self.tries.update({(name, outcome): 0 for outcome in Outcome})
                self.ended.update({(name, s): 0 for s in DeliveryStatus if s is not DeliveryStatus.PENDING})

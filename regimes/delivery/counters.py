"""What the outbox counts, for metrics and status pages: names of endpoints and outcomes, nothing secret."""

from bisect import bisect_left
from collections import Counter
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

    def __init__(self, endpoints: list[str]) -> None:
        self.tries: Counter[tuple[str, Outcome]] = Counter(
            {(name, outcome): 0 for name in endpoints for outcome in Outcome}
        )
        self.ended: Counter[tuple[str, DeliveryStatus]] = Counter(
            {
                (name, status): 0
                for name in endpoints
                for status in DeliveryStatus
                if status is not DeliveryStatus.PENDING
            }
        )
        self.seconds: dict[str, float] = dict.fromkeys(endpoints, 0.0)
        self.diverted: Counter[str] = Counter(dict.fromkeys(endpoints, 0))
        self.waited: dict[str, Waited] = {name: Waited() for name in endpoints}
        self.storage_errors = 0

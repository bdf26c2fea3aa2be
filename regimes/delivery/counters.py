"""What the outbox counts, for metrics and status pages: names of endpoints and outcomes, nothing secret."""

from collections import Counter

from regimes.storage.base import DeliveryStatus, Outcome


class Counters:
    """Since the start of the process.

    tries: by (endpoint, outcome). ended: by (endpoint, status) deliveries that will not be tried again. seconds: real
    seconds spent in tries, by endpoint. diverted: given to the fallback, by endpoint. storage_errors: calls of the
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
        self.storage_errors = 0

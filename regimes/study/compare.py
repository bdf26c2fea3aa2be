"""Two histories of alerts beside one another: what is new, what is gone, what came at another time or severity."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

from regimes.events import Severity
from regimes.study.verdicts import Message
from regimes.timeframe import DAY_MS, MINUTE_MS

SAME_WITHIN_MS: Final = MINUTE_MS
"""A run's clock ticks a little apart from a replay's."""
NEAR_MS: Final = DAY_MS
"""Episodes of one type and symbol that begin within a day are taken for the same, seen differently."""
Change = Literal["added", "lost", "moved"]


class Alert(msgspec.Struct, frozen=True):
    """One episode that rang: when first, and how severe it was at most when it did."""

    event_id: str
    event_type: str
    symbol: str
    started_ms: int
    sent_ms: int
    severity: Severity
    title: str


class Difference(msgspec.Struct, frozen=True):
    """One alert that is not the same on both sides. before: None where it is new; after: None where it is gone."""

    change: Change
    before: Alert | None
    after: Alert | None

    @property
    def alert(self) -> Alert:
        """The newer side, where there is one."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a difference has at least one side")
        return found

    @property
    def at_ms(self) -> int:
        """Where it stands in a list."""
        return min(alert.sent_ms for alert in (self.before, self.after) if alert is not None)


def alerts(messages: Iterable[Message]) -> list[Alert]:
    """Return the episodes that rang, in order; what the policy says of its own (bursts, digests) is among them."""
    found: dict[str, Alert] = {}
    for message in messages:
        event = message.event
        first = found.get(event.id)
        found[event.id] = Alert(
            event.id,
            event.type.value,
            event.symbol,
            event.started_ms,
            message.ts_ms if first is None else first.sent_ms,
            event.severity if first is None else max(event.severity, first.severity),
            event.title if first is None else first.title,
        )
    return list(found.values())


def compare(before: Sequence[Alert], after: Sequence[Alert]) -> list[Difference]:
    """Return what differs, in order of time. The same episode (by id) is the same alert unless time or severity changed."""
    old, new = ({alert.event_id: alert for alert in side} for side in (before, after))
    both = old.keys() & new.keys()
    found = [Difference("moved", old[key], new[key]) for key in both if not _alike(old[key], new[key])]
    gone = sorted((old[key] for key in old.keys() - both), key=_order)
    come = sorted((new[key] for key in new.keys() - both), key=_order)
    for alert in gone:
        near = min((other for other in come if _near(alert, other)), key=_distance_to(alert), default=None)
        if near is None:
            found.append(Difference("lost", alert, None))
        else:
            come.remove(near)
            found.append(Difference("moved", alert, near))
    found += [Difference("added", None, alert) for alert in come]
    return sorted(found, key=_place)


def _alike(one: Alert, other: Alert) -> bool:
    return one.severity == other.severity and abs(one.sent_ms - other.sent_ms) <= SAME_WITHIN_MS


def _near(one: Alert, other: Alert) -> bool:
    about = (one.event_type, one.symbol) == (other.event_type, other.symbol)
    return about and abs(one.started_ms - other.started_ms) <= NEAR_MS


def _distance_to(alert: Alert) -> Callable[[Alert], int]:
    return lambda other: abs(other.started_ms - alert.started_ms)


def _order(alert: Alert) -> tuple[int, str]:
    return alert.started_ms, alert.event_id


def _place(one: Difference) -> tuple[int, str]:
    return one.at_ms, "".join(alert.event_id for alert in (one.before, one.after) if alert is not None)

"""Events the policy itself makes: one message for a burst, the day's digest, the notice that the cap is reached."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from regimes.events import Event, EventType, Phase, Severity, iso_utc

MANY: Final = "MANY"
"""The symbol of a message that stands for several events."""
WORST_NAMED: Final = 10


def burst(events: Sequence[Event], began_ms: int, now_ms: int) -> Event:
    """Tell a burst of one type in one event, the most severe symbols named first.

    events: at least one, all of one type. began_ms: when it was seen to begin, which tells it from another burst of the
    same episodes, as when all of them escalate.
    """
    ranked = _worst_first(events)
    first = min(event.started_ms for event in events)
    kind = events[0].type
    named = ", ".join(event.symbol for event in ranked[:WORST_NAMED])
    rest = f" and {len(ranked) - WORST_NAMED} more" if len(ranked) > WORST_NAMED else ""
    return Event(
        type=kind,
        symbol=MANY,
        severity=ranked[0].severity,
        phase=Phase.OPENED,
        ts_ms=now_ms,
        started_ms=began_ms,
        revision=0,
        title=f"{_words(kind)} on {len(events)} symbols",
        description=f"Worst first: {named}{rest}. {_count_by_severity(events)}.",
        why=f"{len(events)} further {kind.value} opened since {iso_utc(first)}",
        data={"count": len(events), "events": [_line(event) for event in ranked]},
    )


def digest(events: Sequence[Event], missed: int, day_ms: int) -> Event:
    """One event for all that was below an endpoint's least severity since the last digest."""
    ranked = _worst_first(events)
    total = len(events) + missed
    kinds = ", ".join(
        f"{n} {_words(EventType(kind)).lower()}" for kind, n in Counter(e.type for e in events).most_common()
    )
    return Event(
        type=EventType.SYSTEM_DIGEST,
        symbol=MANY,
        severity=Severity.INFO,
        phase=Phase.OPENED,
        ts_ms=day_ms,
        started_ms=day_ms,
        revision=0,
        title=f"Daily digest: {total} quiet events",
        description=f"{kinds}{f', {missed} more not listed' if missed else ''}.",
        why="alerting.digest is on",
        data={"count": total, "events": [_line(event) for event in ranked]},
    )


def cap_reached(endpoint: str, sent: int, cap: int, now_ms: int) -> Event:
    """Tell an endpoint that it has had its messages for the day."""
    return Event(
        type=EventType.SYSTEM_ALERT_CAP,
        symbol=MANY,
        severity=Severity.WARNING,
        phase=Phase.OPENED,
        ts_ms=now_ms,
        started_ms=now_ms,
        revision=0,
        title=f"Daily cap of {cap} messages reached",
        description="Further alerts below CRITICAL are stored and shown on the dashboard but not sent here "
        "until fewer lie within 24 hours.",
        why=f"{sent} messages to {endpoint} in 24 h >= alerting.daily_cap {cap}",
        data={"endpoint": endpoint, "messages_24h": sent, "daily_cap": cap},
    )


def _worst_first(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (-event.severity, -_magnitude(event), event.symbol))


def _magnitude(event: Event) -> float:
    """What ranks events of one type and severity: the first of these numbers that it carries."""
    for key in ("velocity_usd_per_hour", "z_score", "ratio", "change", "confidence"):
        value = event.data.get(key)
        if isinstance(value, int | float):
            return abs(value)
    return 0.0


def _line(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "event_type": event.type.value,
        "symbol": event.symbol,
        "severity": event.severity.name,
        "title": event.title,
    }


def _count_by_severity(events: Sequence[Event]) -> str:
    counts = Counter(event.severity for event in events)
    return ", ".join(f"{counts[severity]} {severity.name}" for severity in sorted(counts, reverse=True))


def _words(kind: EventType) -> str:
    return kind.value.removeprefix("SYSTEM_").replace("_", " ").capitalize()

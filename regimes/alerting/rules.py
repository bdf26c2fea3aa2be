"""Which endpoints an event belongs to."""

from collections.abc import Sequence

from regimes.alerting.records import Route
from regimes.events import Event

EVERYTHING = "ALL"
ADMIN = "ADMIN"


def routes_for(event: Event, routes: Sequence[Route]) -> list[Route]:
    """Endpoints of the event's own source, and those of `ALL`; SYSTEM goes to `ADMIN`, and to `ALL` only without one."""
    if event.source == "SYSTEM":
        admins = [route for route in routes if ADMIN in route.sources]
        return admins or [route for route in routes if EVERYTHING in route.sources]
    return [route for route in routes if route.sources & {event.source, EVERYTHING}]

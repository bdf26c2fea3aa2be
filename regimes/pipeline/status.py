"""How live the program is: for the log line every minute, and for whoever waits for it to be ready."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from regimes.features.base import Reading, Status
from regimes.feeds.status import StreamStatus


class Readiness(msgspec.Struct, frozen=True):
    """Whether everything works. problems: what does not, in words; empty when all is well."""

    problems: Sequence[str]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems


def judge(
    streams: Iterable[StreamStatus],
    venues: Mapping[str, str],
    readings: Iterable[Reading],
    *,
    live: bool,
    unwritten: str = "",
) -> Readiness:
    """Say what is missing.

    venues: by name, why one does not serve us. live: whether the history is in. unwritten: why the tape cannot be written.
    """
    problems = [] if live else ["history is being fetched"]
    problems += [f"{venue}: {why}" for venue, why in venues.items()]
    problems += [f"{s.venue} {s.stream}: not connected" for s in streams if not s.connected]
    waiting = Counter(r.feature for r in readings if r.status in {Status.WARMING, Status.STALE})
    problems += [f"{feature}: {count} readings warming or stale" for feature, count in waiting.items()]
    problems += [f"tape: not written: {unwritten}"] if unwritten else []
    return Readiness(problems)


def line(status: StreamStatus) -> str:
    """Say how live one stream is, such as `binanceusdm liquidation: live, 0.3 s ago, 1,344 messages`."""
    state = "live" if status.connected else "reconnecting"
    if status.age_s is None:
        heard = "nothing yet"
    else:
        heard = f"{status.age_s:.1f} s ago, {status.messages:,} messages"
    faults = [
        f"{count} {name}"
        for name, count in (
            ("unreadable", status.poison),
            ("gaps", status.gaps),
            ("reconnects", status.reconnects),
        )
        if count
    ]
    return ", ".join([f"{status.venue} {status.stream}: {state}", heard, *faults])

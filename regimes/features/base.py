"""What every feature is: observations in, readings and events out, nothing else."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Final, Protocol, TypeAlias, runtime_checkable

import msgspec
from pydantic import BaseModel, ConfigDict

from regimes.events import Event, Severity
from regimes.observations import DataKind, Observation


class Status(StrEnum):
    """Why a reading has its numbers, or has none."""

    OK = "ok"
    WARMING = "warming"
    STALE = "stale"
    DEGENERATE = "degenerate"
    UNAVAILABLE = "unavailable"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a feature knows about one symbol at one moment. Features add their own fields, flat.

    as_of_ms: event time of the newest datum in it (None before the first). n: data in the window.
    needed: data the window wants before it speaks. coverage: share of the window really observed, 0 to 1.
    detail: what a person should read instead of a number when there is none ("venue has no funding").
    alert_level: the severity at which this state alerts, None when it does not.
    A number that cannot be computed is None, never 0, NaN or Infinity.
    """

    feature: str
    symbol: str
    status: Status
    as_of_ms: int | None
    n: int
    needed: int
    coverage: float
    detail: str | None = None
    alert_level: Severity | None = None

    @property
    def ready(self) -> bool:
        """Whether the numbers can be used; stale ones can, with their age."""
        return self.status in {Status.OK, Status.STALE}

    @property
    def stale(self) -> bool:
        """Whether newer data should have come by now."""
        return self.status is Status.STALE


class FeatureSettings(BaseModel):
    """Base of each feature's settings: one table that gives default, rule, unit and words."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Universe(msgspec.Struct, frozen=True):
    """What to watch: configured symbols such as `BTC/USDT`, and bar lengths from short to long."""

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...] = ("1h", "4h", "1d", "1w")


class Need(msgspec.Struct, frozen=True):
    """History a feature wants for each symbol before it can speak.

    kind: which data. span_ms: how far back. timeframe: for candles, which bars; those of other lengths than an hour are
    streamed as well. symbols: only for the first so many of the universe.
    """

    kind: DataKind
    span_ms: int
    timeframe: str | None = None
    symbols: int | None = None


def longest(needs: Iterable[Need]) -> list[Need]:
    """One need for each kind and timeframe: the longest, for all symbols that any of them is for."""
    found: dict[tuple[DataKind, str | None], Need] = {}
    for need in needs:
        known = found.setdefault((need.kind, need.timeframe), need)
        few = None if need.symbols is None or known.symbols is None else max(need.symbols, known.symbols)
        found[need.kind, need.timeframe] = Need(
            need.kind, max(need.span_ms, known.span_ms), need.timeframe, few
        )
    return list(found.values())


class Output(msgspec.Struct, frozen=True, gc=False):
    """What one observation brought about. readings: perhaps not made yet, see `deferred`."""

    readings: Sequence[Reading] = ()
    events: Sequence[Event] = ()


NOTHING = Output()
Snapshot: TypeAlias = dict[str, Any]
"""Plain JSON-like values and bytes, so that it can be packed by msgspec."""


class Feature(Protocol):
    """One signal. It holds windows and latches and no clock; time reaches it as `Tick`.

    Events leave as soon as the observation that causes them is seen. Readings leave with the `Tick` after
    the data that changed them (and with the event they belong to), so that a burst costs one reading.

    A class is registered under the entry point group `regimes.features` and is called with its settings and
    the universe. name: in readings and metrics. section: its table in the configuration. package_key: its
    place in the combined package.
    """

    name: ClassVar[str]
    section: ClassVar[str]
    package_key: ClassVar[str]
    settings_type: ClassVar[type[FeatureSettings]]
    wants: ClassVar[frozenset[type[Observation]]]

    def warmup(self) -> Sequence[Need]:
        """History to ask for before going live."""
        ...

    def update(self, observation: Observation) -> Output:
        """Take one observation of a wanted type. Never raises for data that passed the intake."""
        ...

    def readings(self) -> Sequence[Reading]:
        """The present reading of every symbol, as of the last Tick; pure."""
        ...

    def snapshot(self) -> Snapshot:
        """All state, so that `restore` on a fresh instance goes on as if never interrupted."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Take back a snapshot, or over a restored state a gist, made with the same settings."""
        ...


@runtime_checkable
class Condensable(Protocol):
    """A feature whose snapshot holds what comes again by itself: the liquidations of the last day, the present prices."""

    def gist(self) -> Snapshot:
        """The snapshot without what stored liquidations and the next prices bring back, so that it stays small."""
        ...


@runtime_checkable
class Steady(Protocol):
    """A feature most of whose state stays as it is while nothing comes but Ticks that it answers with `NOTHING`."""

    def passing(self) -> Snapshot:
        """The parts of the snapshot that change even then."""
        ...


@runtime_checkable
class Replayable(Protocol):
    """A feature of which a replay can leave out what changes no event.

    quiet: set for a replay; readings need not leave then, and what only they are made of need not be worked out.
    """

    quiet: bool

    def due_ms(self) -> int:
        """Return the earliest time at which a Tick without new data can move an episode; 0: any Tick can.

        What a Tick before it leaves undone (a reading that grows stale) changes no event, then or later.
        """
        ...


NEVER_DUE: Final = 1 << 62

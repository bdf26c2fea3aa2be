"""What the web room needs of the running program; the composition root fills it in."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from regimes.alerting.track_record import ScoreTable
from regimes.clock import Clock
from regimes.delivery.desk import AlertDesk
from regimes.delivery.outbox import Outbox
from regimes.engine import Engine
from regimes.events import EventBody
from regimes.features.base import Reading
from regimes.features.volatility_regime.settings import VolatilitySettings
from regimes.feeds.base import ObservationQueue
from regimes.feeds.history import Progress
from regimes.feeds.status import StreamStatus
from regimes.history.tape.recorder import TapeState
from regimes.observations import Candle, FundingRate, Liquidation, MarkPrice
from regimes.storage.base import Storage


class Setting(msgspec.Struct, frozen=True):
    """One setting in effect: dotted key, value as JSON (a secret is `***`), and where it came from."""

    key: str
    value: Any
    origin: str


class Trial(msgspec.Struct, frozen=True):
    """What an endpoint answered to a test message. outcome: delivered, retry, ambiguous, permanent or blocked."""

    endpoint: str
    outcome: str
    status_code: int | None
    note: str
    duration_ms: int


class Work(msgspec.Struct, frozen=True):
    """What the program has done: for metrics.

    feature_seconds: real seconds each feature has computed. engine_seconds: the engine as a whole. observations:
    taken by the engine. loop_lag_s: how late the event loop wakes tasks, by quantile.
    """

    feature_seconds: Mapping[str, float]
    engine_seconds: float
    observations: int
    loop_lag_s: Mapping[float, float]
    """Empty before the first measurement."""


class Turn(Protocol):
    """What one turn of the engine took and brought about."""

    @property
    def readings(self) -> Sequence[Reading]: ...
    @property
    def liquidations(self) -> Sequence[Liquidation]: ...
    @property
    def candles(self) -> Sequence[Candle]: ...
    @property
    def marks(self) -> Sequence[MarkPrice]: ...
    @property
    def funding(self) -> Sequence[FundingRate]: ...


class WebSource(Protocol):
    """The running program as the web room sees it. Nothing here waits, except what is async."""

    clock: Clock
    """Event time."""
    storage: Storage
    outbox: Outbox
    desk: AlertDesk
    queue: ObservationQueue
    volatility: VolatilitySettings

    @property
    def engine(self) -> Engine | None:
        """None until the symbols are known."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether the history is in and observations flow."""
        ...

    @property
    def progress(self) -> Progress | None:
        """How far the history is in; None before the first part of it."""
        ...

    def streams(self) -> Sequence[StreamStatus]:
        """How live each stream is."""
        ...

    def venue_problems(self) -> Mapping[str, str]:
        """By venue, why it does not serve us now; venues in order are left out."""
        ...

    def problems(self) -> Sequence[str]:
        """What does not work, in words; empty when all is well."""
        ...

    def work(self) -> Work:
        """What has been done so far."""
        ...

    def tape(self) -> TapeState | None:
        """How the tape does; None where nothing is recorded."""
        ...

    def settings(self) -> Sequence[Setting]:
        """Every setting in effect, in the order of the file."""
        ...

    def spool_bytes(self) -> int:
        """Size of the file that takes everything while the database is away."""
        ...

    @property
    def score_table(self) -> ScoreTable | None:
        """What followed events: the user's own measurement, else what came with the program."""
        ...

    def narrated(self, package: Mapping[str, Any]) -> str:
        """The paragraph of a package."""
        ...

    def better(self, event: EventBody) -> EventBody:
        """A stored event with the best paragraph there is by now."""
        ...

    def narrative_counts(self) -> Mapping[str, int]:
        """How many paragraphs were, or were not, put into other words, by outcome."""
        ...

    async def bars(self, symbol: str) -> Sequence[Candle]:
        """Closed hourly bars of the past as far as they are kept on disk, oldest first."""
        ...

    async def try_endpoint(self, name: str) -> Trial:
        """Send a test message. Raises ConfigError when there is no endpoint of this name."""
        ...

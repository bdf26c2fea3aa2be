from typing import Any, Final, NamedTuple

import msgspec

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.funding_anomaly import words
from regimes.features.funding_anomaly.reading import FundingReading
from regimes.features.funding_anomaly.settings import FundingSettings
from regimes.features.latch import Episode, Latch, level_of

_SEVERITIES: Final = (None, Severity.WARNING, Severity.CRITICAL)
_NOT_DATA: Final = {"feature", "symbol", "status", "as_of_ms", "detail", "alert_level"}


class Moment(NamedTuple):
    """What is known now. onset_ms: first settlement of the present extreme. lost: why data no longer come."""

    reading: FundingReading
    now_ms: int
    onset_ms: int
    lost: str | None = None


def severity_of(z_score: float | None, settings: FundingSettings) -> Severity | None:
    """WARNING from the anomaly threshold, CRITICAL from the critical one, else None."""
    return None if z_score is None else _SEVERITIES[_level(z_score, settings)]


class Episodes:
    """The two kinds of events of one symbol.

    FUNDING_ANOMALY opens when |z| reaches the anomaly threshold, becomes CRITICAL at the critical one, and closes when
    |z| is below the watch threshold; extremes on opposite sides are two episodes. FUNDING_REVERSAL (a WARNING)
    opens with the settlement whose sign is new after an extreme and closes with the next.
    """

    def __init__(self, settings: FundingSettings) -> None:
        self._settings = settings
        self._latch = Latch()
        self._side = 0
        self._previous_ms = 0
        self._anomaly = Episode(alert_from=1)
        self._reversal = Episode(alert_from=1)

    def step(self, moment: Moment, z_score: float) -> list[Event]:
        """Move both by what is known now."""
        side = 1 if z_score > 0 else -1
        events = self._close_anomaly(moment) if side != self._side else []
        self._side = side
        hold = (self._settings.watch_z_threshold, self._settings.anomaly_z_threshold)
        self._latch.advance(_level(z_score, self._settings), level_of(abs(z_score), hold), moment.now_ms)
        events += self._move_anomaly(moment)
        return events + self._turn(moment, reversed_now=moment.reading.reversal is True)

    def abandon(self, moment: Moment) -> list[Event]:
        """Close what is open because the data have stopped."""
        return self._close_anomaly(moment) + self._turn(moment, reversed_now=False)

    def snapshot(self) -> dict[str, Any]:
        """All state."""
        return {
            "latch": msgspec.structs.asdict(self._latch),
            "side": self._side,
            "previous_ms": self._previous_ms,
            "anomaly": msgspec.structs.asdict(self._anomaly),
            "reversal": msgspec.structs.asdict(self._reversal),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a snapshot."""
        self._latch = Latch(**snapshot["latch"])
        self._side, self._previous_ms = snapshot["side"], snapshot["previous_ms"]
        self._anomaly = Episode(**snapshot["anomaly"])
        self._reversal = Episode(**snapshot["reversal"])

    def _close_anomaly(self, moment: Moment) -> list[Event]:
        self._latch.level = 0
        return self._move_anomaly(moment)

    def _move_anomaly(self, moment: Moment) -> list[Event]:
        """Move by the latch. An extreme that has had its episode begins another at the newest settlement."""
        if moment.onset_ms <= self._previous_ms:
            moment = moment._replace(onset_ms=moment.reading.as_of_ms or moment.now_ms)
        started_ms = self._anomaly.started_ms
        events = self._move(self._anomaly, EventType.FUNDING_ANOMALY, self._latch.level, moment)
        if started_ms is not None and not self._anomaly.is_open:
            self._previous_ms = started_ms
        return events

    def _turn(self, moment: Moment, *, reversed_now: bool) -> list[Event]:
        if not reversed_now and not self._reversal.is_open:
            return []
        settled = moment._replace(onset_ms=moment.reading.as_of_ms or moment.now_ms)
        events = []
        if self._reversal.started_ms not in {None, settled.onset_ms}:
            events = self._move(self._reversal, EventType.FUNDING_REVERSAL, 0, settled)
        return events + self._move(self._reversal, EventType.FUNDING_REVERSAL, int(reversed_now), settled)

    def _move(self, episode: Episode, kind: EventType, level: int, moment: Moment) -> list[Event]:
        def make(phase: Phase, started_ms: int, revision: int) -> Event:
            said = self._words(kind, phase, episode.peak, moment, started_ms)
            return Event(
                type=kind,
                symbol=moment.reading.symbol,
                severity=_SEVERITIES[episode.peak] or Severity.WARNING,
                phase=phase,
                ts_ms=moment.now_ms,
                started_ms=started_ms,
                revision=revision,
                title=said.title,
                description=said.description,
                why=said.why,
                data=_data(moment.reading),
            )

        event = episode.step(level, moment.now_ms, make, onset_ms=moment.onset_ms)
        return [] if event is None else [event]

    def _words(
        self, kind: EventType, phase: Phase, peak: int, moment: Moment, started_ms: int
    ) -> words.Words:
        if moment.lost is not None:
            return words.out_of_sight(moment.reading, moment.lost)
        if kind is EventType.FUNDING_REVERSAL:
            return words.reversal(moment.reading, self._settings, phase)
        lasted_ms = moment.now_ms - started_ms
        return words.anomaly(moment.reading, self._settings, phase, peak, lasted_ms)


def _level(z_score: float, settings: FundingSettings) -> int:
    return level_of(abs(z_score), (settings.anomaly_z_threshold, settings.critical_z_threshold))


def _data(reading: FundingReading) -> dict[str, Any]:
    numbers: dict[str, Any] = msgspec.to_builtins(reading)
    return {key: value for key, value in numbers.items() if key not in _NOT_DATA}

from collections.abc import Sequence
from math import isnan
from typing import Any, ClassVar, Final

import msgspec
import numpy as np

from regimes.events import Event
from regimes.features.base import (
    NEVER_DUE,
    NOTHING,
    Feature,
    Need,
    Output,
    Reading,
    Snapshot,
    Status,
    Universe,
)
from regimes.features.deferred import Deferred
from regimes.features.funding_anomaly.episodes import Episodes, Moment, severity_of
from regimes.features.funding_anomaly.history import History
from regimes.features.funding_anomaly.reading import Band, Direction, FundingReading
from regimes.features.funding_anomaly.settings import FundingSettings
from regimes.features.pieces import Pieces
from regimes.maths.anomaly import FloatArray, Measure, Measures, measure
from regimes.maths.reversion import BLOCK_HOURS, USUAL_Z, chances, terms
from regimes.observations import FundingRate, MarkPrice, Observation, Tick, Unavailable
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from regimes.wording import duration

_FAR: Final = 1 << 62
_PREDICTED_EVERY_MS: Final = MINUTE_MS
"""How often a new predicted rate alone is worth a reading."""


class _Symbol:
    """What is held of one symbol. due_ms: when time alone changes its status."""

    def __init__(self, settings: FundingSettings) -> None:
        self.history = History(round(settings.window_days * DAY_MS))
        self.episodes = Episodes(settings)
        self.lacking: list[str] = []
        self.settled = True
        self.predicted = False
        self.due_ms = 0
        self.said_ms = 0
        self.said: FundingReading | None = None
        """What was said when it was last measured."""

    def wants_measuring(self, now_ms: int) -> bool:
        """Whether more has changed than what is predicted."""
        said = self.said
        return self.settled or self.due_ms <= now_ms or said is None or said.status is Status.STALE


class FundingAnomaly(Feature):
    """How unusual each symbol's funding rate is, judged on the tick after it has settled."""

    name: ClassVar[str] = "funding_anomaly"
    section: ClassVar[str] = "funding"
    package_key: ClassVar[str] = "funding"
    settings_type = FundingSettings
    wants: ClassVar[frozenset[type[Observation]]] = frozenset({FundingRate, MarkPrice, Tick, Unavailable})

    def __init__(self, settings: FundingSettings, universe: Universe) -> None:
        self.quiet = False
        self._settings = settings
        self._symbols = {symbol: _Symbol(settings) for symbol in universe.symbols}
        self._now_ms = 0

    def warmup(self) -> Sequence[Need]:
        """The window in settled rates, and the one before: it says how unusual those of the window were in their time."""
        return (Need(kind="funding", span_ms=round(2 * self._settings.window_days * DAY_MS)),)

    def update(self, observation: Observation) -> Output:
        """Take one observation."""
        match observation:
            case FundingRate() if held := self._symbols.get(observation.symbol):
                held.settled |= held.history.settle(observation)
                self._now_ms = max(self._now_ms, observation.ts_ms)
            case MarkPrice() if held := self._symbols.get(observation.symbol):
                held.predicted |= held.history.predict(observation)
            case Unavailable(kind="funding"):
                for symbol, held in self._symbols.items():
                    if observation.symbol in {None, symbol} and observation.venue not in held.lacking:
                        held.lacking.append(observation.venue)
                        held.settled = True
            case Tick():
                return self._tick(observation)
        return NOTHING

    def due_ms(self) -> int:
        """At once for a settlement; else when one is late, or so late that its episodes end."""
        return min((0 if held.settled else held.due_ms for held in self._symbols.values()), default=NEVER_DUE)

    def readings(self) -> Sequence[Reading]:
        """One for each configured symbol."""
        return self._measured(list(self._symbols))

    def snapshot(self) -> Snapshot:
        """All state."""
        return {
            **self.gist(),
            "predicted": {
                symbol: [held.predicted, held.history.prediction()] for symbol, held in self._symbols.items()
            },
        }

    def gist(self) -> Snapshot:
        """All state but what is predicted, which every mark price says again."""
        return {
            "now_ms": self._now_ms,
            "histories": Pieces({symbol: held.history.settled() for symbol, held in self._symbols.items()}),
            "symbols": {
                symbol: {
                    "episodes": held.episodes.snapshot(),
                    "lacking": list(held.lacking),
                    "settled": held.settled,
                    "due_ms": held.due_ms,
                    "said_ms": held.said_ms,
                }
                for symbol, held in self._symbols.items()
            },
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Take back a snapshot; symbols configured since begin empty, others are let go."""
        self._now_ms = snapshot["now_ms"]
        for symbol, held in self._symbols.items():
            state = snapshot["symbols"].get(symbol)
            if state is not None:
                held.history.restore(snapshot["histories"][symbol])
                held.episodes.restore(state["episodes"])
                held.lacking = list(state["lacking"])
                held.settled, held.due_ms, held.said_ms = state["settled"], state["due_ms"], state["said_ms"]
                held.said = None
        for symbol, (predicted, prediction) in snapshot.get("predicted", {}).items():
            if symbol in self._symbols:
                held = self._symbols[symbol]
                held.predicted = predicted
                held.history.restore_prediction(prediction)

    def _tick(self, tick: Tick) -> Output:
        now_ms = self._now_ms = max(self._now_ms, tick.ts_ms)
        changed = [
            symbol
            for symbol, held in self._symbols.items()
            if held.settled
            or held.due_ms <= now_ms
            or (held.predicted and held.said_ms + _PREDICTED_EVERY_MS <= now_ms)
        ]
        if not changed:
            return NOTHING
        # What is predicted changes each minute, what was settled each few hours: only then there is much to compute.
        measured = [symbol for symbol in changed if self._symbols[symbol].wants_measuring(now_ms)]
        events: list[Event] = []
        for symbol, reading in zip(measured, self._measured(measured), strict=True):
            events += self._judge(reading)
            self._symbols[symbol].said = reading
        for symbol in changed:
            held = self._symbols[symbol]
            held.settled = held.predicted = False
            held.said_ms, held.due_ms = now_ms, self._due_ms(held)
        return Output(self._deferred(changed), events)

    def _deferred(self, symbols: list[str]) -> Deferred:
        """What was measured last, with what is predicted now."""
        held = [self._symbols[symbol] for symbol in symbols]
        facts = [(one.said, one.history.predicted) for one in held if one.said is not None]

        def make(place: int) -> Reading:
            said, (rate, next_ms) = facts[place]
            if said.funding_rate is None:
                return said
            return msgspec.structs.replace(said, predicted_rate=rate, next_funding_ms=next_ms)

        return Deferred(self.name, symbols, make)

    def _judge(self, reading: FundingReading) -> list[Event]:
        held = self._symbols[reading.symbol]
        overdue_ms = held.history.overdue_ms(self._now_ms)
        gone = reading.status is Status.UNAVAILABLE
        if gone or overdue_ms > self._settings.forget_after_hours * HOUR_MS:
            lost = reading.detail if gone else f"no settlement for {duration(overdue_ms)} after it was due"
            return held.episodes.abandon(Moment(reading, self._now_ms, self._now_ms, lost))
        if reading.z_score is None:
            return []
        times = held.history.times
        onset_ms = times[-max(1, reading.run_length or 0)]
        return held.episodes.step(Moment(reading, self._now_ms, onset_ms), reading.z_score)

    def _due_ms(self, held: _Symbol) -> int:
        """When the reading becomes stale, or after that its events are out of sight."""
        if not len(held.history):
            return _FAR
        due_ms = self._now_ms - held.history.overdue_ms(self._now_ms)
        moments = (
            due_ms + round(self._settings.late_minutes * MINUTE_MS) + 1,
            due_ms + round(self._settings.forget_after_hours * HOUR_MS) + 1,
        )
        return min((moment for moment in moments if moment > self._now_ms), default=_FAR)

    def _measured(self, symbols: list[str]) -> list[FundingReading]:
        """Readings of these symbols, measured together."""
        rates = [self._symbols[symbol].history.rates_8h() for symbol in symbols]
        width = max(1, *(len(row) for row in rates)) if rates else 1
        matrix = np.full((len(symbols), width), np.nan)
        recent = np.zeros(matrix.shape, dtype=np.bool_)
        for index, (symbol, row) in enumerate(zip(symbols, rates, strict=True)):
            if len(row):
                times = np.array(self._symbols[symbol].history.times[-len(row) :], dtype=np.int64)
                matrix[index, -len(row) :] = row
                within_ms = self._settings.reversal_within_hours * HOUR_MS
                recent[index, -len(row) :] = times >= times[-1] - within_ms
        measures = measure(matrix, recent, anomaly_z=self._settings.anomaly_z_threshold)
        found = self._chances(symbols, measures).T.tolist()
        return list(map(self._reading, symbols, measures.each(), found))

    def _chances(self, symbols: list[str], measures: Measures) -> FloatArray:
        """P(usual again within 24 and 72 hours) of each symbol, shape (2, symbols); NaN for those that are usual."""
        found = np.full((2, len(symbols)), np.nan)
        unusual = np.flatnonzero(np.abs(measures.z) >= USUAL_Z)
        window = round(self._settings.window_days * 24 / BLOCK_HOURS)
        matrix = np.full((len(unusual), 2 * window), np.nan)
        for row, index in enumerate(unusual.tolist()):
            blocks = self._symbols[symbols[index]].history.blocks_8h()[-2 * window :]
            matrix[row, 2 * window - len(blocks) :] = blocks
        if unusual.size:
            found[:, unusual] = chances(terms(matrix, window))
        return found

    def _reading(self, symbol: str, measured: Measure, found: list[float]) -> FundingReading:
        history = self._symbols[symbol].history
        n = len(history)
        enough = n >= self._settings.settlements_needed
        z_score = _number(measured.z) if enough else None
        status, detail = self._status(symbol, z_score, n)
        header: dict[str, Any] = {
            "feature": self.name,
            "symbol": symbol,
            "status": status,
            "as_of_ms": history.times[-1] if n else None,
            "n": n,
            "needed": self._settings.settlements_needed,
            "coverage": history.coverage(),
            "detail": detail,
        }
        if status is Status.UNAVAILABLE or not n:
            return FundingReading(**header)
        rate_8h = history.rates[-1] * (8.0 / history.hours[-1])
        facts: dict[str, Any] = {
            "funding_rate": history.rates[-1],
            "interval_hours": history.hours[-1],
            "rate_8h": rate_8h,
            "predicted_rate": history.predicted_rate,
            "next_funding_ms": history.next_funding_ms,
            "direction": _direction(rate_8h),
        }
        numbers = self._numbers(z_score, measured) if enough else {}
        if z_score is not None:
            within_24h, within_72h = map(_number, found)
            numbers |= {"p_revert_24h": within_24h, "p_revert_72h": within_72h}
        return FundingReading(**header, **facts, **numbers)

    def _numbers(self, z_score: float | None, measured: Measure) -> dict[str, Any]:
        robust = _number(measured.z_robust)
        return {
            "alert_level": severity_of(z_score, self._settings),
            "mean_8h": _number(measured.mean),
            "std_8h": _number(measured.std),
            "z_score": z_score,
            "z_robust": robust,
            "robust_alarm": None if robust is None else abs(robust) >= self._settings.robust_z_threshold,
            "band": self._band(z_score),
            "is_anomaly": None if z_score is None else abs(z_score) >= self._settings.anomaly_z_threshold,
            "percentile": _number(measured.percentile),
            "persistence": _number(measured.persistence),
            "run_length": None if z_score is None else measured.run_length,
            "reversal": None if z_score is None else measured.reversal,
        }

    def _status(self, symbol: str, z_score: float | None, n: int) -> tuple[Status, str | None]:
        held = self._symbols[symbol]
        if held.lacking and held.history.venue in {None, *held.lacking}:
            return Status.UNAVAILABLE, f"{', '.join(held.lacking)} has no funding for {symbol}"
        if n < self._settings.settlements_needed:
            return Status.WARMING, f"{n} of {self._settings.settlements_needed} settlements"
        if z_score is None:
            return Status.DEGENERATE, "the rate has left a history without spread: no z-score"
        overdue_ms = held.history.overdue_ms(self._now_ms)
        if overdue_ms > self._settings.late_minutes * MINUTE_MS:
            return Status.STALE, f"the next settlement is {duration(overdue_ms)} overdue"
        return Status.OK, None

    def _band(self, z_score: float | None) -> Band | None:
        if z_score is None:
            return None
        if abs(z_score) >= self._settings.anomaly_z_threshold:
            return "anomaly"
        return "watch" if abs(z_score) >= self._settings.watch_z_threshold else "normal"


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def _direction(rate: float) -> Direction:
    if rate == 0:
        return "none"
    return "longs_pay" if rate > 0 else "shorts_pay"

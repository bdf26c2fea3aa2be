from collections.abc import Callable
from math import ceil
from typing import Any, Final

import msgspec

from regimes.events import Event, Phase
from regimes.features.base import Status
from regimes.features.latch import Episode
from regimes.features.liquidation_cascade.baseline import Baseline
from regimes.features.liquidation_cascade.chains import HourlyChains
from regimes.features.liquidation_cascade.peak import Peak
from regimes.features.liquidation_cascade.rules import Rules
from regimes.maths import cascade
from regimes.maths.burst import Burst
from regimes.timeframe import HOUR_MS
from regimes.windows.events import EventWindow

_FAR: Final = 1 << 62
_VELOCITY_SPANS_MS: Final = tuple(hours * HOUR_MS for hours in cascade.VELOCITY_HOURS)


class Tracker:
    """The window and the episode of one symbol, or of the market.

    Intensity is the sum over the last few minutes. An episode ends when intensity has stayed below a share of its
    peak for long enough. Money seen until then is spent: the next episode must reach the alert severity with
    later money alone. And while the aftermath lasts, that is until intensity has once been below the velocity
    that alerts, it must be as intense as would have kept the last episode open.
    """

    def __init__(self, symbol: str, rules: Rules, capacity: int) -> None:
        self.symbol = symbol
        self.rules = rules
        self.window = EventWindow((rules.intensity_ms, *_VELOCITY_SPANS_MS), capacity)
        self.baseline = Baseline(rules.hours_needed)
        self.burst = Burst()
        self.chains = HourlyChains(symbol)
        self.episode = Episode(alert_from=rules.alert_from)
        self.episode_cents = 0
        self.relative_peak: int | None = None
        self.dollar_peak = 0
        """Worst severity in dollars: below the alert's lowest where the episode is one against the usual alone."""
        self.status: Status | None = None
        self.dirty = True
        """Whether something came that may move the episode."""
        self.untold = True
        """Whether something else changed that a reading says."""
        self._due_ms: int | None = 0
        self._peak = Peak()
        self._calm_since_ms: int | None = None
        self._spent_until_ms: int | None = None
        self._aftermath_cents = 0
        # Nothing can happen to the episode before so much more has come, so that most data cost an addition.
        self._headroom_cents = 0

    def add(self, ts_ms: int, cents: int, *, is_long: bool) -> bool:
        """Take one liquidation; True when the episode may have begun or become more severe."""
        if not self.window.add(ts_ms, cents, is_long=is_long):
            return False
        self.dirty = True
        self.baseline.add(ts_ms, cents)
        self.burst.add(ts_ms, cents * 0.01)
        started_ms = self.episode.started_ms
        if started_ms is not None:
            if ts_ms <= self._peak.known_ms:
                self._peak.came_late(ts_ms)
            if ts_ms >= started_ms:
                self.episode_cents += cents
        self._headroom_cents -= cents
        return self._headroom_cents <= 0

    @property
    def peak(self) -> Peak:
        """How intense the episode has been, or the last one was."""
        if self.episode.is_open:
            self._peak.follow(self.window, self.rules.calm_fraction)
        return self._peak

    @property
    def is_idle(self) -> bool:
        """Whether time alone can change nothing: no episode is open, and no aftermath lasts."""
        return not (self._aftermath_cents or self.episode.is_open)

    def moves_ms(self, *, blind: bool) -> int:
        """Return the earliest time at which time alone can move the episode or its aftermath; 0: with the next step."""
        if self.episode.is_open:
            return self._calms_ms(blind=blind)
        if not self._aftermath_cents or blind:
            return _FAR
        # One cent more, so that rounding can only make it too early.
        over_ms = self.window.falls_below_ms(ceil(self.rules.cents_at(self.rules.alert_velocity)) + 1)
        if over_ms or self.dirty or self.status is not Status.OK:
            return over_ms
        # The aftermath is over, which the next step will see: when money leaves a window.
        return _FAR if self.window.due_ms is None else self.window.due_ms

    def _calms_ms(self, *, blind: bool) -> int:
        """When an open episode grows calm, is calm no more, or ends."""
        calm_ms, low_ms = self._calm_since_ms, self.peak.low_ms
        if blind and self.window.sums()[-1] > 0:
            return self.window.empty_ms if calm_ms is None else 0
        return low_ms if calm_ms is None or calm_ms < low_ms else calm_ms + self.rules.calm_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether the passing of time alone changes something: money leaves a window, or an episode may end."""
        if self._due_ms is None:
            due_ms = self.window.due_ms
            self._due_ms = _FAR if due_ms is None else due_ms
        return self._due_ms <= now_ms

    def step(
        self, now_ms: int, make: Callable[[Phase, int, int], Event], *, blind: bool, is_tick: bool
    ) -> Event | None:
        """Let time pass and move the episode.

        blind: the feed is interrupted, so that silence means nothing. is_tick: it is time that passes and no
        liquidation that came. Only then is it judged whether it is calm: which liquidations lead to a step depends on
        when the last step was, and may change nothing but how soon something worse is seen.
        """
        self.window.advance(now_ms)
        sums, onset_ms = self.window.sums(), None
        if self.episode.is_open:
            is_over = is_tick and self._has_calmed(sums, now_ms, blind=blind)
            level = 0 if is_over else self._level_while_open(sums)
        else:
            if self._aftermath_cents and is_tick and not blind and self._is_slow(sums[0]):
                self._aftermath_cents = 0
            level, onset_ms = self._level_to_open(sums, now_ms)
        event = self._tell(level, sums, now_ms, make, onset_ms)
        if event is not None and event.phase is Phase.CLOSED:
            self._spent_until_ms, self._calm_since_ms = now_ms, None
            self._aftermath_cents = ceil(self.peak.cents * self.rules.calm_fraction)
        self._plan(sums)
        return event

    def snapshot(self) -> dict[str, Any]:
        """All state but the past of the baseline."""
        return {**self.gist(), "window": self.window.snapshot()}

    def gist(self) -> dict[str, Any]:
        """All state but the window and the past of the baseline."""
        return {
            "episode": msgspec.structs.asdict(self.episode),
            "episode_cents": self.episode_cents,
            "peak": msgspec.structs.asdict(self.peak),
            "relative_peak": self.relative_peak,
            "dollar_peak": self.dollar_peak,
            "present_cents": self.baseline.present_cents,
            "status": self.status,
            "dirty": self.dirty,
            "untold": self.untold,
            "calm_since_ms": self._calm_since_ms,
            "spent_until_ms": self._spent_until_ms,
            "aftermath_cents": self._aftermath_cents,
            "headroom_cents": self._headroom_cents,
            "burst": msgspec.structs.asdict(self.burst),
        }

    def restore(self, snapshot: dict[str, Any], past: msgspec.Raw | dict[str, Any]) -> None:
        """Take back a snapshot and the past of the baseline; a gist leaves the window as it is, and has the episode looked at with the next tick."""
        self.episode = Episode(**snapshot["episode"])
        self.episode_cents = snapshot["episode_cents"]
        self._peak = Peak(**snapshot["peak"])
        self.relative_peak, self.dollar_peak = snapshot["relative_peak"], snapshot["dollar_peak"]
        self.baseline.restore(past, snapshot["present_cents"])
        self.status = None if snapshot["status"] is None else Status(snapshot["status"])
        self.dirty, self.untold = snapshot["dirty"], snapshot["untold"]
        self._calm_since_ms = snapshot["calm_since_ms"]
        self._spent_until_ms = snapshot["spent_until_ms"]
        self._aftermath_cents = snapshot["aftermath_cents"]
        self._headroom_cents = snapshot["headroom_cents"]
        self.burst = Burst(**snapshot["burst"])
        if "window" in snapshot:
            self.window.restore(snapshot["window"])
            self._due_ms = 0 if self.episode.is_open else None
        else:
            self.dirty, self._headroom_cents, self._due_ms = True, 0, 0

    def close_hour(self, hour: int, *, watched: bool) -> None:
        """Say of an hour that has ended whether it was watched; what is usual is another thing from then on."""
        self.baseline.close(hour, watched=watched)
        if self.rules.relative_from is not None:
            self.dirty, self._headroom_cents = True, 0

    @property
    def is_large(self) -> bool:
        """Whether the episode is one in dollars, and not against the usual alone."""
        return self.dollar_peak >= self.rules.alert_from

    def severity_relative(self, sums: list[int]) -> int | None:
        """The last 60 minutes against the symbol's own hours, 1 (usual) to 5; None while those are too few.

        sums: the window's.
        """
        return self.baseline.severity(sums[1], self.window.count(1))

    def _is_slow(self, cents: int) -> bool:
        """Whether the intensity is below the velocity that alerts."""
        return self.rules.per_hour(cents) < self.rules.alert_velocity

    def _tell(
        self,
        level: int,
        sums: list[int],
        now_ms: int,
        make: Callable[[Phase, int, int], Event],
        onset_ms: int | None,
    ) -> Event | None:
        """Move the episode by its level; or say that it has become more unusual than it was."""
        was_open = self.episode.is_open
        relative = self.severity_relative(sums) if was_open or level else None
        rises = was_open and (relative or 1) > (self.relative_peak or 1)
        if rises or not was_open:
            self.relative_peak = relative
        event = self.episode.step(level, now_ms, make, onset_ms=onset_ms)
        if event is None and rises:
            return self.episode.update(make)
        return event

    def _has_calmed(self, sums: list[int], now_ms: int, *, blind: bool) -> bool:
        """Whether it has been calm for long enough."""
        silence_proves_nothing, low_ms = blind and sums[-1] > 0, self.peak.low_ms
        if silence_proves_nothing or now_ms < low_ms:
            self._calm_since_ms = None
        elif self._calm_since_ms is None or self._calm_since_ms < low_ms:
            self._calm_since_ms = now_ms
        return self._calm_since_ms is not None and now_ms - self._calm_since_ms >= self.rules.calm_ms

    def _level_while_open(self, sums: list[int]) -> int:
        """The severity, held at the alert's lowest until the episode is over."""
        severity = self.rules.severity(sums[1:])
        self.dollar_peak = max(self.dollar_peak, severity)
        return max(severity, self.rules.alert_from)

    def _level_to_open(self, sums: list[int], now_ms: int) -> tuple[int, int | None]:
        """The severity and the onset if a new episode begins now, else 0."""
        rules = self.rules
        fresh = self._fresh(sums)
        is_large = rules.severity(fresh[1:]) >= rules.alert_from
        if not (is_large or self._is_unusual(fresh[1])) or sums[0] < self._aftermath_cents:
            return 0, None
        fastest = max(range(1, len(fresh)), key=lambda i: fresh[i] / self.window.spans_ms[i])
        onset_ms = self.window.first_ms(fastest, after_ms=self._spent_until_ms)
        self.episode_cents = fresh[fastest]
        self._peak.begin(self.window, now_ms, rules.calm_fraction)
        self._calm_since_ms = None
        self.dollar_peak = rules.severity(sums[1:])
        return max(self.dollar_peak, rules.alert_from), onset_ms

    def _is_unusual(self, cents: int) -> bool:
        """Whether the last 60 minutes are an event against the symbol's own hours, where that is asked for."""
        least = self.rules.relative_from
        return least is not None and (self.baseline.severity(cents, self.window.count(1)) or 0) >= least

    def _fresh(self, sums: list[int]) -> list[int]:
        """The sums without what earlier episodes have spent."""
        return sums if self._spent_until_ms is None else self.window.sums(after_ms=self._spent_until_ms)

    def _plan(self, sums: list[int]) -> None:
        """Work out when there is something to do again: after how much money, and at what time."""
        if self.episode.is_open:
            peak = self.dollar_peak
            worse = _FAR if peak == cascade.WORST else self.rules.missing(sums[1:], peak + 1)
            self._headroom_cents = min(worse, self._missing_to_be_less_usual(sums[1]))
            self._due_ms = 0
            return
        fresh = self._fresh(sums)
        missing = self.rules.missing(fresh[1:], self.rules.alert_from)
        if (least := self.rules.relative_from) is not None and (bounds := self.baseline.bounds()) is not None:
            missing = min(missing, bounds[least - 2] - fresh[1])
        self._headroom_cents = max(missing, self._aftermath_cents - sums[0])
        self._due_ms = None

    def _missing_to_be_less_usual(self, cents: int) -> int:
        """Cents that must still come in this hour before the relative severity can exceed its peak."""
        bounds, peak = self.baseline.bounds(), self.relative_peak or 1
        return _FAR if bounds is None or peak == cascade.WORST else max(0, bounds[peak - 1] - cents)

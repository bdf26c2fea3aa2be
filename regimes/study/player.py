"""The past played to an engine, with the Ticks a run would have given it in between."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from regimes.engine import Engine
from regimes.events import Event
from regimes.features.foresight import FORESEEN_HOURS
from regimes.intake import AHEAD_MS, Rejection
from regimes.observations import Observation, Tick
from regimes.timeframe import HOUR_MS, known_at_ms

_SHOWN: Final = 10
_MOST_AHEAD: Final = 16_384
"""So many observations are read before they are taken, at most."""


class Happened(msgspec.Struct, frozen=True, gc=False):
    """An event, and when it left. after: how many observations had been taken by then."""

    ts_ms: int
    event: Event
    after: int = 0


class Player:
    """Plays observations in order of `known_at_ms`.

    Time is a grid of whole `interval_ms`, as `pipeline.interval_seconds` makes it in a run: what happens between two points
    is seen by the Tick at the later one. Ticks that can move no episode, as the features say (`Engine.due_ms`),
    are left out, except that the engine's time is never left so far behind that data would seem to come from the future.
    Goes on from the engine's own time where that is later than `from_ms`.
    """

    def __init__(self, engine: Engine, *, interval_ms: int, from_ms: int) -> None:
        self.engine = engine
        self.taken = 0
        self.rejections: list[Rejection] = []
        """The first few of what the intake refused; how many of each kind the intake counts."""
        self._interval_ms = interval_ms
        self._happened: list[Happened] = []
        # What has come since the features were asked when a Tick is due; None before they were.
        self._since: set[type[Observation]] | None = None
        self._now_ms = engine.now_ms
        begin_ms = max(from_ms, engine.now_ms)
        self._next_ms = (begin_ms // interval_ms + 1) * interval_ms
        if engine.now_ms < from_ms:
            self._step(Tick(from_ms), from_ms)
        self._ticked_ms = engine.intake.ticked_ms or begin_ms

    def play(self, observations: Iterable[Observation], to_ms: int) -> Iterator[Happened]:
        """Take everything known before `to_ms`, and let time pass up to it; gives events as they leave."""
        for known_ms, observation in self._ahead(observations):
            if known_ms >= to_ms:
                break
            if known_ms >= self._next_ms:
                self._pass(known_ms)
            self.taken += 1
            self._step(observation, known_ms)
            if self._happened:
                yield from self._leave()
        self._pass(to_ms)
        yield from self._leave()

    def follow(self, steps: Iterable[Observation]) -> Iterator[Happened]:
        """Take what an engine was given, with its own Ticks and in its own order; gives events as they leave."""
        for step in steps:
            self.taken += 1
            self._step(step)
            if self._happened:
                yield from self._leave()

    def _ahead(self, observations: Iterable[Observation]) -> Iterator[tuple[int, Observation]]:
        """Each with when it is known; the engine is told beforehand what comes within a day."""
        ahead, end_ms = list[tuple[int, Observation]](), 0
        for observation in observations:
            known_ms = known_at_ms(observation)
            if known_ms >= end_ms or len(ahead) >= _MOST_AHEAD:
                yield from self._foreseen(ahead)
                ahead, end_ms = [], known_ms // HOUR_MS * HOUR_MS + FORESEEN_HOURS * HOUR_MS
            ahead.append((known_ms, observation))
        yield from self._foreseen(ahead)

    def _foreseen(self, ahead: list[tuple[int, Observation]]) -> list[tuple[int, Observation]]:
        self.engine.foresee(observation for _, observation in ahead)
        return ahead

    def _pass(self, to_ms: int) -> None:
        """Let time pass, so that what comes next meets the engine as a run would have."""
        while (at_ms := max(self._on_grid(self._due_ms()), self._next_ms)) <= to_ms:
            self._tick(at_ms)
        latest_ms = to_ms // self._interval_ms * self._interval_ms
        next_ms = latest_ms + self._interval_ms
        if next_ms - self._ticked_ms > AHEAD_MS:
            self.engine.skip_to(latest_ms)
            self._ticked_ms = latest_ms
        self._next_ms = max(self._next_ms, next_ms)

    def _due_ms(self) -> int:
        due_ms = self.engine.due_ms(self._since)
        self._since = set()
        return due_ms

    def _on_grid(self, ts_ms: int) -> int:
        return -(-ts_ms // self._interval_ms) * self._interval_ms

    def _tick(self, ts_ms: int) -> None:
        self._ticked_ms, self._next_ms = ts_ms, ts_ms + self._interval_ms
        self._step(Tick(ts_ms), ts_ms)

    def _step(self, observation: Observation, known_ms: int | None = None) -> None:
        outcome = self.engine.step(observation)
        if self._since is not None:
            self._since.add(type(observation))
        self._now_ms = max(self._now_ms, self.engine.now_ms if known_ms is None else known_ms)
        for event in outcome.events:
            self._happened.append(Happened(self._now_ms, event, self.taken))
        if outcome.rejected is not None and len(self.rejections) < _SHOWN:
            self.rejections.append(outcome.rejected)

    def _leave(self) -> list[Happened]:
        left, self._happened = self._happened, []
        return left

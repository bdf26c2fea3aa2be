"""Choose settings by the past, and say honestly how the choice would have done where it was not made."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from regimes.config import Settings
from regimes.config.features import installed
from regimes.errors import ConfigError
from regimes.history import Source
from regimes.study.grid import Values, Variant, one_by_one, variants
from regimes.study.merit import LEAD_MS, Merit, merit
from regimes.study.replay import Stretch, choose_stretch
from regimes.study.sweep import Done, sweep
from regimes.study.targets import Kind, Target, share_of_time, targets
from regimes.study.verdicts import Message
from regimes.timeframe import WEEK_MS

FOLDS: Final = 6
BUDGET_A_WEEK: Final = 10.0
FEWEST_WEEKS: Final = 2.0
"""A fold shorter than this says nothing."""


class Tried(msgspec.Struct, frozen=True):
    """One variant over the whole span. is_best: no other rings less and catches as much, or catches more and rings no more."""

    values: Values
    merit: Merit
    is_best: bool = False


class Fold(msgspec.Struct, frozen=True):
    """One step of the walk forward: what was chosen by all before `from_ms`, and how that did from there to `to_ms`."""

    from_ms: int
    to_ms: int
    values: Values
    merit: Merit
    present: Merit
    """The settings in effect over the same time."""


class Tuned(msgspec.Struct, frozen=True):
    """What the sweep found.

    present: the settings in effect. tried: every point of the grid. alone: each value with all else as in effect.
    folds: the walk forward; unseen, unseen_present: the sums over it, of the choice and of the settings in effect.
    chosen: the values that the whole span would choose. by_chance: the share of randomly placed messages that would be useful.
    """

    stretch: Stretch
    present: Merit
    tried: Sequence[Tried]
    alone: Sequence[Tried]
    folds: Sequence[Fold]
    unseen: Merit
    unseen_present: Merit
    chosen: Values
    by_chance: float


def tune(
    source: Source,
    settings: Settings,
    grid: Mapping[str, Sequence[Any]],
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    symbols: Sequence[str] | None = None,
    budget: float = BUDGET_A_WEEK,
    folds: int = FOLDS,
    workers: int = 1,
    done: Done | None = None,
) -> Tuned:
    """Try every point of a grid over a stretch of the past.

    budget: messages a week that are not to be exceeded. folds: parts of the span; each but the first is judged with what those before it
    would have chosen. workers: processes. Raises ConfigError for a grid or a span that cannot be used, DataError as the source.
    """
    points, single = variants(settings, grid), one_by_one(settings, grid)
    stretch = choose_stretch(source, settings, from_ms, to_ms, symbols=symbols, features=installed())
    edges = _edges(stretch, folds)
    swept = sweep(source, stretch, [*points, *single], workers=workers, done=done)
    found = targets(source, stretch.universe.symbols, stretch.from_ms, stretch.to_ms)
    told = [swept.of(point).judged.messages for point in points]
    told_alone = [swept.of(point).judged.messages for point in single]
    table = _Table(points, told, found, stretch)
    walked = table.walk(edges, told_alone[0], budget)
    whole = [table.over(one, stretch.from_ms, stretch.to_ms) for one in told]
    return Tuned(
        stretch,
        table.over(told_alone[0], stretch.from_ms, stretch.to_ms),
        _with_best(points, whole),
        [
            Tried(point.values, table.over(messages, stretch.from_ms, stretch.to_ms))
            for point, messages in zip(single[1:], told_alone[1:], strict=True)
        ],
        walked,
        sum((fold.merit for fold in walked), Merit()),
        sum((fold.present for fold in walked), Merit()),
        points[choose(whole, budget)].values,
        _by_chance(found, stretch),
    )


def choose(merits: Sequence[Merit], budget: float) -> int:
    """Return which one to take: of those within the budget the one that catches most, then useful most often, then soonest.

    Where none keeps within the budget, the one that rings least.
    """
    within = [n for n, one in enumerate(merits) if one.a_week <= budget]
    if not within:
        return min(range(len(merits)), key=lambda n: merits[n].a_week)
    return max(within, key=lambda n: _worth(merits[n]))


def _worth(one: Merit) -> tuple[float, float, float]:
    delay = one.delay_hours
    return one.recall or 0.0, one.precision or 0.0, float("-inf") if delay is None else -delay


class _Table:
    """The messages of every variant against the targets."""

    def __init__(
        self,
        points: Sequence[Variant],
        told: Sequence[Sequence[Message]],
        found: Sequence[Target],
        stretch: Stretch,
    ) -> None:
        self._points = points
        self._told = told
        self._found = found
        self._symbols = stretch.universe.symbols

    def over(self, messages: Sequence[Message], from_ms: int, to_ms: int) -> Merit:
        return merit(messages, self._found, self._symbols, from_ms, to_ms)

    def walk(self, edges: Sequence[int], present: Sequence[Message], budget: float) -> list[Fold]:
        """Choose by what lies before each edge, judge by what comes up to the next."""
        walked = []
        for from_ms, to_ms in pairwise(edges[1:]):
            best = choose([self.over(messages, edges[0], from_ms) for messages in self._told], budget)
            walked.append(
                Fold(
                    from_ms,
                    to_ms,
                    self._points[best].values,
                    self.over(self._told[best], from_ms, to_ms),
                    self.over(present, from_ms, to_ms),
                )
            )
        return walked


def _edges(stretch: Stretch, folds: int) -> list[int]:
    length_ms = stretch.to_ms - stretch.from_ms
    if folds < 2 or length_ms / folds < FEWEST_WEEKS * WEEK_MS:
        raise ConfigError(
            f"{folds} folds of {length_ms / WEEK_MS / max(folds, 1):.1f} weeks: there must be 2 at least, of "
            f"{FEWEST_WEEKS:g} weeks at least; take a longer span or fewer folds"
        )
    return [stretch.from_ms + length_ms * n // folds for n in range(folds + 1)]


def _with_best(points: Sequence[Variant], merits: Sequence[Merit]) -> list[Tried]:
    return [
        Tried(point.values, one, not any(_beats(other, one) for other in merits))
        for point, one in zip(points, merits, strict=True)
    ]


def _beats(one: Merit, other: Merit) -> bool:
    ours, theirs = (one.a_week, -(one.recall or 0.0)), (other.a_week, -(other.recall or 0.0))
    return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]


def _by_chance(found: Sequence[Target], stretch: Stretch) -> float:
    moves = [one for one in found if one.kind is Kind.LARGE_MOVE]
    shares = [
        share_of_time(moves, symbol, stretch.from_ms, stretch.to_ms, lead_ms=LEAD_MS)
        for symbol in stretch.universe.symbols
    ]
    return sum(shares) / len(shares)

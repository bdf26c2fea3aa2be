"""A stretch of the past through the same engine, rules and policy as a run."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from regimes.alerting.records import Decision, Route
from regimes.config import Settings
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.errors import ConfigError
from regimes.events import iso_utc
from regimes.features.base import Feature, FeatureSettings, Universe
from regimes.history import Recorded, Source
from regimes.intake import Rejection
from regimes.observations import Liquidation, Observation
from regimes.pipeline.basis import feature_settings
from regimes.study.player import Happened, Player
from regimes.study.verdicts import Message, judge, one_for_all
from regimes.timeframe import DAY_MS, HOUR_MS, known_at_ms

BEFORE_MS: Final = 31 * DAY_MS
"""So much before the span is judged as well, in silence: a cascade is compared with the 30 days before it."""
_REPORT_EVERY: Final = 5_000
Progress: TypeAlias = Callable[[int], None]
"""Told now and then up to which time it has come, ms."""


class Replay(msgspec.Struct, frozen=True):
    """What a run over a span of the past would have said.

    events: in order, each with the time when it left. decisions, messages: what the policy answered. rejected: how
    many observations the intake refused, by kind and reason; rejections: the first few of them.
    """

    symbols: tuple[str, ...]
    from_ms: int
    to_ms: int
    events: Sequence[Happened]
    decisions: Sequence[Decision]
    messages: Sequence[Message]
    observations: int
    rejected: Counter[tuple[str, str]]
    rejections: Sequence[Rejection]


def replay(
    source: Source,
    settings: Settings,
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    symbols: Sequence[str] | None = None,
    features: Sequence[type[Feature]] | None = None,
    routes: Sequence[Route] | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Replay `source` from a time (inclusive) to a time (exclusive); all of it when they are left out.

    What the features need of the time before goes in first. A tape of everything an engine was given is given to this one as it
    is, from its beginning, so that the same settings give the events of the run. symbols: those configured that the source has, when left out.
    features: the installed ones. routes: one endpoint for everything. The same in, the same out.
    Raises ConfigError for symbols the source lacks and a span it does not cover, DataError as the source.
    """
    kinds = tuple(features or installed())
    stretch = choose_stretch(source, settings, from_ms, to_ms, symbols=symbols, features=kinds)
    ran = run(source, stretch, kinds, feature_settings(settings), progress=progress)
    alerting = settings.alerting
    judged = judge(ran.events, alerting, routes or one_for_all(alerting), stretch.to_ms)
    return Replay(
        stretch.universe.symbols,
        stretch.from_ms,
        stretch.to_ms,
        ran.events,
        judged.decisions,
        judged.messages,
        ran.observations,
        ran.rejected,
        ran.rejections,
    )


class Stretch(msgspec.Struct, frozen=True):
    """What is replayed, of whom, and on which grid of time. begin_ms: from when on history goes in."""

    universe: Universe
    begin_ms: int
    from_ms: int
    to_ms: int
    interval_ms: int


class Ran(msgspec.Struct, frozen=True):
    """What an engine said over a stretch; fields as in `Replay`."""

    events: Sequence[Happened]
    observations: int
    rejected: Counter[tuple[str, str]]
    rejections: Sequence[Rejection]


def run(
    source: Source,
    stretch: Stretch,
    features: Sequence[type[Feature]],
    sections: Mapping[str, FeatureSettings],
    *,
    progress: Progress | None = None,
) -> Ran:
    """Run these features over a stretch. Each says what it says beside all others: none knows of another."""
    engine = Engine.build(features, stretch.universe, sections)
    engine.hush()
    player = Player(engine, interval_ms=stretch.interval_ms, from_ms=stretch.from_ms - BEFORE_MS)
    whole = source if isinstance(source, Recorded) and source.is_whole else None
    history = whole.steps(whole.span()[0], stretch.to_ms) if whole is not None else _history(source, stretch)
    stream = history if progress is None else _watched(history, progress)
    happened = player.play(stream, stretch.to_ms) if whole is None else player.follow(stream)
    # What was open before is known to the policy of a run only if it was told of it: so it is not here either.
    events = [item for item in happened if item.ts_ms >= stretch.from_ms]
    rejected = Counter({(kind, reason.value): n for (kind, reason), n in engine.intake.rejected.items()})
    return Ran(events, player.taken, rejected, player.rejections)


def choose_stretch(
    source: Source,
    settings: Settings,
    from_ms: int | None,
    to_ms: int | None,
    *,
    symbols: Sequence[str] | None,
    features: Sequence[type[Feature]],
) -> Stretch:
    """Return what to replay, with the history all these features need. Raises ConfigError as `replay`."""
    universe = settings.universe(choose_symbols(source, settings, symbols))
    begin_ms, end_ms = choose_span(source, from_ms, to_ms)
    needs = Engine.build(features, universe, feature_settings(settings)).needs()
    longest_ms = max((need.span_ms for need in needs), default=0)
    return Stretch(
        universe,
        begin_ms - max(longest_ms + HOUR_MS, BEFORE_MS),
        begin_ms,
        end_ms,
        max(1, round(settings.pipeline.interval_seconds * 1000)),
    )


def _history(source: Source, stretch: Stretch) -> Iterator[Observation]:
    """The span and what comes before it, without liquidations no window can hold any more."""
    judged_ms = stretch.from_ms - BEFORE_MS
    for observation in source.observations(stretch.begin_ms, stretch.to_ms, stretch.universe.symbols):
        if not isinstance(observation, Liquidation) or observation.ts_ms >= judged_ms:
            yield observation


def choose_symbols(source: Source, settings: Settings, symbols: Sequence[str] | None) -> tuple[str, ...]:
    """Return what to watch: what is asked for, else what is configured; `top:N` stands for all there is.

    Raises ConfigError for a symbol that is asked for and not there, and where nothing remains.
    """
    there = source.symbols
    wanted = tuple(symbols if symbols is not None else settings.symbols)
    if symbols is None and any(name.startswith("top:") for name in wanted):
        return there
    missing = [name for name in wanted if name not in there]
    if (symbols is not None and missing) or len(missing) == len(wanted):
        raise ConfigError(
            f"{source.name}: no history of {', '.join(missing)}; there is {', '.join(there[:20]) or 'none'}"
        )
    return tuple(name for name in wanted if name in there)


def choose_span(source: Source, from_ms: int | None, to_ms: int | None) -> tuple[int, int]:
    """Return the span to replay, within what the source has. Raises ConfigError for one that is empty."""
    first_ms, end_ms = source.span()
    begin_ms = first_ms if from_ms is None else max(from_ms, first_ms)
    stop_ms = end_ms if to_ms is None else to_ms
    if begin_ms >= min(stop_ms, end_ms):
        raise ConfigError(
            f"{source.name}: nothing from {_words(from_ms, first_ms)} to {_words(to_ms, end_ms)};"
            f" it reaches from {iso_utc(first_ms)} to {iso_utc(end_ms)}"
        )
    return begin_ms, stop_ms


def _words(given_ms: int | None, instead_ms: int) -> str:
    return iso_utc(instead_ms if given_ms is None else given_ms)


def _watched(history: Iterator[Observation], progress: Progress) -> Iterator[Observation]:
    for count, observation in enumerate(history):
        if count % _REPORT_EVERY == 0:
            progress(known_at_ms(observation))
        yield observation

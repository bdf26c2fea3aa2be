"""How good a set of messages was: how many they were, what they caught, how late."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from regimes.events import Event, EventType
from regimes.observations import MARKET
from regimes.study.targets import Kind, Target
from regimes.study.verdicts import Message
from regimes.timeframe import HOUR_MS, WEEK_MS

LEAD_MS: Final = 12 * HOUR_MS
"""A message so long before a move has caught it too, with no delay: what rang then may be in cooldown now."""


class Merit(msgspec.Struct, frozen=True):
    """Counts over a span, so that spans can be added up.

    useful: messages that fell into a large move of a symbol they are about. delays_ms: of each caught move.
    """

    weeks: float = 0.0
    messages: int = 0
    useful: int = 0
    moves: int = 0
    caught: int = 0
    delays_ms: tuple[int, ...] = ()
    deleveragings: int = 0
    deleveragings_caught: int = 0

    def __add__(self, other: "Merit") -> "Merit":
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Merit(*(one + more for one, more in pairs))

    @property
    def a_week(self) -> float:
        """Messages a week."""
        return self.messages / self.weeks if self.weeks else 0.0

    @property
    def recall(self) -> float | None:
        """Which share of the large moves was caught; None where there was none."""
        return self.caught / self.moves if self.moves else None

    @property
    def precision(self) -> float | None:
        """Which share of the messages was useful; None where there was none."""
        return self.useful / self.messages if self.messages else None

    @property
    def delay_hours(self) -> float | None:
        """The median delay of what was caught."""
        return median(self.delays_ms) / HOUR_MS if self.delays_ms else None


def merit(
    messages: Sequence[Message], found: Sequence[Target], symbols: Sequence[str], from_ms: int, to_ms: int
) -> Merit:
    """Hold the messages of a span against the targets that lie whole within it.

    A large move is caught by the first message about its symbol, or the whole market, from 12 hours before its begin to its
    end; a deleveraging by one about liquidations between its begin and its end.
    """
    inside = [one for one in messages if from_ms <= one.ts_ms < to_ms]
    wanted = [one for one in found if from_ms <= one.from_ms and one.until_ms <= to_ms]
    moves = [one for one in wanted if one.kind is Kind.LARGE_MOVE]
    forced = [one for one in wanted if one.kind is Kind.DELEVERAGING]
    times = _times(inside, symbols)
    cascades = _times((m for m in inside if m.event.type is EventType.LIQUIDATION_CASCADE), symbols)
    delays = [
        max(0, at_ms - move.from_ms)
        for move in moves
        if (at_ms := _first(times[move.symbol], move.from_ms - LEAD_MS, move.until_ms)) is not None
    ]
    hits = [one for one in forced if _first(cascades[one.symbol], one.from_ms, one.until_ms) is not None]
    return Merit(
        (to_ms - from_ms) / WEEK_MS,
        len(inside),
        sum(_is_useful(message, moves, symbols) for message in inside),
        len(moves),
        len(delays),
        tuple(delays),
        len(forced),
        len(hits),
    )


def about(event: Event, symbols: Sequence[str]) -> tuple[str, ...]:
    """Return which of the symbols an event is about: its own, both of a pair, those of a burst, all for the market."""
    if event.symbol == MARKET:
        return tuple(symbols)
    named = {event.symbol, *event.data.get("symbols", ())}
    named |= {line["symbol"] for line in event.data.get("events", ())}
    return tuple(symbol for symbol in symbols if symbol in named or MARKET in named)


def _times(messages: Iterable[Message], symbols: Sequence[str]) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        for symbol in about(message.event, symbols):
            found[symbol].append(message.ts_ms)
    return found


def _first(times: Sequence[int], from_ms: int, until_ms: int) -> int | None:
    place = bisect_left(times, from_ms)
    return times[place] if place < len(times) and times[place] < until_ms else None


def _is_useful(message: Message, moves: Sequence[Target], symbols: Sequence[str]) -> bool:
    named = about(message.event, symbols)
    return any(
        move.symbol in named and move.from_ms - LEAD_MS <= message.ts_ms < move.until_ms for move in moves
    )

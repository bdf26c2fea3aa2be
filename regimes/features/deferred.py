"""Readings that are made when somebody looks: most are replaced before anybody does."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, overload

from regimes.features.base import Reading


class Deferred(Sequence[Reading]):
    """Readings of one feature, each made once, when somebody looks at it.

    feature, symbols: whose they are, known without making any. make: gives
    the reading at a place; what it needs must have been set aside, as it may be asked long after.
    """

    __slots__ = ("_made", "_make", "feature", "symbols")
    __hash__ = None  # type: ignore[assignment]  # equal to a list, and as little a key

    def __init__(self, feature: str, symbols: Sequence[str], make: Callable[[int], Reading]) -> None:
        self.feature: Final = feature
        self.symbols: Final = symbols
        self._make = make
        self._made: list[Reading | None] = [None] * len(symbols)

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, place: int) -> Reading: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Reading]: ...
    def __getitem__(self, place: int | slice) -> Reading | Sequence[Reading]:
        if isinstance(place, slice):
            return list(self)[place]
        made = self._made[place]
        if made is None:
            made = self._made[place] = self._make(range(len(self._made))[place])
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Deferred({self.feature!r}, {len(self)} readings)"

    @property
    def places(self) -> Iterator[tuple[str, str]]:
        """Feature and symbol of each."""
        return ((self.feature, symbol) for symbol in self.symbols)


class Joined(Sequence[Reading]):
    """Several sequences of readings as one, without making any."""

    __slots__ = ("parts",)
    __hash__ = None  # type: ignore[assignment]  # equal to a list, and as little a key

    def __init__(self, parts: Iterable[Sequence[Reading]] = ()) -> None:
        self.parts: list[Sequence[Reading]] = []
        for part in parts:
            self.add(part)

    def add(self, part: Sequence[Reading]) -> None:
        """Put one more at the end."""
        self.parts += part.parts if isinstance(part, Joined) else [part]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[Reading]:
        return (reading for part in self.parts for reading in part)

    @overload
    def __getitem__(self, place: int) -> Reading: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Reading]: ...
    def __getitem__(self, place: int | slice) -> Reading | Sequence[Reading]:
        return list(self)[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Joined({self.parts!r})"


def places(readings: Sequence[Reading]) -> Iterator[tuple[str, str]]:
    """Feature and symbol of each reading, without making any."""
    if isinstance(readings, Deferred):
        yield from readings.places
    elif isinstance(readings, Joined):
        for part in readings.parts:
            yield from places(part)
    else:
        yield from ((reading.feature, reading.symbol) for reading in readings)

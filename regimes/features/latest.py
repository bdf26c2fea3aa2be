"""The newest reading of each feature and symbol; those that nobody has looked at need not exist."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from regimes.features.base import Reading
from regimes.features.deferred import Deferred, Joined

Place: TypeAlias = tuple[str, str]
"""Feature and symbol."""
_MOST_WAITING: Final = 64


class Latest(Mapping[Place, Reading]):
    """A mapping that is given readings in the order in which they are said; a later one replaces an earlier one."""

    def __init__(self) -> None:
        self._known: dict[Place, Reading | tuple[Deferred, int]] = {}
        self._waiting: list[Sequence[Reading]] = []

    def take(self, readings: Sequence[Reading]) -> None:
        """Note what was said; it is sorted in when somebody looks, or when much has come."""
        if isinstance(readings, Joined):
            self._waiting += readings.parts
        else:
            self._waiting.append(readings)
        if len(self._waiting) > _MOST_WAITING:
            self._sort_in()

    def __getitem__(self, place: Place) -> Reading:
        self._sort_in()
        known = self._known[place]
        if isinstance(known, Reading):
            return known
        deferred, index = known
        reading = self._known[place] = deferred[index]
        return reading

    def __iter__(self) -> Iterator[Place]:
        self._sort_in()
        return iter(self._known)

    def __len__(self) -> int:
        self._sort_in()
        return len(self._known)

    def __contains__(self, place: object) -> bool:
        self._sort_in()
        return place in self._known

    def _sort_in(self) -> None:
        for readings in self._waiting:
            if isinstance(readings, Deferred):
                for index, place in enumerate(readings.places):
                    self._known[place] = (readings, index)
            else:
                self._known |= {(reading.feature, reading.symbol): reading for reading in readings}
        self._waiting.clear()

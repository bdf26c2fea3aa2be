"""Which libraries are there to be compared with, and their detectors put to the same question."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Final

LIBRARIES: Final = ("arch", "hmmlearn", "river", "ruptures", "statsmodels")


def installed(library: str) -> bool:
    """Whether a library of the extra `bench` is there; what needs it is left out otherwise."""
    return find_spec(library) is not None


def lacking() -> Sequence[str]:
    """Libraries that rows would name if they were there."""
    return [library for library in LIBRARIES if not installed(library)]


def least_bound(alarms_at: Callable[[float], float], bounds: Sequence[float], most: float) -> float:
    """The lowest of some bounds, ascending, with no more alarms than `most`; the highest where none is."""
    return next((bound for bound in bounds if alarms_at(bound) <= most), bounds[-1])

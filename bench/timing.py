"""Timing on a machine that others use too: CPU time, ways in turn, medians."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TypeVar

Name = TypeVar("Name")


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process, all its threads, that one call takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def in_turn(ways: Mapping[Name, Callable[[], object]], rounds: int) -> dict[Name, float]:
    """Median CPU seconds of each way. They take turns (A B C A B C), so that a busy moment hits all alike.

    The first round is thrown away.
    """
    spent: dict[Name, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, work in ways.items():
            spent[name].append(cpu_seconds(work))
    return {name: median(seconds[1:]) for name, seconds in spent.items()}

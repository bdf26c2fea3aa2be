"""What a process holds on to, sampled: it must not grow."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Final

import psutil

EVERY_S: Final = 1.0
_DESCRIPTORS: Final = Path("/proc/self/fd")


class Vitals:
    """Samples of the running process. also: more that can be counted, by name."""

    def __init__(self, also: Mapping[str, Callable[[], float]]) -> None:
        self._process = psutil.Process()
        self._also = also
        self.samples: dict[str, list[float]] = {}

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Take one sample."""
        found = {
            "memory": self._process.memory_info().rss / 1e6,
            "tasks": float(len(asyncio.all_tasks())),
            "descriptors": float(sum(1 for _ in _DESCRIPTORS.iterdir())) if _DESCRIPTORS.is_dir() else 0.0,
            **{name: count() for name, count in self._also.items()},
        }
        for name, value in found.items():
            self.samples.setdefault(name, []).append(value)

    def growth(self, name: str) -> float:
        """The median of the last quarter less that of the second, 0 where it shrank."""
        values = self.samples[name]
        quarter = max(1, len(values) // 4)
        return max(0.0, median(values[-quarter:]) - median(values[quarter : 2 * quarter] or values))

    def most(self, name: str) -> float:
        """The highest sample."""
        return max(self.samples[name])

"""What a service says of itself at `/metrics`, and what became of it over a while."""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from regimes.clock import SystemClock
from regimes.errors import VenueError
from regimes.pipeline import lag

EVERY_S: Final = 2.0
_LAG: Final = "regimes_loop_lag_seconds"
_MEMORY: Final = "process_resident_memory_bytes"
_DEPTH: Final = "regimes_queue_depth"
LAG_WINDOW_S: Final = lag.KEPT * lag.PERIOD_S
"""How far the lag that a service tells looks back."""
_real = SystemClock()
Labels = frozenset[tuple[str, str]]
Samples = Mapping[str, Mapping[Labels, float]]


class Watch:
    """Looks again and again. highest: of what goes up and down, the most that was seen.

    The lag that is told in the first minute holds what the start of the service cost: what is told later replaces it.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self.highest = dict.fromkeys((_LAG, _MEMORY, _DEPTH), 0.0)
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._began_s = self._ended_s = 0.0
        self._first: Samples = {}
        self._last: Samples = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Look once. Raises VenueError when the service does not answer."""
        try:
            async with (
                aiohttp.ClientSession(self._address, headers=self._headers) as client,
                client.get("/metrics") as answer,
            ):
                answer.raise_for_status()
                text = await answer.text()
        except aiohttp.ClientError as error:
            raise VenueError(
                f"{self._address}/metrics does not answer ({error}); is the service up?"
            ) from error
        if self.seconds < LAG_WINDOW_S:
            self.highest[_LAG] = 0.0
        self._last, self._ended_s = parsed(text), _real.monotonic()
        if not self._first:
            self._first, self._began_s = self._last, self._ended_s
        for name, most in self.highest.items():
            self.highest[name] = max([most, *self._last.get(name, {}).values()])

    def now(self, name: str, **labels: str) -> float:
        """The sum over all series with these labels, at the last look."""
        return _sum(self._last, name, labels)

    def grown(self, name: str, **labels: str) -> float:
        """How much that has grown since the first look."""
        return _sum(self._last, name, labels) - _sum(self._first, name, labels)

    @property
    def seconds(self) -> float:
        """From the first look to the last."""
        return self._ended_s - self._began_s

    @property
    def loop_lag_ms(self) -> float:
        """The worst 99th percentile of a minute."""
        return 1_000 * self.highest[_LAG]

    @property
    def memory_mb(self) -> float:
        """The most."""
        return self.highest[_MEMORY] / 1e6

    @property
    def queue_depth(self) -> float:
        """The most that waited when looked at."""
        return self.highest[_DEPTH]


def _sum(samples: Samples, name: str, labels: Mapping[str, str]) -> float:
    wanted = set(labels.items())
    return sum(value for series, value in samples.get(name, {}).items() if wanted <= series)


def parsed(text: str) -> Samples:
    """By name and labels."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found

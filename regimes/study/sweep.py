"""Many settings over the same past, each part worked out once.

No feature knows of another, so what one says depends on its own section alone: each section that differs is run once, in
as many processes as there are cores, and the policy answers each combination.
"""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from heapq import merge
from typing import Any, Final

import msgspec

from regimes.alerting.records import Route
from regimes.config.features import installed
from regimes.features.base import Feature, FeatureSettings
from regimes.history import Source
from regimes.study.grid import Variant
from regimes.study.player import Happened
from regimes.study.replay import Stretch, run
from regimes.study.verdicts import Judged, judge, one_for_all

Part = tuple[str, str]
"""A feature's name, and its settings as JSON."""
Done = Callable[[int, int], None]
"""Told how many parts of how many are done."""


class Swept(msgspec.Struct, frozen=True):
    """One variant and what it would have said."""

    variant: Variant
    events: Sequence[Happened]
    judged: Judged


class Sweep:
    """The parts of many variants, worked out; ask for what each variant says."""

    def __init__(self, stretch: Stretch, parts: Mapping[Part, Sequence[Happened]]) -> None:
        self.stretch = stretch
        self._parts = parts

    def of(self, variant: Variant, routes: Sequence[Route] | None = None) -> Swept:
        """Return what a variant says: to the letter what a replay with its settings alone would."""
        streams = [
            [(item.after, item.ts_ms, rank, item) for item in self._parts[part]]
            for rank, part in enumerate(_parts_of(variant))
        ]
        events = [item for _, _, _, item in merge(*streams, key=_place)]
        alerting = variant.settings.alerting
        return Swept(
            variant, events, judge(events, alerting, routes or one_for_all(alerting), self.stretch.to_ms)
        )


def sweep(
    source: Source, stretch: Stretch, variants: Sequence[Variant], *, workers: int, done: Done | None = None
) -> Sweep:
    """Work out every part the variants need. workers: processes; 1 works in this one.

    Stops at once, and ends its processes, when it is interrupted. Raises what `replay` raises.
    """
    wanted = {part: settings for variant in variants for part, settings in _sections_of(variant).items()}
    found: dict[Part, Sequence[Happened]] = {}
    for part, events in _worked_out(source, stretch, wanted, workers):
        found[part] = events
        if done is not None:
            done(len(found), len(wanted))
    return Sweep(stretch, found)


def _worked_out(
    source: Source, stretch: Stretch, wanted: Mapping[Part, FeatureSettings], workers: int
) -> Iterator[tuple[Part, Sequence[Happened]]]:
    if workers <= 1:
        for part, settings in wanted.items():
            yield part, work(source, stretch, part[0], settings)
        return
    with _pool(workers) as pool:
        # The slow ones first, so that no core is idle at the end while another has one of them to do.
        order = sorted(wanted, key=lambda part: _SLOW_FIRST.get(part[0], 0))
        with _unheard_interrupts():
            tasks = {pool.submit(work, source, stretch, part[0], wanted[part]): part for part in order}
        for task in as_completed(tasks):
            yield tasks[task], task.result()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # A fork would copy locks that threads of this process hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts)
    try:
        yield pool
    except BaseException:
        # There is no public way before 3.14; a pool that is shut down has forgotten them.
        at_work = list((pool._processes or {}).values())  # noqa: SLF001
        pool.shutdown(wait=False, cancel_futures=True)
        for process in at_work:
            process.terminate()
        raise
    pool.shutdown()


@contextmanager
def _unheard_interrupts() -> Iterator[None]:
    """What is started meanwhile ignores interrupts from its first moment, before it can come to `_leave_interrupts`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_interrupts() -> None:
    """A terminal interrupts every process of a command; the first one ends these."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(source: Source, stretch: Stretch, feature: str, settings: FeatureSettings) -> Sequence[Happened]:
    """Run one feature with one set of settings over a stretch; what a worker process does."""
    kind = next(kind for kind in installed() if kind.name == feature)
    return run(source, stretch, [kind], {kind.section: settings}).events


_SLOW_FIRST: Final[Mapping[str, int]] = {
    "multi_timeframe": -3,
    "correlation_engine": -2,
    "liquidation_cascade": -1,
}


def _place(entry: tuple[int, int, int, Any]) -> tuple[int, int, int]:
    return entry[:3]


def _sections_of(variant: Variant) -> dict[Part, FeatureSettings]:
    kinds: Sequence[type[Feature]] = installed()
    sections = {kind.name: variant.settings.section(kind.section) for kind in kinds}
    return {(name, settings.model_dump_json()): settings for name, settings in sections.items()}


def _parts_of(variant: Variant) -> list[Part]:
    return list(_sections_of(variant))

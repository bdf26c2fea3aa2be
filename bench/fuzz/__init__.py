"""Broken input, without end: what comes from outside is read or refused, and never anything else."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Final

import msgspec
import structlog

from bench.fuzz.frames import FrameTarget, samples
from bench.fuzz.mutation import Mutator
from bench.fuzz.others import ConfigTarget, RestTarget, TapeTarget, in_folder

TARGETS: Final = ("frames", "rest", "config", "tape")
_KEPT: Final = Path("build/fuzz")


class Outcome(msgspec.Struct, frozen=True):
    """What one run did. observed: how many inputs were still read as something."""

    target: str
    given: int
    observed: int | None
    seconds: float


def fuzz(target: str, count: int, seed: int) -> Outcome:
    """Give a target so many inputs. Raises what one of them brought about; it is kept in build/fuzz."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    return asyncio.run(_fuzz(target, count, seed))


async def _fuzz(name: str, count: int, seed: int) -> Outcome:
    with in_folder() as folder:
        target, good = _target(name, Path(folder))
        draw = Mutator(good, seed, structured=name in {"frames", "rest"}).draw
        for sample in good:
            target(sample)
        began = time.monotonic()
        for _ in range(count):
            data = draw()
            try:
                target(data)
            except BaseException:
                _keep(name, data)
                raise
        seconds, observed = time.monotonic() - began, None
        if isinstance(target, FrameTarget):
            observed = target.observed
            await target.close()
        return Outcome(name, count, observed, seconds)


def guided(name: str, runs: int) -> None:
    """Let libFuzzer look for new paths through the same target; ends the process."""
    import atheris  # noqa: PLC0415  # only where it is asked for

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())

    async def explore() -> None:
        with in_folder() as folder:
            target, good = _target(name, Path(folder))
            corpus = Path(folder) / "corpus"
            corpus.mkdir()
            for number, sample in enumerate(good):
                (corpus / str(number)).write_bytes(sample)
            # Ours alone: all of the standard library would take minutes, and lead away.
            for thing in gc.get_objects():
                if isinstance(thing, FunctionType) and str(thing.__module__).startswith("regimes."):
                    atheris.instrument_func(thing)
            atheris.Setup([sys.argv[0], f"-runs={runs}", "-max_len=4096", str(corpus)], target)
            atheris.Fuzz()

    asyncio.run(explore())


def _target(name: str, folder: Path) -> tuple[Callable[[bytes], None], Sequence[bytes]]:
    match name:
        case "frames":
            return FrameTarget(), samples()
        case "rest":
            return RestTarget(), RestTarget.samples
        case "config":
            config = ConfigTarget(folder)
            return config, config.samples
        case "tape":
            tape = TapeTarget(folder)
            return tape, tape.samples
    raise ValueError(f"target must be one of {', '.join(TARGETS)} (got {name!r})")


def _keep(name: str, data: bytes) -> None:
    _KEPT.mkdir(parents=True, exist_ok=True)
    (_KEPT / f"{name}.bin").write_bytes(data)

"""The state that is written with events: of its many parts only those that have changed."""

from collections.abc import Callable, Mapping
from typing import Final

from regimes.engine import HEADER, Engine

WHOLE: Final = "engine"
"""Name of the header of the engine's whole snapshot among the stored states, and what the names of its parts begin with.

It is written every minute.
"""
GIST: Final = "gist/"
"""What the names of the parts of the engine's gist begin with; they are written with each event."""


class States:
    """Remembers what is on disk. `others`: the small states beside the engine's; engine: None while it is not live."""

    def __init__(
        self, others: Callable[[], Mapping[str, bytes]], engine: Callable[[], Engine | None]
    ) -> None:
        self._others = others
        self._engine = engine
        self._stored: dict[str, bytes] = {}
        self._offered: Mapping[str, bytes] = {}

    def take(self, *, whole: bool) -> Mapping[str, bytes]:
        """What has changed since it was last stored. whole: with the engine's whole snapshot."""
        now, engine = dict(self._others()), self._engine()
        if engine is not None:
            now |= {GIST + name: part for name, part in engine.gist().items()}
        if engine is not None and whole:
            now |= {_in_whole(name): part for name, part in engine.whole().items()}
        self._offered = now
        return {name: part for name, part in now.items() if self._stored.get(name) != part}

    def stored(self) -> None:
        """What was last taken is on disk."""
        self._stored.update(self._offered)


def whole_of(state: Mapping[str, bytes]) -> dict[str, bytes]:
    """The parts of the whole snapshot among stored states; empty where there is none."""
    parts = {
        name.removeprefix(f"{WHOLE}/"): part for name, part in state.items() if name.startswith(f"{WHOLE}/")
    }
    return {HEADER: state[WHOLE], **parts} if WHOLE in state else {}


def gist_of(state: Mapping[str, bytes]) -> dict[str, bytes]:
    """The parts of the gist among stored states."""
    return {name.removeprefix(GIST): part for name, part in state.items() if name.startswith(GIST)}


def _in_whole(name: str) -> str:
    return WHOLE if name == HEADER else f"{WHOLE}/{name}"

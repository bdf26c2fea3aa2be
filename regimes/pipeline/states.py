"""The state that is written with events: of its many parts only those that have changed."""

from collections.abc import Callable, Mapping
from typing import Final

from regimes.engine import Engine

WHOLE: Final = "engine"
"""Name of the engine's whole snapshot among the stored states; written every minute."""
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
        self._offered = now
        changed = {name: part for name, part in now.items() if self._stored.get(name) != part}
        if engine is not None and whole:
            changed[WHOLE] = engine.snapshot()
        return changed

    def stored(self) -> None:
        """What was last taken is on disk."""
        self._stored.update(self._offered)

"""How long each feature computes, measured from outside: features themselves know no clock."""

from collections.abc import Sequence
from typing import Any, cast

from regimes.clock import Clock
from regimes.features.base import Feature, Output
from regimes.observations import Observation


def timed(kinds: Sequence[type[Feature]], clock: Clock, seconds: dict[str, float]) -> list[type[Feature]]:
    """The same features; each adds the real seconds of every update to `seconds` under its name."""
    return [_timed(kind, clock, seconds) for kind in kinds]


def _timed(kind: Any, clock: Clock, seconds: dict[str, float]) -> type[Feature]:
    seconds.setdefault(kind.name, 0.0)
    monotonic, name, plain = clock.monotonic, kind.name, kind.update

    def update(self: Any, observation: Observation) -> Output:
        began = monotonic()
        output: Output = plain(self, observation)
        seconds[name] += monotonic() - began
        return output

    return cast(
        "type[Feature]", type(kind.__name__, (kind,), {"update": update, "__module__": kind.__module__})
    )

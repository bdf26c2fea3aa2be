from types import SimpleNamespace
from typing import Any

import pytest

from regimes.feeds.status import StreamStatus
from regimes.web.live import program_state


def stream(*, connected: bool = True) -> StreamStatus:
    return StreamStatus(
        venue="binanceus",
        stream="candle",
        connected=connected,
        age_s=0.1,
        lag_ms=10,
        messages=1,
        poison=0,
        ignored=0,
        gaps=0,
        reconnects=0,
    )


def program(**differs: Any) -> Any:
    """A program in which all is well, but for what differs."""
    usual = {
        "engine": object(),
        "is_live": True,
        "desk": SimpleNamespace(failing_since=None),
        "venue_problems": dict,
    }
    return SimpleNamespace(**{**usual, **differs})


@pytest.mark.parametrize(
    ("differs", "streams", "state"),
    [
        ({}, [stream()], "live"),
        ({}, [], "degraded"),
        ({}, [stream(), stream(connected=False)], "degraded"),
        # All streams there are work, but those of the other venue are not there yet.
        ({"venue_problems": lambda: {"binanceusdm": "not reached yet"}}, [stream()], "degraded"),
        ({"desk": SimpleNamespace(failing_since=1.0)}, [stream()], "degraded"),
        ({"is_live": False}, [stream()], "warming"),
        ({"engine": None, "is_live": False}, [], "starting"),
    ],
)
def test_live_is_said_only_when_nothing_is_missing(
    differs: dict[str, Any], streams: list[StreamStatus], state: str
) -> None:
    assert program_state(program(**differs), streams, closing=False) == state
    assert program_state(program(**differs), streams, closing=True) == "closing"

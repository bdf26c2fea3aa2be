"""Events and packages as the program makes them."""

from typing import Any

import msgspec

from regimes.commands.webhooks.samples import sample
from regimes.config.features import installed
from regimes.engine import Engine
from regimes.events import EventBody, EventType, TrackRecord, body
from regimes.features.base import Universe

NOW_MS = 1_738_000_000_000
RECORD = TrackRecord(
    words="after 41 like this since 2023: 24 h volatility 1.70x usual (CI 1.40 to 2.10); direction: no evidence",
    like_this="VOLATILITY_REGIME HIGH_VOL any symbol",
    n=41,
    few=False,
    since="2023-01-01T00:00:00Z",
    until="2025-01-01T00:00:00Z",
    shipped=True,
)


def told(kind: EventType = EventType.VOLATILITY_REGIME, **changes: Any) -> EventBody:
    """One event of a kind, in the form that is sent."""
    return msgspec.structs.replace(body(sample(kind, NOW_MS)), **{"track_record": RECORD, **changes})


def package() -> dict[str, Any]:
    """A package of a symbol of which nothing is known yet."""
    return Engine.build(installed(), Universe(("BTC/USDT",))).package("BTC/USDT")

"""What the multi-timeframe regime says of one symbol."""

from collections.abc import Sequence
from typing import cast

import msgspec

from regimes.features.base import Reading, Status


class TimeframeReading(msgspec.Struct, frozen=True, gc=False):
    """One timeframe as of its newest closed bar.

    status: `stale` when too few hours of the newest closed bar were there and the bar before still stands;
    `degenerate` when the price did not move. as_of_ms: close of the bar. n: complete bars found of the 20.
    volume_z is None when the bar had no volume, or too few had; heat then rests on the price alone.
    volume_z_seasonal: the same after each volume is divided by what its hours of the week usually trade; it
    enters no state.
    """

    status: Status
    regime: str | None
    price_z: float | None
    volume_z: float | None
    heat: float | None
    as_of_ms: int | None
    n: int
    volume_z_seasonal: float | None


class Provisional(msgspec.Struct, frozen=True, gc=False):
    """The unfinished bar: elapsed share, and its close so far against the 20 closed bars. Enters no state."""

    fraction: float
    price_z: float | None


class RegimeReading(Reading, frozen=True, kw_only=True, gc=False):
    """All timeframes of one symbol; each is also a key of its own, such as `1h_regime`.

    n: complete bars of the timeframe that has most. confidence: agreement_count / timeframes_ok.
    provisional: unfinished bars, apart, as they enter no state. p_persist_24h: calibrated probability that the
    primary regime is the same 24 hours on; None unless 1h, 4h, 1d and 1w are configured and all known.
    """

    primary_regime: str | None
    confidence: float | None
    agreement_count: int
    timeframes_ok: int
    primary_since_ms: int | None
    p_persist_24h: float | None
    timeframes: dict[str, TimeframeReading]
    provisional: dict[str, Provisional]


def reading_type(timeframes: Sequence[str]) -> type[RegimeReading]:
    """The reading with one more field for each timeframe: attribute `regime_1h`, JSON key `1h_regime`."""
    fields = [
        (f"regime_{t}", str | None, msgspec.field(name=f"{t}_regime", default=None)) for t in timeframes
    ]
    made = msgspec.defstruct(
        "RegimeReading", fields, bases=(RegimeReading,), module=__name__, frozen=True, kw_only=True, gc=False
    )
    return cast("type[RegimeReading]", made)

"""Bar lengths: `"1h"` and milliseconds, where a bar begins, and longer bars built from closed hourly ones."""

from collections.abc import Sequence
from typing import Final

import msgspec

from regimes.observations import Candle, Observation

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
# 1970-01-01 was a Thursday; weeks start on Monday 00:00 UTC.
_WEEK_OFFSET_MS: Final = 4 * DAY_MS

_UNITS: Final = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": WEEK_MS}


def to_ms(timeframe: str) -> int:
    """Length of a bar: `"15m"`, `"1h"`, `"4h"`, `"1d"`, `"1w"`.

    Raises ValueError for anything that is not a whole positive number and one of m, h, d, w.
    """
    count, unit = timeframe[:-1], timeframe[-1:]
    if not (count.isascii() and count.isdigit() and int(count) > 0 and unit in _UNITS):
        raise ValueError(f"timeframe must look like 15m, 1h, 4h, 1d or 1w (got {timeframe!r})")
    return int(count) * _UNITS[unit]


def bar_open(ts_ms: int, step_ms: int) -> int:
    """Open time of the bar that holds `ts_ms`; weekly bars begin on Monday 00:00 UTC."""
    offset = _WEEK_OFFSET_MS if step_ms % WEEK_MS == 0 else 0
    return (ts_ms - offset) // step_ms * step_ms + offset


def known_at_ms(observation: Observation) -> int:
    """When an observation could first have been known: a bar at its close, everything else at its own time."""
    if isinstance(observation, Candle):
        return observation.open_ms + to_ms(observation.timeframe)
    return observation.ts_ms


class Span(msgspec.Struct, frozen=True):
    """A bar built from shorter ones, and the share of them that were there."""

    candle: Candle
    coverage: float


def aggregate(candles: Sequence[Candle], timeframe: str) -> Span:
    """Build one longer bar from the closed shorter bars inside it.

    candles: at least one, oldest first, all of one symbol and one shorter timeframe, all inside the same bar.
    """
    first, last = candles[0], candles[-1]
    step, part = to_ms(timeframe), to_ms(first.timeframe)
    open_ms = bar_open(first.open_ms, step)
    if step % part or bar_open(last.open_ms, step) != open_ms:
        raise ValueError(
            f"{first.timeframe} bars from {first.open_ms} to {last.open_ms} do not make one {timeframe} bar"
        )
    quote = [c.quote_volume for c in candles if c.quote_volume is not None]
    taker = [c.taker_buy_volume for c in candles if c.taker_buy_volume is not None]
    whole = Candle(
        venue=first.venue,
        symbol=first.symbol,
        timeframe=timeframe,
        open_ms=open_ms,
        open=first.open,
        high=max(c.high for c in candles),
        low=min(c.low for c in candles),
        close=last.close,
        base_volume=sum(c.base_volume for c in candles),
        quote_volume=sum(quote) if len(quote) == len(candles) else None,
        taker_buy_volume=sum(taker) if len(taker) == len(candles) else None,
    )
    return Span(whole, len(candles) * part / step)

"""Moments and spans of time as people type them."""

import re
from datetime import UTC, datetime
from typing import Final

from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS

_SPAN: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhdw])")
_UNITS_MS: Final = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": WEEK_MS}


def span_ms(text: str) -> int:
    """Milliseconds of `90s`, `30m`, `4h`, `1.5d` or `2w`. Raises ValueError for anything else, and for nothing at all.

    >>> span_ms("4h"), span_ms("1.5d")
    (14400000, 129600000)
    """
    found = _SPAN.fullmatch(text.strip())
    length = round(float(found[1]) * _UNITS_MS[found[2]]) if found else 0
    if not length:
        raise ValueError("a span is written like 90s, 30m, 4h, 1.5d or 2w")
    return length


def moment_ms(text: str, now_ms: int) -> int:
    """A moment in milliseconds UTC: `2025-01-27T13:00Z`, `2025-01-27`, or a span, which means so long ago.

    Without a time zone it is UTC. Raises ValueError for anything else.

    >>> moment_ms("2025-01-27T13:00Z", 0), moment_ms("1h", 7_200_000)
    (1737982800000, 3600000)
    """
    if _SPAN.fullmatch(text.strip()):
        return now_ms - span_ms(text)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("a moment is written like 2025-01-27T13:00Z, or like 4h for so long ago") from None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)

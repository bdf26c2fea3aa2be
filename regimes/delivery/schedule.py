"""When to try again: pure arithmetic, the random number passed in."""

import math
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

CHAT_WAITS_S: Final = (0, 5, 15, 60, 5 * 60, 15 * 60)
"""Before each try. A person reads it soon or not at all."""
JSON_WAITS_S: Final = (0, 5, 30, 2 * 60, 10 * 60, 30 * 60, 2 * 3600, 6 * 3600, 24 * 3600)
"""Before each try. A program wants it even a day later."""
LONGEST_HOLD_S: Final = 3600.0
"""No receiver can silence an endpoint for longer at once."""


def wait_s(waits_s: Sequence[float], tries: int, jitter: float) -> float | None:
    """Seconds until the next try after `tries` of them; None when that was the last.

    jitter: 0 to 1, spreads the wait evenly between nothing and the whole of it ("full jitter"), so that many
    deliveries that failed together do not come back together.
    """
    return waits_s[tries] * jitter if tries < len(waits_s) else None


def retry_after_s(header: str | None, *, now_s: float) -> float | None:
    """Seconds a `Retry-After` asks for: a number, rounded up to whole seconds, or an HTTP date. None if it says neither.

    now_s: Unix time, for dates; one in the past is 0.
    """
    if header is None:
        return None
    text = header.strip()
    try:
        seconds = float(text)
    except ValueError:
        return _until_date_s(text, now_s)
    return float(math.ceil(seconds)) if math.isfinite(seconds) and seconds >= 0 else None


def _until_date_s(text: str, now_s: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_s)


def capped_hold_s(seconds: float) -> float:
    """What a receiver asked for, as far as we obey it."""
    return min(max(seconds, 0.0), LONGEST_HOLD_S)

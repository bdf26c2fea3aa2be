"""What answers mean wherever they come from, and reading their JSON without trusting it."""

from typing import Any, Final

import msgspec

from regimes.delivery.base import Reply, Response, Verdict
from regimes.delivery.schedule import capped_hold_s, retry_after_s

GONE: Final = frozenset({401, 403, 404, 410})
"""The endpoint is not there, or not for us."""


def json_object(response: Response) -> dict[str, Any] | None:
    """The body as a JSON object; None when it is anything else."""
    try:
        value = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None


def seconds(value: Any) -> float | None:
    """A wait from foreign JSON or a header, capped; None when it is no number of seconds."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return capped_hold_s(number) if 0 <= number < float("inf") else None


def asked_hold_s(response: Response, *, now_s: float) -> float | None:
    """How long `Retry-After` asks to wait, capped."""
    wait_s = retry_after_s(response.headers.get("retry-after"), now_s=now_s)
    return None if wait_s is None else capped_hold_s(wait_s)


def by_status(response: Response, *, now_s: float) -> Reply:
    """The reading that holds for every receiver that has no words of its own for it: 2xx alone is success."""
    status = response.status
    if 200 <= status < 300:
        return Reply(verdict=Verdict.DELIVERED)
    if status in GONE:
        return Reply(verdict=Verdict.PARK, note=f"HTTP {status}")
    if 300 <= status < 400:
        return Reply(
            verdict=Verdict.RETRY, note=f"HTTP {status}: redirects are not followed, give the final URL"
        )
    return Reply(verdict=Verdict.RETRY, note=f"HTTP {status}", hold_s=asked_hold_s(response, now_s=now_s))

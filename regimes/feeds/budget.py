"""How much a venue lets us ask by REST: pauses it demands, weight it counted, and limits of single endpoints."""

import asyncio
import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import structlog

_log = structlog.get_logger()

# Without Retry-After: a weight limit resets within the minute, Binance's shortest ban is two minutes.
_DEFAULT_PAUSE_S: Final = {429: 60.0, 418: 120.0}
_MAX_PAUSE_S: Final = 4 * 86_400.0
# Where the venue has counted all the weight we may spend: look again after so long.
_SPENT_PAUSE_S: Final = 10.0
_BANNED_UNTIL: Final = re.compile(r"banned until (\d{13})")


class RestPausedError(Exception):
    """The venue wants no REST request for longer than we wait. seconds: how long from now."""

    def __init__(self, venue: str, seconds: float) -> None:
        super().__init__(f"{venue}: REST paused by the exchange for another {seconds:.0f} s")
        self.seconds = seconds


class RestBudget:
    """One venue's REST allowance. All requests of the venue pass `turn()`; its answers are told to `answered()`."""

    def __init__(
        self, venue: str, *, weight_per_minute: int, wait_max_s: float, monotonic: Callable[[], float]
    ) -> None:
        self.venue = venue
        self.used_weight = 0
        """Weight in the running minute as the venue counts it, other programs behind this address included."""
        self.pauses = 0
        self._limit = weight_per_minute
        self._wait_max_s = wait_max_s
        self._monotonic = monotonic
        self._until = 0.0

    @property
    def paused_for_s(self) -> float:
        """Seconds until the next request may go out."""
        return max(0.0, self._until - self._monotonic())

    async def turn(self) -> None:
        """Wait until a request may go out. Raises RestPausedError when that is longer than the operator waits."""
        while (remaining := self.paused_for_s) > 0:
            if remaining > self._wait_max_s:
                raise RestPausedError(self.venue, remaining)
            await asyncio.sleep(remaining)

    def answered(self, status: int, headers: Mapping[str, str], body: str, *, now_ms: int) -> None:
        """Take what an answer says about limits. now_ms: the exchange's time, for a ban given as a moment."""
        known = {name.lower(): value for name, value in headers.items()}
        self._count(known.get("x-mbx-used-weight-1m"))
        asked = _seconds(known.get("retry-after"))
        if status in _DEFAULT_PAUSE_S:
            ban = _BANNED_UNTIL.search(body)
            until_ban = (int(ban[1]) - now_ms) / 1000 if ban else 0.0
            self._pause(max(asked or 0.0, until_ban) or _DEFAULT_PAUSE_S[status], status)
        elif status >= 500 and asked:
            self._pause(asked, status)

    def _count(self, text: str | None) -> None:
        if text is None or not text.isdecimal():
            return
        self.used_weight = int(text)
        if self.used_weight >= self._limit:
            self._pause(_SPENT_PAUSE_S, 200)

    def _pause(self, seconds: float, status: int) -> None:
        until = self._monotonic() + min(seconds, _MAX_PAUSE_S)
        if until > self._until:
            self._until = until
            self.pauses += 1
            _log.warning(
                "rest_paused",
                venue=self.venue,
                status=status,
                seconds=round(seconds, 1),
                used_weight=self.used_weight,
            )


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; a date or nonsense counts as absent."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


class Pace:
    """At most `count` turns in any `seconds`: for endpoints with a limit of their own."""

    def __init__(self, count: int, seconds: float, *, monotonic: Callable[[], float]) -> None:
        self._count = count
        self._seconds = seconds
        self._monotonic = monotonic
        self._turns: deque[float] = deque()

    async def turn(self, wait_max_s: float = math.inf) -> bool:
        """Wait for the next free turn; False, without waiting, when there is none within `wait_max_s`."""
        while True:
            now = self._monotonic()
            while self._turns and self._turns[0] <= now - self._seconds:
                self._turns.popleft()
            if len(self._turns) < self._count:
                self._turns.append(now)
                return True
            wait_s = self._turns[0] + self._seconds - now
            if wait_s > wait_max_s:
                return False
            await asyncio.sleep(wait_s)

"""REST answers that refuse on demand: too many requests, a ban, a blocked region, a server that is down."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

_HTML_DOWN: Final = "<html><body><h1>{status}</h1></body></html>"
_MESSAGES: Final = {
    418: "Way too many requests; IP banned until {until_ms}.",
    429: "Too many requests; please use the websocket for live updates.",
    451: "Service unavailable from a restricted location.",
}
_CODES: Final = {418: -1003, 429: -1003, 451: 0}


@dataclass(slots=True)
class HttpFault:
    """One standing order to refuse. `path` is the beginning of the paths it covers."""

    status: int
    path: str
    remaining: int | None
    until_s: float
    retry_after_s: int | None


class HttpFaults:
    """Which requests are refused, and how. monotonic: real seconds; now_ms: event time, for the texts."""

    def __init__(self, monotonic: Callable[[], float], now_ms: Callable[[], int]) -> None:
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._standing: list[HttpFault] = []

    def add(
        self,
        status: int,
        *,
        path: str = "/",
        times: int | None = None,
        seconds: float | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """Answer `status` on paths that begin with `path`, for a number of requests, a time, or until `clear`.

        retry_after_s: the Retry-After header; None leaves it out. 5xx answers are HTML, as a gateway's are.
        """
        until_s = float("inf") if seconds is None else self._monotonic() + seconds
        self._standing.append(HttpFault(status, path, times, until_s, retry_after_s))

    def clear(self) -> None:
        """Refuse nothing any more."""
        self._standing.clear()

    def answer(self, path: str) -> web.Response | None:
        """The refusal due to a request; None if it may pass."""
        now_s = self._monotonic()
        self._standing = [f for f in self._standing if f.remaining != 0 and now_s < f.until_s]
        fault = next((f for f in self._standing if path.startswith(f.path)), None)
        if fault is None:
            return None
        if fault.remaining is not None:
            fault.remaining -= 1
        return self.refusal(fault.status, fault.retry_after_s)

    def refusal(self, status: int, retry_after_s: int | None) -> web.Response:
        """A response that refuses as Binance does with that status."""
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if status >= 500:
            text = _HTML_DOWN.format(status=status)
            return web.Response(status=status, text=text, content_type="text/html", headers=headers)
        until_ms = self._now_ms() + 1000 * (retry_after_s or 120)
        message = _MESSAGES.get(status, "Refused.").format(until_ms=until_ms)
        body = msgspec.json.encode({"code": _CODES.get(status, -1000), "msg": message})
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)

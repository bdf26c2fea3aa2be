"""Who may do what: tokens, signed-in browsers, and a brake on guessing."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final

import msgspec

from regimes.web.settings import WebSettings

FREE_FAILURES: Final = 5
BLOCK_S: Final = 30.0
LONGEST_BLOCK_S: Final = 900.0
REMEMBERED: Final = 4_096
MOST_SESSIONS: Final = 200
STATE_KEY: Final = "web_sessions"


class Rights(msgspec.Struct, frozen=True):
    """What a request may do. by: `token`, `session`, or nothing for anybody."""

    read: bool
    write: bool
    by: str = ""


class Sessions(msgspec.Struct, frozen=True):
    """Browsers that have signed in: hashes of their cookies and when each ends, and of the token they know."""

    token: str
    ends_ms: dict[str, int] = {}


class Access:
    """Judges tokens and cookies. Comparisons take the same time whatever is wrong."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._token = _digest(settings.token.get_secret_value()) if settings.token else ""
        self._metrics = _digest(settings.metrics_token.get_secret_value()) if settings.metrics_token else ""
        self._sessions = Sessions(self._token)
        self._brake = Brake()

    @property
    def token_needed(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._token)

    @property
    def writes(self) -> bool:
        """Whether anybody at all may write."""
        return self.token_needed or not self._settings.allow_anonymous_read

    def rights(self, bearer: str, cookie: str, now_ms: int) -> Rights:
        """What somebody with this bearer token and this cookie may do."""
        if not self.token_needed:
            return Rights(read=True, write=self.writes)
        if bearer and self.is_token(bearer):
            return Rights(read=True, write=True, by="token")
        if cookie and self._is_session(cookie, now_ms):
            return Rights(read=True, write=True, by="session")
        return Rights(read=self._settings.allow_anonymous_read, write=False)

    def may_scrape(self, bearer: str) -> bool:
        """Whether somebody with this bearer token may read the metrics."""
        if not (self._metrics or self._token):
            return True
        if self._settings.allow_anonymous_read and not self._metrics:
            return True
        return bool(bearer) and (_same(_digest(bearer), self._metrics) or self.is_token(bearer))

    def is_token(self, text: str) -> bool:
        """Whether this is the token."""
        return _same(_digest(text), self._token)

    # -- browsers -------------------------------------------------------------------------------------------------

    def sign_in(self, now_ms: int) -> str:
        """A new cookie."""
        cookie = secrets.token_urlsafe(32)
        ends = {key: ends_ms for key, ends_ms in self._sessions.ends_ms.items() if ends_ms > now_ms}
        while len(ends) >= MOST_SESSIONS:
            del ends[min(ends, key=ends.__getitem__)]
        ends[_digest(cookie)] = now_ms + int(self._settings.session_days * 86_400_000)
        self._sessions = Sessions(self._token, ends)
        return cookie

    def sign_out(self, cookie: str) -> None:
        """End a browser's session; its cookie is worth nothing from now on."""
        ends = {key: ends_ms for key, ends_ms in self._sessions.ends_ms.items() if key != _digest(cookie)}
        self._sessions = Sessions(self._token, ends)

    def _is_session(self, cookie: str, now_ms: int) -> bool:
        return self._sessions.ends_ms.get(_digest(cookie), 0) > now_ms

    def snapshot(self) -> bytes:
        """Sessions as bytes: hashes only, nothing anybody could sign in with."""
        return msgspec.json.encode(self._sessions)

    def restore(self, stored: bytes) -> None:
        """Take sessions back; those of another token are over."""
        try:
            sessions = msgspec.json.decode(stored, type=Sessions)
        except msgspec.DecodeError:
            return
        if _same(sessions.token, self._token):
            self._sessions = sessions

    # -- guessing -------------------------------------------------------------------------------------------------

    def blocked_s(self, address: str, now: float) -> float:
        """Seconds for which this address has to wait after too many wrong tokens; 0 when it need not."""
        return self._brake.blocked_s(address, now)

    def failed(self, address: str, now: float) -> None:
        """Count a wrong token."""
        self._brake.failed(address, now)

    def succeeded(self, address: str) -> None:
        """Forget the wrong ones of an address."""
        self._brake.succeeded(address)


class Brake:
    """After some failures an address waits, each further time twice as long. Remembers a bounded number of addresses."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def blocked_s(self, address: str, now: float) -> float:
        """Seconds to wait still."""
        count, last = self._failures.get(address, (0, 0.0))
        if count < FREE_FAILURES:
            return 0.0
        wait_s: float = min(BLOCK_S * 2 ** min(count - FREE_FAILURES, 16), LONGEST_BLOCK_S)
        return max(last + wait_s - now, 0.0)

    def failed(self, address: str, now: float) -> None:
        """Count one more."""
        count, last = self._failures.pop(address, (0, now))
        if now - last > LONGEST_BLOCK_S:
            count = 0
        self._failures[address] = (count + 1, now)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Begin anew."""
        self._failures.pop(address, None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _same(one: str, other: str) -> bool:
    return bool(other) and hmac.compare_digest(one, other)

"""Keeps one set of streams coming: dials, watches for silence, backs off, and rotates before the exchange hangs up."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from regimes.clock import Clock
from regimes.feeds.connection import Connection, LostError
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.status import Meter
from regimes.observations import DataKind

_log = structlog.get_logger()

_FIRST_WAIT_S: Final = 0.5
_LOOK_EVERY_S: Final = 1.0
_ROTATION_RETRY_S: Final = 60.0


class Backoff:
    """Waits that double from half a second up to a bound, each shortened by up to half at random."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._attempt = 0

    def next_s(self, asked_s: float | None = None) -> float:
        """Seconds to wait now; never less than the exchange asked for."""
        ceiling = min(self._longest_s, _FIRST_WAIT_S * 2.0**self._attempt)
        self._attempt = min(self._attempt + 1, 16)
        return max(asked_s or 0.0, ceiling * random.uniform(0.5, 1.0))

    def reset(self) -> None:
        """Begin again: the last connection held."""
        self._attempt = 0


class Watcher(Protocol):
    """Told when a line's data begins to flow and when it stops."""

    def line_up(self, line: "Line") -> None:
        """All subscriptions are acknowledged."""
        ...

    def line_down(self, line: "Line", last_heard: float, reason: str) -> None:
        """Data has stopped. last_heard: monotonic seconds of the last frame, or of the acknowledgement before it."""
        ...


class Line:
    """One set of streams on one connection at a time (two while rotating).

    next_url: a websocket URL no other connection of the exchange uses, as ccxt keeps one client a URL.
    meters: one for each kind of data on the line. limits_s: kinds whose silence for so long means a dead line.
    """

    def __init__(
        self,
        exchange: Any,
        name: str,
        streams: Sequence[str],
        *,
        next_url: Callable[[], str],
        meters: Mapping[DataKind, Meter],
        limits_s: Mapping[DataKind, float],
        settings: VenuesSettings,
        clock: Clock,
        watcher: Watcher,
        register: Callable[[str, "Line", Connection], None],
    ) -> None:
        self.name = name
        self.meters = meters
        self.connected = False
        self.held = False
        """True while reading is paused on purpose: silence then says nothing."""
        self.connections: list[Connection] = []
        self._exchange = exchange
        self._streams = streams
        self._next_url = next_url
        self._limits_s = limits_s
        self._settings = settings
        self._clock = clock
        self._watcher = watcher
        self._register = register
        self._ups = 0
        self._resumed_at = 0.0

    async def run(self) -> None:
        """Keep the line up until cancelled. Raises VenueError when the venue will not serve us."""
        backoff = Backoff(self._settings.reconnect_max_seconds)
        try:
            while True:
                wait_s = await self._once(backoff)
                await asyncio.sleep(wait_s)
        finally:
            await self._drop_all()

    async def _once(self, backoff: Backoff) -> float:
        """Dial and serve one connection until it ends; the seconds to wait before the next."""
        try:
            connection = await self._dial()
        except LostError as error:
            wait_s = backoff.next_s(error.retry_after_s)
            _log.warning(
                "stream_not_connected", line=self.name, reason=str(error), retry_in_s=round(wait_s, 1)
            )
            return wait_s
        started = self._clock.monotonic()
        self.connected = True
        self._ups += 1
        self._watcher.line_up(self)
        last, reason = await self._serve(connection)
        self.connected = False
        self._watcher.line_down(self, last.heard_at, reason)
        if self._clock.monotonic() - started > self._settings.reconnect_max_seconds:
            backoff.reset()
        wait_s = backoff.next_s()
        _log.warning("stream_lost", line=self.name, reason=reason, retry_in_s=round(wait_s, 1))
        return wait_s

    async def _dial(self) -> Connection:
        url = self._next_url()
        connection = Connection(self._exchange, url, self._streams)
        self.connections.append(connection)
        self._register(url, self, connection)
        try:
            await connection.open(self._settings.subscribe_timeout_seconds)
        except BaseException:
            await self._drop(connection)
            raise
        connection.opened_at = connection.heard_at = self._clock.monotonic()
        if self.held:
            connection.hold()
        return connection

    async def _serve(self, connection: Connection) -> tuple[Connection, str]:
        """Watch until the line is lost, replacing the connection whenever its time has come."""
        rotate_at = connection.opened_at + self._settings.rotate_after_hours * 3600
        while True:
            reason = await self._watch(connection, rotate_at)
            if reason is not None:
                await self._drop(connection)
                return connection, reason
            fresh = await self._replace(connection)
            if fresh is None:
                rotate_at = self._clock.monotonic() + _ROTATION_RETRY_S
            else:
                connection = fresh
                rotate_at = connection.opened_at + self._settings.rotate_after_hours * 3600

    async def _watch(self, connection: Connection, until: float) -> str | None:
        """Why the connection is lost, or None when it is time to rotate."""
        look_s = min(_LOOK_EVERY_S, *(limit / 4 for limit in self._limits_s.values()), 3600.0)
        while (left := until - self._clock.monotonic()) > 0:
            if await connection.ended(min(look_s, left)):
                return connection.end_reason
            silent = self._silent(connection)
            if silent is not None:
                return silent
        return None

    def _silent(self, connection: Connection) -> str | None:
        if self.held:
            return None
        now = self._clock.monotonic()
        for kind, limit in self._limits_s.items():
            quiet = now - max(connection.opened_at, self.meters[kind].heard_at, self._resumed_at)
            if quiet > limit:
                return f"no {kind} data for {quiet:.1f} s"
        return None

    async def _replace(self, old: Connection) -> Connection | None:
        """Open a second connection, wait until it delivers, close the first. None when that did not work."""
        try:
            fresh = await self._dial()
        except LostError as error:
            _log.warning("rotation_failed", line=self.name, reason=str(error))
            return None
        if not old.alive:
            self._watcher.line_down(self, old.heard_at, old.end_reason)
            self._watcher.line_up(self)
        try:
            async with asyncio.timeout(max(self._limits_s.values(), default=_ROTATION_RETRY_S)):
                await fresh.delivered.wait()
        except TimeoutError:
            await self._drop(fresh)
            _log.warning("rotation_failed", line=self.name, reason="the new connection delivered nothing")
            return None
        await self._drop(old)
        _log.info("connection_rotated", line=self.name)
        return fresh

    @property
    def reconnects(self) -> int:
        """How often the line came back after it was lost."""
        return max(0, self._ups - 1)

    def hold(self) -> None:
        """Stop reading every connection of the line."""
        self.held = True
        for connection in self.connections:
            connection.hold()

    def release(self) -> None:
        """Read on; silence counts from now."""
        self.held = False
        self._resumed_at = self._clock.monotonic()
        for connection in self.connections:
            if not self.held:
                connection.release()

    async def _drop(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
        await connection.close()

    async def _drop_all(self) -> None:
        self.connected = False
        for connection in list(self.connections):
            await self._drop(connection)

"""The event stream: one source, many readers, each frame encoded once and written straight to each transport.

Events stand in one shared log; a reader is a position in it, so that a slow one costs nothing. One that has fallen
out of the log, or comes back with `Last-Event-ID`, goes on from storage. Readings conflate: a reader that is behind
gets the newest state when it has caught up, and is told how much it missed.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog

from regimes.clock import SystemClock
from regimes.events import EventBody
from regimes.web.channel import Channel
from regimes.web.client import Client, View, offer
from regimes.web.frames import HEARTBEAT, RETRY_MS, frame, parse_state, retry, state_of
from regimes.web.live import Live
from regimes.web.log import EventLog
from regimes.web.shapes import Features, Market
from regimes.web.source import Turn, WebSource
from regimes.web.stored import PAGE, StoredStates

TURN_CLIENTS: Final = 50
PERIOD_S: Final = 0.25
STATUS_S: Final = 5.0
LOOK_S: Final = 1.0
HEARTBEAT_S: Final = 15.0
STUCK_S: Final = 60.0
BEGIN_S: Final = 2.0
SETTLED_S: Final = 5.0
"""For so long what was read from storage may still be told by the program too."""
APART_MS: Final = 10
LATEST_MS: Final = 12_000
_NOTHING_YET: Final = Features(
    timestamp="1970-01-01T00:00:00Z",
    market=Market("NORMAL", "nothing is known yet", [], []),
    packages={},
    prices={},
)
_log = structlog.get_logger(__name__)


class HubCounts(msgspec.Struct):
    """Since the start. deliveries: frames given to clients. conflated: readings left out for slow ones. stuck: cut off."""

    deliveries: int = 0
    conflated: int = 0
    stuck: int = 0
    resumed: int = 0


class Hub:
    """`took` and `wrote` are called by the running program, `join` by a request; `run` does the rest."""

    def __init__(self, source: WebSource, live: Live) -> None:
        self.counts = HubCounts()
        self.log = EventLog()
        self._source = source
        self._live = live
        self._real = SystemClock()
        self._clients: dict[Client, None] = {}
        self._channels: dict[View, Channel] = {}
        self._wake = asyncio.Event()
        self._stored = StoredStates(source.storage)
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: tuple[Any, ...] = ()
        self._told_at = self._looked_at = self._beaten_at = self._real.monotonic()

    @property
    def clients(self) -> int:
        """Streams that are open."""
        return len(self._clients)

    # -- what the program tells -----------------------------------------------------------------------------------

    def took(self, turn: Turn) -> None:
        """Take note of a turn of the engine, after `Live` has; quick, as it runs inside it."""
        if turn.liquidations:
            for channel in self._channels.values():
                channel.tape.add(turn.liquidations)

    def wrote(self, events: Iterable[EventBody]) -> None:
        """Take states that have just become durable, in order."""
        for event in events:
            self.log.add(event)
        self._wake.set()

    # -- what readers do ------------------------------------------------------------------------------------------

    async def join(self, transport: asyncio.Transport, view: View, last_state: str) -> Client:
        """Give a reader its snapshot, then what it missed, then everything new. last_state: where it left off."""
        client = Client(transport, view, self.log.head, self.log.state)
        client.resuming = True  # events wait until the snapshot is out
        self._clients[client] = None
        with suppress(TimeoutError):
            async with asyncio.timeout(BEGIN_S):
                await self._stored.begun.wait()
        known = parse_state(last_state)
        asked = None if known is None else asyncio.create_task(self._stored.page(*known))
        if asked is not None:
            # A database that is away keeps nobody from seeing the present state.
            await asyncio.wait({asked}, timeout=BEGIN_S)
        is_lost = bool(last_state) and (asked is None or (asked.done() and asked.result() is None))
        symbols = self._shown(view)
        await self._live.encode(symbols)
        self._greet(client, symbols, resume="lost" if is_lost else "resumed" if last_state else "fresh")
        if asked is None or is_lost:
            client.resuming = False
            self._go_on(client)
        else:
            self._start(self._bring_back(client, asked))
        return client

    def leave(self, client: Client) -> None:
        """Forget a reader."""
        self._clients.pop(client, None)
        channel = self._channels.get(client.view)
        if channel is not None:
            channel.remove(client)
            if channel.is_empty:
                del self._channels[client.view]
        client.end()

    # -- the work -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until cancelled."""
        self._start(self._stored.begin(self.log))
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.serve()
            except Exception:  # noqa: BLE001  # whatever it is
                # Alerts and the other pages go on; the next round may well succeed.
                _log.exception("stream_round_failed")

    async def serve(self) -> None:
        """One round: events first, then readings, how live it all is, a sign of life; and those that are behind."""
        now = self._real.monotonic()
        for channel in [*self._channels.values()]:
            await self._give_events(channel)
            for client in [*channel.apart]:
                self._go_on(client)
        also = self._to_all(now)
        for channel in [*self._channels.values()]:
            await self._give_readings(channel, [*await channel.due(self._live, now), *also])
            for client in [*channel.behind]:
                await self._attend(channel, client, now)

    async def close(self) -> None:
        """Say goodbye to every reader, and when to come back: not all at once."""
        last = frame("status", self._live.status(closing=True))
        for number, client in enumerate([*self._clients]):
            if not client.is_full:
                client.write(retry(min(RETRY_MS + number * APART_MS, LATEST_MS)) + last)
            client.end()
        for task in self._tasks:
            task.cancel()

    def _greet(self, client: Client, symbols: list[str], *, resume: str) -> None:
        """Write the snapshot and let the reader into its channel, with nothing in between."""
        channel = self._channel(client.view)
        whole = channel.whole(self._live, self.log, self._real.monotonic())
        if resume not in whole.frames:
            whole.frames[resume] = self._snapshot(client.view, symbols, resume, whole.state)
        if resume != "resumed":
            client.cursor, client.state = whole.cursor, whole.state
        client.write(whole.frames[resume])
        self.counts.deliveries += 1
        channel.put(client)

    def _snapshot(self, view: View, symbols: list[str], resume: str, state: str) -> bytes:
        shown = [event for event in self.log.open_events.values() if view.shows_event(event)]
        whole = {
            "resume": resume,
            "status": self._live.status(),
            "features": self._live.features(symbols) if symbols else _NOTHING_YET,
            "open_events": shown,
        }
        return frame("snapshot", whole, state if resume != "resumed" else "")

    def _channel(self, view: View) -> Channel:
        found = self._channels.get(view)
        if found is None:
            found = self._channels[view] = Channel(view, self._live.turn, self.log.head, self.log.state)
        return found

    def _shown(self, view: View) -> list[str]:
        if self._source.engine is None:
            return []
        return [symbol for symbol in self._live.symbols() if view.shows(symbol)]

    async def _give_events(self, channel: Channel) -> None:
        """Give those in step what is new in the log."""
        place = channel.cursor, channel.state
        if channel.cursor < self.log.oldest:
            channel.cursor, channel.state = self.log.head, self.log.state
            for client in [*channel.in_step]:
                channel.halt(client, *place)
        for part in channel.parts(self.log):
            # First, so that a reader that comes in meanwhile knows whether it still needs this part.
            channel.cursor, channel.state = part.cursor, part.state
            for client in await self._give(channel.in_step, part.made, part.frames):
                channel.halt(client, *place)
                self._is_behind(client)
            place = part.cursor, part.state

    async def _give_readings(self, channel: Channel, frames: list[bytes]) -> None:
        """Give everybody who takes what he is given."""
        behind = [*channel.behind]
        behind += await self._give({**channel.in_step, **channel.apart}, b"".join(frames), len(frames))
        for client in behind:
            client.conflated += len(frames)
            channel.halt(client, channel.cursor, channel.state)
            self._is_behind(client)
        self.counts.conflated += len(behind) * len(frames)

    async def _give(self, clients: Iterable[Client], made: bytes, frames: int) -> list[Client]:
        """Write to each reader, other tasks get a turn after some; those that did not take it."""
        refused: list[Client] = []
        everybody = [*clients] if made else []
        for start in range(0, len(everybody), TURN_CLIENTS):
            if start:
                await asyncio.sleep(0)
            refused += offer(made, everybody[start : start + TURN_CLIENTS])
        self.counts.deliveries += (len(everybody) - len(refused)) * frames
        return refused

    def _go_on(self, client: Client) -> None:
        """Give a reader that is apart what those in step have been given; then it is one of them."""
        if client not in self._clients or client.resuming or client.behind_since is not None:
            return
        channel, log = self._channel(client.view), self.log
        if client.cursor < log.oldest:
            client.resuming, client.cursor = True, log.head
            self._start(self._bring_back(client, self._stored.after(client.state)))
            return
        for entry in log.since(client.cursor, channel.cursor):
            if client.is_full:
                self._is_behind(client)
                return
            if entry.state not in client.skipped and client.view.shows_event(entry.event):
                client.write(entry.frame)
                self.counts.deliveries += 1
            client.cursor += 1
            client.state = entry.state
        if client.skipped and self._real.monotonic() - client.resumed_at > SETTLED_S:
            client.skipped = frozenset()
        channel.put(client)

    def _is_behind(self, client: Client) -> None:
        if client.behind_since is None and client in self._clients:
            client.behind_since = self._real.monotonic()
            self._channel(client.view).put(client)

    async def _attend(self, channel: Channel, client: Client, now: float) -> None:
        """See whether a reader that was behind has caught up, or never will."""
        if client.is_eased and not client.is_closing():
            symbols = self._shown(client.view)
            await self._live.encode(symbols)
            delayed = self.log.head - client.cursor
            status = self._live.status(conflated=client.conflated, delayed_events=delayed)
            client.behind_since, client.conflated = None, 0
            client.write(frame("status", status))
            if symbols:
                client.write(self._all_features(channel, symbols))
            channel.put(client)
            self._go_on(client)
        elif client.behind_since is not None and now - client.behind_since > STUCK_S:
            self.counts.stuck += 1
            client.abort()
            self.leave(client)

    def _all_features(self, channel: Channel, symbols: list[str]) -> bytes:
        frames = channel.whole(self._live, self.log, self._real.monotonic()).frames
        if "features" not in frames:
            frames["features"] = frame("features", self._live.features(symbols))
        return frames["features"]

    def _to_all(self, now: float) -> list[bytes]:
        """What everybody gets now and then: how live everything is, a sign of life. Those that went are forgotten."""
        frames: list[bytes] = []
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            for client in [client for client in self._clients if client.is_closing()]:
                self.leave(client)
            frames += self._status(now)
        if now - self._beaten_at >= HEARTBEAT_S:
            self._beaten_at = now
            frames.append(HEARTBEAT)
        return frames

    def _status(self, now: float) -> list[bytes]:
        if not self._clients:
            return []
        status = self._live.status()
        connected = [stream.connected for stream in status.streams]
        gist = (status.state, status.problems, connected, status.progress, status.market)
        if gist == self._told and now - self._told_at < STATUS_S:
            return []
        self._told, self._told_at = gist, now
        return [frame("status", status)]

    # -- from storage ---------------------------------------------------------------------------------------------

    async def _bring_back(self, client: Client, asked: Awaitable[list[EventBody] | None]) -> None:
        """Give a reader what it missed, and let it go on with the log; where storage cannot, it begins anew."""
        try:
            missed = await asked
            if missed is None and not client.is_closing():
                self._greet(client, self._shown(client.view), resume="lost")
            await self._catch_up(client, missed or [])
        except Exception:  # noqa: BLE001  # whatever it is
            # It will come again and say where it was.
            _log.exception("stream_resume_failed")
            client.abort()

    async def _catch_up(self, client: Client, page: list[EventBody]) -> None:
        """Write what was missed, page by page, as fast as it is taken; then events from the log, none of these again."""
        self.counts.resumed += 1
        written: deque[str] = deque(maxlen=2 * PAGE)
        while page and not client.is_closing():
            for event in page:
                await self._give_missed(client, event)
                written.append(client.state)
            full = len(page) == PAGE
            page = (await self._stored.page(page[-1].id, page[-1].revision) or []) if full else []
        client.skipped, client.resumed_at = frozenset(written), self._real.monotonic()
        client.resuming = False
        self._go_on(client)

    async def _give_missed(self, client: Client, event: EventBody) -> None:
        while client.is_full and not client.is_closing():
            self._is_behind(client)
            await asyncio.sleep(PERIOD_S)
        client.state = state_of(event)
        if client.view.shows_event(event):
            client.write(frame("event", event, client.state))
            self.counts.deliveries += 1

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

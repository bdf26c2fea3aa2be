"""One websocket connection: dial, subscribe, be acknowledged, end."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from regimes.errors import DataError
from regimes.feeds.client import CLOSED, ack, blocked_region

MAX_FRAME_BYTES: Final = 4096
"""Binance answers a longer SUBSCRIBE frame with silence."""
MAX_FRAME_STREAMS: Final = 200
_BETWEEN_FRAMES_S: Final = 0.25
_GOODBYE_S: Final = 2.0


class LostError(Exception):
    """A connection could not be made, was refused, or ended. retry_after_s: what the exchange asked for, if it did."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def subscribe_frames(streams: Sequence[str]) -> Iterator[list[str]]:
    """Cut a list of streams into groups that each fit one SUBSCRIBE frame, in order."""
    group: list[str] = []
    for stream in streams:
        if group and (
            len(group) >= MAX_FRAME_STREAMS
            or len(_subscribe([*group, stream], _LONGEST_ID)) > MAX_FRAME_BYTES
        ):
            yield group
            group = []
        group.append(stream)
    if group:
        yield group


_LONGEST_ID: Final = 999_999_999


def _subscribe(streams: Sequence[str], request_id: int) -> bytes:
    return msgspec.json.encode({"method": "SUBSCRIBE", "params": streams, "id": request_id})


class Connection:
    """One socket with its subscriptions. Whatever goes wrong while opening raises LostError, or VenueError for 451."""

    def __init__(self, exchange: Any, url: str, streams: Sequence[str]) -> None:
        self.url = url
        self.delivered = asyncio.Event()
        """Set at the first data frame."""
        self.opened_at = 0.0
        """When all subscriptions were acknowledged, seconds of the clock's monotonic()."""
        self.heard_at = 0.0
        """When the last data frame came, seconds of the clock's monotonic()."""
        self._exchange = exchange
        self._streams = streams
        self._client: Any = exchange.client(url)
        self._ended = _watched(self._client.future(CLOSED))

    @property
    def alive(self) -> bool:
        """Whether the socket is open as far as anyone can know."""
        return not self._ended.done()

    async def open(self, timeout_s: float) -> None:
        """Dial, subscribe, and wait for every acknowledgement."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._dial()
            await self._subscribe_all(timeout_s)
        except TimeoutError:
            raise LostError(f"no answer within {timeout_s:g} s") from None

    async def _dial(self) -> None:
        await self._client.open(self._exchange.session)
        _heed_cancellation()
        if not self._client.isConnected:
            raise self._failure(self._client.error)

    async def _subscribe_all(self, timeout_s: float) -> None:
        answers = []
        for number, streams in enumerate(subscribe_frames(self._streams)):
            if number:
                await asyncio.sleep(_BETWEEN_FRAMES_S)
            answers.append(await self._send(streams))
        waiting: set[asyncio.Future[Any]] = set(answers)
        async with asyncio.timeout(timeout_s):
            while waiting:
                done, _ = await asyncio.wait({*waiting, self._ended}, return_when=asyncio.FIRST_COMPLETED)
                if self._ended in done:
                    raise LostError(self.end_reason)
                for answer in done:
                    _raise_refusal(answer)
                waiting -= done

    async def _send(self, streams: Sequence[str]) -> asyncio.Future[Any]:
        request_id: int = self._exchange.request_id(self.url)
        answer = _watched(self._client.future(ack(request_id)))
        try:
            await self._client.send(_subscribe(streams, request_id).decode())
        except (ConnectionError, OSError) as error:
            raise LostError(f"closed while subscribing: {error}") from error
        _heed_cancellation()
        return answer

    def _failure(self, error: object) -> Exception:
        cause = error.args[0] if isinstance(error, Exception) and error.args else error
        if getattr(cause, "status", None) == 451:
            return blocked_region(self._exchange.id, self.url)
        return LostError(f"{type(cause).__name__}: {cause}", self._client.last_retry_after)

    async def ended(self, timeout_s: float) -> bool:
        """Wait up to so long for the end; True when it has come."""
        await asyncio.wait({self._ended}, timeout=timeout_s)
        return self._ended.done()

    @property
    def end_reason(self) -> str:
        """Why it ended, in the exchange's or the network's words."""
        if not self._ended.done() or self._ended.cancelled():
            return "closed"
        return str(self._ended.exception() or "closed")

    def hold(self) -> None:
        """Stop reading, so that the exchange's data waits in TCP."""
        self._client.gate.hold()

    def release(self) -> None:
        """Read on."""
        self._client.gate.release()

    async def close(self) -> None:
        """End it, politely for a moment and then at once."""
        if self._exchange.clients.get(self.url) is self._client:
            del self._exchange.clients[self.url]
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._client.close()
        self._client.gate.close()


def _heed_cancellation() -> None:
    """End here if this task was told to: ccxt's `wait_for` forgets it when the answer comes in the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _watched(future: Any) -> "asyncio.Future[Any]":
    """Mark a future's error as seen, since not every one is awaited to the end."""

    def seen(done: "asyncio.Future[Any]") -> None:
        if not done.cancelled():
            done.exception()

    future.add_done_callback(seen)
    watched: asyncio.Future[Any] = future
    return watched


def _raise_refusal(answer: "asyncio.Future[Any]") -> None:
    if answer.cancelled():
        raise LostError("closed while subscribing")
    error = answer.exception()
    if isinstance(error, DataError):
        raise LostError(str(error)) from error
    if error is not None:
        raise LostError(f"closed while subscribing: {error}") from error

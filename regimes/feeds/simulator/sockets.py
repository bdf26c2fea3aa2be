"""The websocket side of the exchange: dialling in, SUBSCRIBE and its kin, pings."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from regimes.feeds.simulator.connections import Connection, Hub, websocket_frame
from regimes.feeds.simulator.faults import Faults
from regimes.feeds.simulator.topics import Route

if TYPE_CHECKING:
    from asyncio import Transport

_MAX_REQUEST_BYTES: Final = 4096
_MAX_REQUESTS_A_SECOND: Final = 10


class _Request(msgspec.Struct):
    """What a client may ask for on a websocket."""

    method: Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"]
    id: int | str | None = None
    params: list[str] = []


class SocketServer:
    """Serves websocket connections until they end. monotonic: real seconds."""

    def __init__(self, hub: Hub, faults: Faults, monotonic: Callable[[], float]) -> None:
        self._hub = hub
        self._faults = faults
        self._monotonic = monotonic

    async def serve(self, request: web.Request, route: Route, *, combined: bool) -> web.WebSocketResponse:
        """Handle one connection, from the handshake to its end."""
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=2**20)
        # A client may hang up at any moment, and there is nobody to tell then.
        with suppress(ConnectionResetError):
            await socket.prepare(request)
            await self._converse(socket, request, route, combined=combined)
        return socket

    async def _converse(
        self, socket: web.WebSocketResponse, request: web.Request, route: Route, *, combined: bool
    ) -> None:
        connection = Connection(socket, cast("Transport", request.transport), route, combined=combined)
        self._faults.greet(connection)
        self._hub.add(connection)
        self._hub.subscribe(connection, filter(None, request.query.get("streams", "").split("/")))
        asked: deque[float] = deque(maxlen=_MAX_REQUESTS_A_SECOND)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and self._too_many(asked):
                    await connection.close(1008)
                    break
                await self._receive(connection, message)
        finally:
            self._hub.remove(connection)

    def _too_many(self, asked: deque[float]) -> bool:
        now_s = self._monotonic()
        full = len(asked) == _MAX_REQUESTS_A_SECOND and now_s - asked[0] < 1
        asked.append(now_s)
        return full

    async def _receive(self, connection: Connection, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await connection.socket.pong(message.data)
        elif message.type is WSMsgType.TEXT:
            self._request(connection, message.data)

    def _request(self, connection: Connection, text: str) -> None:
        """Answer one request; too large a one, and any on the abandoned path, get silence."""
        if connection.route == "legacy" or len(text.encode()) > _MAX_REQUEST_BYTES:
            return
        answer = self._answer(connection, text)
        if answer is not None:
            kind = "error" if "error" in answer else "ack"
            if connection.queue(websocket_frame(msgspec.json.encode(answer))):
                self._hub.sent.frames[kind] += 1
            connection.flush()

    def _answer(self, connection: Connection, text: str) -> dict[str, Any] | None:
        try:
            asked = msgspec.json.decode(text, type=_Request)
        except msgspec.DecodeError as error:
            code = 2 if isinstance(error, msgspec.ValidationError) else 3
            return _refusal(code, f"Invalid request: {error}", None)
        return self._obey(connection, asked)

    def _obey(self, connection: Connection, asked: _Request) -> dict[str, Any] | None:
        """Do what was asked; None where Binance says nothing."""
        result: list[str] | None = None
        match asked.method:
            case "SUBSCRIBE":
                if not self._faults.takes_subscription():
                    return _refusal(2, "Invalid request: invalid stream", asked.id)
                if not self._hub.subscribe(connection, asked.params):
                    return None
            case "UNSUBSCRIBE":
                self._hub.unsubscribe(connection, asked.params)
            case "LIST_SUBSCRIPTIONS":
                result = list(connection.topics)
        return {"result": result, "id": asked.id}


def _refusal(code: int, message: str, number: Any) -> dict[str, Any]:
    return {"error": {"code": code, "msg": message}, "id": number}

"""ccxt.pro exchanges that hand over every frame as it arrives.

ccxt keeps markets, URLs, REST, sockets, pings and pacing. Its `watch_*` calls return one event an await and lose the
rest of a burst, and one frame that cannot be read ends its receive loop without a word. So frames are taken before
they reach its handlers and passed on at once, and whatever a frame brings about stays inside the gate.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
from aiohttp import WSMsgType

from regimes.clock import Clock
from regimes.errors import DataError, VenueError
from regimes.feeds.budget import RestBudget
from regimes.feeds.exchanges import pro
from regimes.feeds.settings import VenuesSettings

DERIVATIVES: Final = frozenset({"binanceusdm"})
# Looked up once, as each frame needs them.
_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_decode: Final = msgspec.json.decode
CLOSED: Final = "closed"
"""Name of the future of a client that ends when its connection does."""


class Tap(Protocol):
    """Takes frames of one venue, synchronously. What it raises is counted as a poison frame."""

    def take(self, url: str, frame: str | bytes) -> bool:
        """Take a frame as it came, if it looks as usual; False, and it comes again, decoded."""
        ...

    def liquidation(self, url: str, frame: dict[str, Any]) -> None: ...

    def candle(self, url: str, frame: dict[str, Any]) -> None: ...

    def mark_prices(self, url: str, frames: list[Any]) -> None: ...

    def ignored(self, url: str, event: object) -> None:
        """An event of a type nobody asked for."""
        ...

    def poison(self, url: str, error: Exception, raw: object) -> None:
        """A frame could not be used; the connection goes on."""
        ...


def ack(request_id: int) -> str:
    """Name of the future that a subscription's answer resolves."""
    return f"ack:{request_id}"


class Tapping:
    """What is laid over a ccxt.pro exchange: frames passed on, one REST gate, one ear for limits."""

    id: str
    clients: dict[str, Any]
    tap: Tap
    budget: RestBudget
    now_ms: Callable[[], int]

    def client(self, url: str) -> Any:
        """The websocket client of a URL, with a gate before its handlers."""
        known = url in self.clients
        client = super().client(url)  # type: ignore[misc]  # ccxt's, which is not typed
        if not known:
            client.gate = Gate(client, self)
        return client

    def handle_message(self, client: Any, message: Any) -> None:
        """Route one decoded frame; raises DataError for what is no frame."""
        payload = message.get("data", message) if type(message) is dict else message
        if type(payload) is list:
            self.tap.mark_prices(client.url, payload)
            return
        if type(payload) is not dict:
            raise DataError(f"a frame must be a JSON object or array (got {type(payload).__name__})")
        event = payload.get("e")
        if event == "forceOrder":
            self.tap.liquidation(client.url, payload)
        elif event == "kline":
            self.tap.candle(client.url, payload)
        elif event == "markPriceUpdate":
            self.tap.mark_prices(client.url, [payload])
        elif event is None and ("id" in payload or "error" in payload):
            self._answer(client, payload)
        else:
            self.tap.ignored(client.url, event)

    def _answer(self, client: Any, message: dict[str, Any]) -> None:
        if message.get("error") is None and "code" not in message:
            if "id" not in message:
                raise DataError("an answer must say to which request it is (id)")
            client.resolve(message, ack(message["id"]))
            return
        refusal = DataError(f"{self.id} rejected a subscription: {str(message.get('error', message))[:200]}")
        pending = [name for name in client.futures if name.startswith("ack:")]
        ours = ack(message["id"]) if message.get("id") is not None else None
        for name in [ours] if ours in pending else pending:
            client.reject(refusal, name)

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """Send one REST request when the venue's limits let it."""
        await self.budget.turn()
        return await super().fetch(url, method, headers, body)  # type: ignore[misc]  # ccxt's

    def handle_errors(
        self, code: int, reason: str, url: str, method: str, headers: Mapping[str, str], body: str, *rest: Any
    ) -> Any:
        """Learn the limits from every answer; ccxt then raises what it raises."""
        self.budget.answered(code, headers, body or "", now_ms=self.now_ms())
        if code == 451:
            raise blocked_region(self.id, url)
        return super().handle_errors(code, reason, url, method, headers, body, *rest)  # type: ignore[misc]  # ccxt's


class Gate:
    """Stands in place of a ccxt client's receive loop, which makes a task for each message and ends at the first exception.

    It lets nothing raise. And it can be held: then it takes no message, aiohttp's buffer fills, and TCP holds the exchange
    back. Held for longer than two keep-alives, the connection counts as dead, as its pongs are not read either.
    """

    def __init__(self, client: Any, exchange: Any) -> None:
        self._client = client
        self._exchange = exchange
        self._open = asyncio.Event()
        self._open.set()
        self._pumping: asyncio.Task[None] | None = None
        client.receive_loop = self._begin

    def hold(self) -> None:
        """Let no further message through."""
        self._open.clear()

    def release(self) -> None:
        """Go on where it was held."""
        self._open.set()

    def close(self) -> None:
        """Let nothing through any more."""
        if self._pumping is not None:
            self._pumping.cancel()

    def _begin(self) -> None:
        self._pumping = asyncio.create_task(self._pump())

    async def _pump(self) -> None:
        """Take messages until the connection ends."""
        client = self._client
        receive = client.connection.receive
        try:
            while not client.closed():
                message = await receive()
                if not self._open.is_set():
                    await self._open.wait()
                self.take(message)
            client.on_close(1006)
        except Exception as error:  # noqa: BLE001 - whatever ends the connection is said to who watches it
            client.reject(error)

    def take(self, message: Any) -> None:
        """Take one message of the websocket, whatever it is."""
        try:
            if message.type is not _TEXT and message.type is not _BINARY:
                self._client.handle_message(message)
            elif not self._exchange.tap.take(self._client.url, message.data):
                self._exchange.handle_message(self._client, _decode(message.data))
        except Exception as error:  # noqa: BLE001 - any frame, any defect: counted, shown, survived
            self._exchange.tap.poison(self._client.url, error, message.data)


def blocked_region(venue: str, url: str) -> VenueError:
    """The error for HTTP 451: final for this venue, no harm to others."""
    host = urlsplit(url).netloc
    return VenueError(
        f"{venue}: blocked region: {host} answers HTTP 451 to this address. "
        "Set venues.spot or venues.derivatives to a venue that serves you, or run from elsewhere"
    )


def build_exchange(venue: str, settings: VenuesSettings, clock: Clock) -> Any:
    """Make one ccxt.pro exchange whose only hosts are those of its public data.

    venue: a ccxt id. The caller sets `tap`, and closes the exchange after its last connection.
    """
    derivatives = venue in DERIVATIVES
    weight = settings.rest_weight_per_minute
    exchange: Any = type(venue, (Tapping, getattr(pro, venue)), {})(
        {
            "apiKey": settings.api_key.get_secret_value() if settings.api_key else "",
            "secret": settings.secret.get_secret_value() if settings.secret else "",
            "timeout": int(settings.rest_timeout_seconds * 1000),
            "rateLimit": 60_000 / weight,
            # A tenth of the minute may go out at once; the rest is spread.
            "tokenBucket": {"capacity": weight / 10, "tokens": weight / 10},
            **_proxies(settings),
            "options": {"fetchCurrencies": False, "fetchMargins": False, "ws": {"cost": 5, "compress": 0}},
        }
    )
    exchange.streaming = {**exchange.streaming, "keepAlive": int(settings.keep_alive_seconds * 1000)}
    exchange.urls["api"] = _hosts(
        exchange.urls["api"], derivatives=derivatives, base_url=_base_url(venue, settings)
    )
    exchange.budget = RestBudget(
        venue, weight_per_minute=weight, wait_max_s=settings.rest_wait_max_seconds, monotonic=clock.monotonic
    )
    exchange.now_ms = clock.now_ms
    return exchange


def _proxies(settings: VenuesSettings) -> dict[str, str]:
    """One for REST and one for sockets; ccxt uses them whatever the scheme of what is asked for."""
    if settings.proxy is None:
        return {}
    url = settings.proxy.get_secret_value()
    return {"httpsProxy": url, "wssProxy": url}


def _base_url(venue: str, settings: VenuesSettings) -> str:
    return settings.derivatives_url if venue in DERIVATIVES else settings.spot_url


def _hosts(known: Mapping[str, Any], *, derivatives: bool, base_url: str) -> dict[str, Any]:
    """Keep the hosts of public data alone, so that no call can dial another one; put `base_url` in their place."""
    rest, socket = ("fapiPublic", "linear") if derivatives else ("public", "spot")
    if not base_url:
        return {rest: known[rest], "ws": {socket: known["ws"][socket]}}
    path, stream = ("/fapi/v1", "/ws") if derivatives else ("/api/v3", "/stream")
    return {rest: base_url + path, "ws": {socket: "ws" + base_url.removeprefix("http") + stream}}

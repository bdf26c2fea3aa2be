"""What can be made to go wrong on demand, from a test in the same process or through the control endpoint."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Literal, TypeAlias

from regimes.clock import Clock
from regimes.feeds.simulator import frames
from regimes.feeds.simulator.connections import Connection, Hub, Message, Mute
from regimes.feeds.simulator.http_faults import HttpFaults
from regimes.feeds.simulator.malformed import malformed_frame
from regimes.feeds.simulator.source import ForcedOrder, MarketSource, OrderSide, Venue

Where: TypeAlias = Literal["all", "spot", "market", "public", "legacy"]
"""Which connections a fault strikes: all, or those of one websocket path."""
_BURST_SIZES: Final = 200
"""Quantities in a burst before the price goes up a tick: so no two of its orders are the same."""


class Faults:
    """Faults of one exchange.

    listen, stop_listening: open and close the door to new connections.
    """

    def __init__(
        self,
        source: MarketSource,
        clock: Clock,
        hub: Hub,
        *,
        listen: Callable[[], Awaitable[None]],
        stop_listening: Callable[[], Awaitable[None]],
    ) -> None:
        self.http = HttpFaults(clock.monotonic, clock.now_ms)
        self.clock_skew_ms = 0
        """How far the exchange's clock is ahead: moves its server time and the times in its events, not its bars."""
        self.rejected_subscriptions = 0
        """How many SUBSCRIBE requests will still be answered with an error."""
        self._source = source
        self._clock = clock
        self._hub = hub
        self._listen = listen
        self._stop_listening = stop_listening
        self._doubled = 0
        self._reversed = 0
        self._muted: dict[Where, Mute] = {}
        self._bursts = 0

    async def burst(
        self,
        count: int,
        *,
        per_segment: int = 200,
        per_second: float | None = None,
        symbol_ids: Sequence[str] = (),
    ) -> int:
        """Send `count` distinct liquidations, each of the moment it leaves, `per_segment` in each write; how many frames left.

        per_second: real pace; None sends as fast as it can. symbol_ids: whose, in turn; all symbols of the venue if
        empty. Each goes to `!forceOrder@arr` readers and to those of its own stream. Only writing is waited for, so a slow reader is not spared.
        """
        ids = list(symbol_ids) or list(self._source.listings("usdm"))
        now_ms, first = self._clock.now_ms(), self._bursts
        marks = [self._source.mark(symbol_id, now_ms) for symbol_id in ids]
        prices = [mark.mark_price if mark else 1.0 for mark in marks]
        self._bursts += count
        orders = (
            self._burst_messages(ids[number % len(ids)], number, prices[number % len(ids)])
            for number in range(first, first + count)
        )
        return await self.pour(orders, per_segment=per_segment, per_second=per_second)

    async def pour(
        self, facts: Iterable[Sequence[Message]], *, per_segment: int = 200, per_second: float | None = None
    ) -> int:
        """Send facts, each as one message for every stream it belongs to; how many frames left.

        per_segment: facts in each write. per_second: real pace; None sends as fast as it can.
        """
        sent, count, rest = 0, 0, iter(facts)
        began_s = self._clock.monotonic()
        while segment := list(islice(rest, per_segment)):
            sent += sum(self._hub.broadcast(messages) for messages in segment)
            self._hub.flush()
            count += len(segment)
            due_s = began_s + count / per_second if per_second else 0.0
            await asyncio.sleep(max(0.0, due_s - self._clock.monotonic()))
        return sent

    def duplicate(self, count: int = 1) -> None:
        """Send the next `count` facts (liquidations, closed bars) twice."""
        self._doubled += count

    def out_of_order(self, batches: int = 1) -> None:
        """Send the facts of the next `batches` moments that hold more than one in reverse."""
        self._reversed += batches

    def rearrange(self, facts: list[Message]) -> list[Message]:
        """Apply `duplicate` and `out_of_order` to the facts of one moment."""
        doubled = min(self._doubled, len(facts))
        self._doubled -= doubled
        arranged = [fact for i, fact in enumerate(facts) for _ in range(2 if i < doubled else 1)]
        if self._reversed and len(arranged) > 1:
            self._reversed -= 1
            arranged.reverse()
        return arranged

    def inject(self, venue: Venue, stream: str, payload: str) -> int:
        """Send any payload to the readers of a stream; how many there were."""
        sent = self._hub.broadcast([Message(venue, stream, "injected", payload.encode())])
        self._hub.flush()
        return sent

    def malformed(self, name: str, *, where: Where = "all") -> int:
        """Send one of `malformed.MALFORMED` to every client; how many got it."""
        frame = malformed_frame(name)
        sent = sum(connection.queue(frame) for connection in self._struck(where))
        self._hub.sent.frames["malformed"] += sent
        self._hub.flush()
        return sent

    def stall(self, where: Where = "all") -> None:
        """Go silent on open connections and on new ones; pings are still answered."""
        self._mute(where, "stall")

    def half_open(self, where: Where = "all") -> None:
        """Go silent and deaf: neither data nor acknowledgements nor pongs."""
        self._mute(where, "half-open")

    def recover(self) -> None:
        """End stall and half-open; what fell into them is lost."""
        self._muted.clear()
        for connection in self._hub:
            connection.recover()

    def greet(self, connection: Connection) -> None:
        """Put a new connection under the faults that stand."""
        how = self._muted.get(connection.route) or self._muted.get("all")
        if how is not None:
            connection.silence(how)

    async def close(self, code: int, *, where: Where = "all") -> int:
        """Close connections with a code, 1006 by cutting them; how many."""
        struck = self._struck(where)
        await asyncio.gather(*(connection.close(code) for connection in struck))
        return len(struck)

    async def drop_all(self) -> int:
        """Close every connection, as Binance does 24 hours after it was opened."""
        return await self.close(1008)

    def reject_subscribe(self, times: int = 1) -> None:
        """Answer the next `times` SUBSCRIBE requests with an error and nothing else."""
        self.rejected_subscriptions += times

    def takes_subscription(self) -> bool:
        """Whether the SUBSCRIBE request that has come in is accepted; counts it."""
        if self.rejected_subscriptions:
            self.rejected_subscriptions -= 1
            return False
        return True

    async def refuse_connections(self) -> None:
        """Stop listening: new connections are refused by the system, open ones live on."""
        await self._stop_listening()

    async def accept_connections(self) -> None:
        """Listen again on the same port."""
        await self._listen()

    def _mute(self, where: Where, how: Mute) -> None:
        self._muted[where] = how
        for connection in self._struck(where):
            connection.silence(how)

    def _struck(self, where: Where) -> list[Connection]:
        return [connection for connection in self._hub if where in {"all", connection.route}]

    def _burst_messages(self, symbol_id: str, number: int, base_price: float) -> list[Message]:
        now_ms = self._clock.now_ms()
        listing = self._source.listings("usdm")[symbol_id]
        price = base_price + number // _BURST_SIZES * 10.0**-listing.price_decimals
        qty = (1 + number % _BURST_SIZES) * 10.0**-listing.qty_decimals
        side: OrderSide = "SELL" if number % 3 else "BUY"
        order = ForcedOrder(now_ms - 1, symbol_id, side, qty, price, price, qty, qty)
        payload = frames.forced_order(listing, order, now_ms, self.clock_skew_ms)
        own = Message("usdm", f"{symbol_id.lower()}@forceOrder", "forceOrder", payload)
        return [own, Message("usdm", "!forceOrder@arr", "forceOrder@arr", payload)]

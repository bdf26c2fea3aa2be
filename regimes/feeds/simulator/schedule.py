"""What is sent when: facts each exactly once and in order, states as often as the wall clock can bear."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final
from zlib import crc32

from regimes.clock import Clock
from regimes.feeds.simulator import frames
from regimes.feeds.simulator.connections import Hub, Message
from regimes.feeds.simulator.depth import DepthBooks
from regimes.feeds.simulator.liquidations import pushes
from regimes.feeds.simulator.source import Bar, Listing, MarketSource, Venue
from regimes.feeds.simulator.topics import Topic
from regimes.timeframe import bar_open

_WAKE_S: Final = 0.1
"""Real seconds between two states of one stream, and the longest sleep."""
_SHORTEST_SLEEP_S: Final = 0.002
_AFTER_END_MS: Final = 2000
"""How long after the market's end its last bars and liquidations may still be sent."""

Rearrange = Callable[[list[Message]], list[Message]]


class Schedule:
    """Sends to every reader of `hub` what `source` holds for it, as event time goes by.

    rearrange: the last word on the facts of one moment, such as doubling them. shift_ms: what the exchange's clock is
    wrong by. largest_only: Binance's rule on forced orders.
    """

    def __init__(
        self,
        source: MarketSource,
        clock: Clock,
        hub: Hub,
        depth: DepthBooks,
        *,
        rearrange: Rearrange,
        shift_ms: Callable[[], int],
        largest_only: bool,
    ) -> None:
        self.ended = asyncio.Event()
        self._source = source
        self._clock = clock
        self._hub = hub
        self._depth = depth
        self._rearrange = rearrange
        self._shift_ms = shift_ms
        self._largest_only = largest_only
        self._done_ms = clock.now_ms()
        self._due_ms: dict[tuple[Venue, str], int] = {}

    async def run(self) -> None:
        """Send until the market ends."""
        while not self.ended.is_set():
            self.advance(self._clock.now_ms())
            await self._clock.sleep(self._pause_s() * self._clock.speed)

    def advance(self, now_ms: int) -> None:
        """Send what has become due since the last time."""
        end_ms = self._source.end_ms
        if end_ms is not None and now_ms >= end_ms + _AFTER_END_MS:
            now_ms = end_ms + _AFTER_END_MS
            self.ended.set()
        if now_ms > self._done_ms:
            facts = sorted(
                [*self._liquidations(now_ms), *self._closed_bars(now_ms)], key=lambda fact: fact[0]
            )
            self._hub.broadcast(self._rearrange([message for _, message in facts]))
            self._done_ms = now_ms
            if end_ms is None or now_ms < end_ms:
                self._hub.broadcast(self._states(now_ms))
        self._hub.flush()

    def _pause_s(self) -> float:
        """Real seconds to the next moment at which something may be due."""
        now_ms = self._clock.now_ms()
        steps = {topic.step_ms for topic in self._hub.topics().values() if topic.kind == "kline"}
        boundaries = [(bar_open(now_ms, step) + step - now_ms) / 1000 / self._clock.speed for step in steps]
        return max(_SHORTEST_SLEEP_S, min([_WAKE_S, *boundaries]))

    def _liquidations(self, now_ms: int) -> Iterator[tuple[int, Message]]:
        listings, shift = self._source.listings("usdm"), self._shift_ms()
        for event_ms, order in pushes(self._source, self._done_ms, now_ms, largest_only=self._largest_only):
            own = f"{order.symbol_id.lower()}@forceOrder"
            read = [
                (stream, kind)
                for stream, kind in ((own, "forceOrder"), ("!forceOrder@arr", "forceOrder@arr"))
                if self._hub.is_read("usdm", stream)
            ]
            if read:
                payload = frames.forced_order(listings[order.symbol_id], order, event_ms, shift)
                for stream, kind in read:
                    yield event_ms, Message("usdm", stream, kind, payload)

    def _closed_bars(self, now_ms: int) -> Iterator[tuple[int, Message]]:
        for (venue, stream), topic in self._hub.topics().items():
            listing = self._listing(venue, topic)
            step = topic.step_ms
            if (
                topic.kind != "kline"
                or listing is None
                or bar_open(now_ms, step) == bar_open(self._done_ms, step)
            ):
                continue
            first_ms, last_ms = bar_open(self._done_ms, step), bar_open(now_ms, step) - step
            bars = self._source.bars(venue, listing.id, step, first_ms, last_ms, now_ms)
            for values in zip(*(column.tolist() for column in bars.columns()), strict=True):
                bar = Bar(*values)
                event_ms = bar.open_ms + step + 5 + crc32(stream.encode()) % 240
                sent_ms = event_ms + self._shift_ms()
                payload = frames.kline(listing, venue, topic.timeframe, step, bar, sent_ms, closed=True)
                yield event_ms, Message(venue, stream, "kline_closed", payload)

    def _states(self, now_ms: int) -> Iterator[Message]:
        for key, topic in self._hub.topics().items():
            if topic.period_ms == 0 or now_ms < self._due_ms.get(key, 0):
                continue
            period_ms = max(topic.period_ms, int(_WAKE_S * 1000 * self._clock.speed))
            self._due_ms[key] = (now_ms // period_ms + 1) * period_ms
            payload = self._state(key[0], topic, now_ms)
            if payload is not None:
                yield Message(*key, _STATE_KINDS[topic.kind], payload)

    def _state(self, venue: Venue, topic: Topic, now_ms: int) -> bytes | None:
        """The present state of a stream; None if there is none."""
        if topic.kind == "mark_price_all":
            marks = (self._mark(listing, now_ms) for listing in self._source.listings("usdm").values())
            return frames.array(mark for mark in marks if mark is not None)
        listing = self._listing(venue, topic)
        return None if listing is None else self._own_state(venue, topic, listing, now_ms)

    def _own_state(self, venue: Venue, topic: Topic, listing: Listing, now_ms: int) -> bytes | None:
        event_ms = now_ms + self._shift_ms()
        match topic.kind:
            case "kline":
                bar, step = self._source.bar(venue, listing.id, topic.step_ms, now_ms), topic.step_ms
                return bar and frames.kline(
                    listing, venue, topic.timeframe, step, bar, event_ms, closed=False
                )
            case "mark_price":
                return self._mark(listing, now_ms)
            case "depth_diff":
                return self._depth.difference(venue, listing.id, now_ms, event_ms)
            case "depth_top":
                return self._depth.top(venue, listing.id, topic.levels, now_ms, event_ms)
            case _:
                return self._trade(listing, venue, now_ms)

    def _mark(self, listing: Listing, now_ms: int) -> bytes | None:
        at_ms = now_ms // 1000 * 1000
        mark = self._source.mark(listing.id, at_ms)
        return mark and frames.mark_price(listing, mark, at_ms, self._shift_ms())

    def _trade(self, listing: Listing, venue: Venue, now_ms: int) -> bytes | None:
        bar = self._source.bar(venue, listing.id, 60_000, now_ms)
        trade_ms = now_ms + self._shift_ms()
        return bar and frames.agg_trade(listing, venue, bar.close, trade_ms, trade_ms)

    def _listing(self, venue: Venue, topic: Topic) -> Listing | None:
        return self._source.listings(venue).get(topic.symbol_id or "")


_STATE_KINDS: Final = {
    "kline": "kline",
    "mark_price": "markPrice",
    "mark_price_all": "markPrice@arr",
    "depth_diff": "depthUpdate",
    "depth_top": "depth",
    "agg_trade": "aggTrade",
}

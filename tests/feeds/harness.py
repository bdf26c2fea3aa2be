"""A sink that keeps everything, and a feed that runs against the loopback exchange for as long as a block."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from regimes.clock import ScaledClock
from regimes.features.base import Need, Universe
from regimes.feeds.base import Sink
from regimes.feeds.binance import BinanceFeed
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.observations import FeedGap, Liquidation, MarkPrice, Observation

START_MS = 1_737_979_200_000  # 2025-01-27 12:00 UTC
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
Kind = TypeVar("Kind", bound=Any)


class Seen:
    """A sink that keeps what it got, in order."""

    def __init__(self) -> None:
        self.items: list[Observation] = []
        self._news = asyncio.Event()

    def put(self, observation: Observation) -> None:
        self.items.append(observation)
        self._news.set()

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [item for item in self.items if isinstance(item, kind)]

    @property
    def liquidations(self) -> list[Liquidation]:
        return self.of(Liquidation)

    def gaps(self, kind: str = "liquidation") -> list[FeedGap]:
        return [gap for gap in self.of(FeedGap) if gap.kind == kind]

    async def until(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Wait until something that is put makes the condition true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def news(self, kind: type[Any], count: int = 1) -> None:
        """Wait for so many more of a kind."""
        before = len(self.of(kind))
        await self.until(lambda: len(self.of(kind)) >= before + count)


def quick(exchange: LoopbackExchange, **changes: Any) -> VenuesSettings:
    """Settings for an exchange that is near, and tests that are short."""
    settings: dict[str, Any] = {
        "spot_url": exchange.base_url,
        "derivatives_url": exchange.base_url,
        "stale_candles_seconds": 1.0,
        "stale_mark_price_seconds": 1.0,
        "subscribe_timeout_seconds": 1.0,
        "keep_alive_seconds": 0.5,
        "reconnect_max_seconds": 0.3,
        "rest_weight_per_minute": 100_000,
        "candle_grace_seconds": 60.0,
        "funding_delay_seconds": 30.0,
    }
    return VenuesSettings(**(settings | changes))


@asynccontextmanager
async def loopback(
    speed: float = 20.0, symbols: tuple[str, ...] = SYMBOLS, seed: int = 7
) -> AsyncIterator[tuple[LoopbackExchange, ScaledClock]]:
    """A calm synthetic exchange and the clock it shares."""
    market = SyntheticMarket(symbols, START_MS, seed, "calm")
    clock = ScaledClock(START_MS + 10_000, speed)
    async with LoopbackExchange(market, clock) as exchange:
        yield exchange, clock


@asynccontextmanager
async def running(
    exchange: LoopbackExchange,
    clock: ScaledClock,
    sink: Sink,
    *,
    symbols: tuple[str, ...] = SYMBOLS,
    cache_dir: Path | None = None,
    warm: asyncio.Event | None = None,
    needs: Sequence[Need] = (),
    **changes: Any,
) -> AsyncIterator[BinanceFeed]:
    """A feed that runs inside the block and must leave no task and no session behind."""
    before = asyncio.all_tasks()
    feed = BinanceFeed(quick(exchange, **changes), Universe(symbols), clock, cache_dir, needs=needs)
    task = asyncio.create_task(feed.run(sink, warm=warm))
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            raise task.exception()  # type: ignore[misc]
    await assert_nothing_leaks(feed, before)


async def assert_nothing_leaks(feed: BinanceFeed, before: set[asyncio.Task[Any]]) -> None:
    async with asyncio.timeout(2):
        while left := ours(asyncio.all_tasks() - before):
            await asyncio.wait(left, timeout=0.1)
    for venue in feed._venues.values():
        assert venue.exchange.session is None
        assert venue.exchange.tcp_connector is None
        assert not venue.exchange.clients


def ours(tasks: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Tasks of the feed; the exchange's own request handlers come and go with its sockets."""
    return {
        task for task in tasks if "RequestHandler" not in repr(task) and "loopback" not in task.get_name()
    }


async def live(seen: Seen) -> None:
    """Wait until the derivatives venue delivers: the first gap is closed and a mark price has come."""
    await seen.until(lambda: [gap for gap in seen.gaps() if gap.to_ms is not None] and seen.of(MarkPrice))

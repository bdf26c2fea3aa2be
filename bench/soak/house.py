"""Exchange, service, receivers and viewers in one process, on one clock."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Container, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.soak.ledger import Account, Gaps, account, fact_of
from bench.soak.people import Stuck, receivers, watch
from bench.soak.vitals import Vitals
from bench.soak.weather import Weather
from regimes.clock import ScaledClock
from regimes.config import Settings, load
from regimes.config.sources import shipped_config
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.liquidations import pushes
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.pipeline import Pipeline
from regimes.pipeline.alerts import Alerts, open_alerts
from regimes.service import recorder_of, run_together, web_of
from regimes.storage.base import Storage

SYMBOLS: Final = tuple(f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX"))
START_MS: Final = 1_736_121_600_000
"""2025-01-06 00:00 UTC; what the market does is drawn, the date only names it."""
RECEIVERS: Final = 3
VIEWERS: Final = 5
PATIENCE_S: Final = 180.0
_SETTLE_S: Final = 3.0
_MOST_ROWS: Final = 10_000_000


class Deliveries(msgspec.Struct, frozen=True):
    """Of the alerts. untrue: marked as delivered, though their receiver never took them."""

    delivered: int
    pending: int
    untrue: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the books say afterwards."""

    account: Account
    deliveries: Deliveries
    vitals: Vitals
    drawn: Counter[str]
    gaps: int
    dropped: int
    unconnected: int
    events: int


async def live(folder: Path, speed: float, seconds: float, chance: random.Random) -> Found:
    """Let it all run for so many real seconds, let everything become well again, and read the books."""
    clock = ScaledClock(START_MS, speed, running=False)
    source = SyntheticMarket(SYMBOLS, START_MS, chance.randrange(2**31), "mixed")
    gaps = Gaps()
    async with (
        LoopbackExchange(source, clock) as exchange,
        receivers(RECEIVERS) as (ends, urls),
        _service(settings_of(folder, exchange.base_url, urls), clock) as (pipeline, alerts, address),
    ):
        pipeline.subscribe(on_batch=lambda batch: gaps.take(batch.gaps))
        running = asyncio.create_task(run_together(pipeline, alerts, stop := asyncio.Event()))
        await pipeline.live.wait()
        clock.start()
        stuck = Stuck(address)
        weather = Weather(exchange, ends, stuck, chance)
        vitals = Vitals(
            {
                "observations queued": lambda: float(len(pipeline.queue)),
                "alerts unstored": lambda: float(alerts.desk.waiting),
            }
        )
        async with _beside(vitals.run(), *(watch(address) for _ in range(VIEWERS))):
            async with _beside(weather.run()):
                await asyncio.sleep(seconds)
            await weather.clear()
            # As a person does who has mended the receivers.
            for endpoint in alerts.endpoints:
                await alerts.outbox.enable(endpoint.name)
            unconnected = await _well_again(pipeline, alerts)
        until_ms = clock.now_ms()
        await asyncio.sleep(_SETTLE_S)
        books = await _account(alerts.storage, source, gaps, until_ms)
        deliveries = await _deliveries(alerts.storage, [one.accepted for one in ends])
        stop.set()
        await running
        stored = await alerts.storage.stats()
    return Found(
        account=books,
        deliveries=deliveries,
        vitals=vitals,
        drawn=weather.drawn,
        gaps=len(gaps),
        dropped=pipeline.queue.dropped.total(),
        unconnected=unconnected,
        events=stored["rows"]["market_events"],
    )


def settings_of(folder: Path, exchange: str, urls: str) -> Settings:
    """Everything as shipped, but for where it leads."""
    return load(
        shipped_config("regimes.toml"),
        environ={
            "REGIMES__SYMBOLS": ",".join(SYMBOLS),
            "REGIMES__VENUES__SPOT_URL": exchange,
            "REGIMES__VENUES__DERIVATIVES_URL": exchange,
            "REGIMES__STORAGE__URL": f"sqlite:///{folder / 'soak.db'}",
            "REGIMES__STORAGE__SPOOL": str(folder / "spool.db"),
            "REGIMES__STORAGE__CACHE_DIR": str(folder / "cache"),
            "REGIMES__TAPE__FOLDER": str(folder / "tape"),
            "REGIMES__WEB__PORT": "0",
            "REGIMES__DELIVERY__ALLOW_CIDRS": "127.0.0.0/8",
            "REGIMES__ALERTING__DAILY_CAP": "0",
            "WEBHOOKS_ALL": urls,
        },
        folder=folder,
    )


@asynccontextmanager
async def _service(settings: Settings, clock: ScaledClock) -> AsyncIterator[tuple[Pipeline, Alerts, str]]:
    """All of `regimes run`, wired as there; who uses it starts it."""
    async with open_alerts(settings, clock) as alerts:
        with recorder_of(settings, clock) as recorder:
            pipeline = Pipeline(settings, clock=clock, resume=await alerts.resume(), recorder=recorder)
            async with web_of(settings, clock, pipeline, alerts) as server:
                assert server is not None
                yield pipeline, alerts, server.address


@asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these for as long as the block lasts. Raises what ended one of them."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _well_again(pipeline: Pipeline, alerts: Alerts) -> int:
    """Wait until every stream is connected and every alert delivered, or patience ends; streams that are not."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    while loop.time() < until:
        pending = await alerts.storage.deliveries(event_id=None, status="pending", limit=1)
        if not pending and not alerts.desk.waiting and all(s.connected for s in pipeline.status()):
            return 0
        await asyncio.sleep(0.2)
    return sum(not stream.connected for stream in pipeline.status())


async def _account(storage: Storage, source: SyntheticMarket, gaps: Gaps, until_ms: int) -> Account:
    """All that the exchange had to push by a time, against what is stored."""
    listings = source.listings("usdm")
    due = pushes(source, START_MS, until_ms, largest_only=True)
    sent = [(fact_of(listings[push.order.symbol_id], push), push.event_ms) for push in due]
    await storage.flush()
    rows = await storage.liquidations(since_ms=START_MS, symbol=None, limit=_MOST_ROWS)
    last_ms = max((ts_ms for (ts_ms, *_), _ in sent), default=START_MS)
    return account(sent, [row for row in rows if row.ts_ms <= last_ms], gaps)


async def _deliveries(storage: Storage, accepted: Sequence[Container[str]]) -> Deliveries:
    """Hold what is marked as delivered against what the receivers took, each id being of one endpoint."""
    rows = await storage.deliveries(event_id=None, status="delivered", limit=_MOST_ROWS)
    waiting = await storage.deliveries(event_id=None, status="pending", limit=_MOST_ROWS)
    untrue = sum(all(row.id not in taken for taken in accepted) for row in rows)
    return Deliveries(len(rows), len(waiting), untrue)

"""The loopback exchange through real sockets: does this installation receive what is sent?"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from regimes.clock import ScaledClock
from regimes.commands.selftest.check import Result
from regimes.commands.selftest.waiting import until
from regimes.config import Settings
from regimes.config.settings import Origin, settings_type
from regimes.features.base import Status
from regimes.feeds.simulator.exchange import LoopbackExchange
from regimes.feeds.simulator.synthetic import SyntheticMarket
from regimes.observations import MARKET
from regimes.pipeline import Pipeline
from regimes.timeframe import HOUR_MS

SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
START_MS: Final = 1_737_982_800_000
BURST: Final = 2_000


async def check(*, full: bool) -> list[Result]:
    """Run a pipeline against the exchange; with `full` also a burst, a cut connection, and every signal to ok."""
    clock = ScaledClock(START_MS, 1200, running=False)
    with tempfile.TemporaryDirectory(prefix="regimes-selftest-") as cache:
        async with LoopbackExchange(SyntheticMarket(SYMBOLS, START_MS, 1, "calm"), clock) as exchange:
            pipeline = Pipeline(_settings(exchange.base_url, Path(cache)), clock=clock)
            stop = asyncio.Event()
            running = asyncio.create_task(pipeline.run(stop))
            try:
                results = await _connected(pipeline, running)
                clock.start()
                if full:
                    results += await _full(pipeline, exchange, clock)
            finally:
                stop.set()
                await running
    return results


def _settings(base_url: str, cache: Path) -> Settings:
    venues = {"spot_url": base_url, "derivatives_url": base_url}
    return settings_type()().replaced(
        Origin("selftest", ""), symbols=SYMBOLS, venues=venues, storage={"cache_dir": cache}
    )


async def _connected(pipeline: Pipeline, running: asyncio.Task[None]) -> list[Result]:
    ok = await until(lambda: running.done() or _all_connected(pipeline))
    if running.done():
        running.result()
    streams = ", ".join(f"{s.venue} {s.stream}" for s in pipeline.status() if s.connected)
    candles = pipeline.engine.intake.accepted["candle"]
    packages = pipeline.engine.packages()
    return [
        Result("exchange", "streams connect over real sockets", ok, "all", streams),
        Result("exchange", "history arrives by REST", candles >= 3 * 720, f">= {3 * 720}", str(candles)),
        *(
            Result(
                "exchange", f"{key} of {symbol}", package[key]["status"] == "ok", "ok", package[key]["status"]
            )
            for symbol, package in packages.items()
            for key in ("funding", "volatility", "regimes", "correlations")
        ),
    ]


async def _full(pipeline: Pipeline, exchange: LoopbackExchange, clock: ScaledClock) -> list[Result]:
    return [
        await _burst(pipeline, exchange),
        await _cut(pipeline, exchange),
        await _every_signal(pipeline, clock),
    ]


async def _burst(pipeline: Pipeline, exchange: LoopbackExchange) -> Result:
    before = _received(pipeline)
    sent = await exchange.faults.burst(BURST, per_segment=200)
    ok = await until(lambda: _received(pipeline) - before >= BURST)
    return Result(
        "exchange", f"a burst of {BURST:,} liquidations", ok, str(sent), str(_received(pipeline) - before)
    )


async def _cut(pipeline: Pipeline, exchange: LoopbackExchange) -> Result:
    before = sum(stream.reconnects for stream in pipeline.status())
    await exchange.faults.close(1006)
    ok = await until(lambda: _all_connected(pipeline) and _reconnects(pipeline) > before)
    return Result(
        "exchange", "a cut connection is dialled again", ok, "connected", f"{_reconnects(pipeline)} redials"
    )


async def _every_signal(pipeline: Pipeline, clock: ScaledClock) -> Result:
    def all_ok() -> bool:
        return all(r.status is Status.OK for r in pipeline.engine.latest.values() if r.symbol != MARKET)

    ok = await until(lambda: all_ok() or clock.now_ms() > START_MS + 6 * HOUR_MS)
    waiting = sorted(
        {f"{r.feature} {r.status}" for r in pipeline.engine.latest.values() if r.status is not Status.OK}
    )
    return Result(
        "exchange", "every signal of every symbol", ok and all_ok(), "ok", ", ".join(waiting) or "ok"
    )


def _all_connected(pipeline: Pipeline) -> bool:
    streams = pipeline.status()
    return pipeline.live.is_set() and bool(streams) and all(stream.connected for stream in streams)


def _received(pipeline: Pipeline) -> int:
    return sum(s.messages for s in pipeline.status() if s.stream == "liquidation")


def _reconnects(pipeline: Pipeline) -> int:
    return sum(stream.reconnects for stream in pipeline.status())

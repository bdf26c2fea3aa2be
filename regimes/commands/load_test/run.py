"""A load test from its beginning to its verdict."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from regimes.clock import SystemClock
from regimes.commands.load_test.children import Child, child
from regimes.commands.load_test.market import PATIENCE_S, Probe, Receivers, World, names, world
from regimes.commands.load_test.private import environment, service, waited_s
from regimes.commands.load_test.tiers import Bars, Load, Tier
from regimes.commands.load_test.verdict import Line, Outcome, keep, outcome, quantile, show
from regimes.commands.load_test.viewers import Heard
from regimes.commands.load_test.watch import Watch
from regimes.commands.output import console
from regimes.commands.running import ExitCode, allow_open_files, run_to_end
from regimes.errors import ConfigError
from regimes.events import EventBody
from regimes.observations import MARKET
from regimes.web.client import View

TIMEFRAMES: Final = "1h,4h,1d"
"""Weekly bars would need history that takes longer to read than the test runs."""
WEEKS: Final = 7
STREAM: Final = "/api/stream?interval=10&symbols={symbols}"
_SETTLE_S: Final = 2.0
_real = SystemClock()


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """tier: load and bars. url: of a running service; empty to start a private one. file: where the outcome is kept."""

    title: str
    tier: Tier
    url: str = ""
    token: str = ""
    file: Path | None = None


def execute(options: Options) -> ExitCode:
    """Run it, show it, keep it; CHECK_FAILED when a bar was missed."""
    allow_open_files()
    done = run_to_end(_against_running(options) if options.url else _against_private(options))
    show(done, console())
    if options.file is not None:
        keep(done, options.file)
    return ExitCode.OK if done.passed else ExitCode.CHECK_FAILED


async def _against_private(options: Options) -> Outcome:
    load, port = options.tier.load, _free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="regimes-load-") as name:
        folder = Path(name)
        receivers = Receivers(load.endpoints)
        async with (
            receivers.serving(),
            world(load, folder / "cache", weeks=WEEKS) as (market, exchange),
            service(
                folder,
                environment(
                    folder,
                    load,
                    exchange=exchange,
                    webhooks=receivers.urls,
                    port=port,
                    timeframes=TIMEFRAMES,
                ),
                one_core=load.one_core,
            ) as pid,
            viewers(address, load.viewers, _view(load)) as readers,
        ):
            await asyncio.sleep(_SETTLE_S)
            return await _measured(options, address, pid, market, receivers, readers)


async def _measured(
    options: Options, address: str, pid: int, market: World, receivers: Receivers, readers: Child
) -> Outcome:
    watch, load, bars = Watch(address), options.tier.load, options.tier.bars
    before = await _states(address, load)
    await readers.ask(None, Heard)
    await watch.look()
    waited = waited_s(pid)
    async with _watching(watch):
        await market.run()
        await receivers.settled(market.probes)
    sent = await _caught_up(watch, market)
    expected = (await _states(address, load) - before) * load.viewers
    heard = await _heard(readers, expected)
    lines = [
        *_service_lines(watch, bars),
        *_waited_lines(watch, waited, waited_s(pid)),
        *_market_lines(watch, sent),
        *_webhook_lines(receivers, market.probes, bars),
        *_viewer_lines(heard, load.viewers, bars),
        Line("states of events that viewers missed", float(max(0, expected - heard.events)), "", 0.0),
    ]
    return outcome(options.title, load, lines)


async def _against_running(options: Options) -> Outcome:
    """Viewers on a service that is there; its market is what it is."""
    load, bars = options.tier.load, options.tier.bars
    watch = Watch(options.url, options.token)
    await watch.look()
    async with viewers(options.url, load.viewers, token=options.token) as readers, _watching(watch):
        await asyncio.sleep(load.seconds)
        heard = await readers.ask(None, Heard)
    dropped = watch.grown("regimes_queue_dropped_total")
    lines = [
        *_service_lines(watch, bars),
        Line("observations dropped", dropped, "", 0.0),
        *_viewer_lines(heard, load.viewers, bars),
    ]
    return outcome(options.title, load, lines)


@asynccontextmanager
async def _watching(watch: Watch) -> AsyncIterator[None]:
    """Look at a service's metrics for as long as the block lasts."""
    looking = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])
        await watch.look()


async def _caught_up(watch: Watch, market: World) -> int:
    """Wait until the service has received all that had been sent a look before, or patience ends; how many these were."""
    until = _real.monotonic() + PATIENCE_S
    while True:
        sent = market.sent
        await watch.look()
        if _received(watch) >= sent or _real.monotonic() > until:
            return sent
        await asyncio.sleep(_SETTLE_S / 2)


async def _states(address: str, load: Load) -> int:
    """How many states of events the service has stored that viewers should see."""
    view = View(_view(load) or None, 10)
    count: int = 0
    cursor = ""
    async with aiohttp.ClientSession(address) as client:
        while True:
            async with client.get(f"/api/events?limit=500{cursor}") as answer:
                page = await answer.json()
            events = [msgspec.convert(event, EventBody) for event in page["events"]]
            count += sum(event.revision + 1 for event in events if view.shows_event(event))
            if page["cursor"] is None:
                return count
            cursor = f"&cursor={quote(page['cursor'])}"


async def _heard(readers: Child, events: int) -> Heard:
    """What viewers got, once it holds so many events or patience has ended."""
    until = _real.monotonic() + PATIENCE_S
    heard = await readers.ask(None, Heard)
    while heard.events < events and _real.monotonic() < until:
        await asyncio.sleep(_SETTLE_S / 2)
        heard = heard.plus(await readers.ask(None, Heard))
    return heard


def _received(watch: Watch) -> float:
    """Liquidations since the service was started, which is what the exchange counts too."""
    return watch.now("regimes_stream_messages_total", stream="liquidation")


def _service_lines(watch: Watch, bars: Bars) -> Sequence[Line]:
    cpu = 100 * watch.grown("process_cpu_seconds_total") / max(watch.seconds, 1e-9)
    return [
        Line("CPU", cpu, "% of a core", bars.cpu_percent),
        Line("memory, the most", watch.memory_mb, "MB", bars.memory_mb),
        Line("loop lag, p99 of the worst minute", watch.loop_lag_ms, "ms", bars.loop_lag_p99_ms),
        Line("queue, the most that waited", watch.queue_depth, ""),
    ]


def _waited_lines(watch: Watch, before: float | None, after: float | None) -> Sequence[Line]:
    """How much of what was measured is other programs' doing."""
    if before is None or after is None:
        return []
    return [Line("waited while others had the core", 100 * (after - before) / watch.seconds, "% of the time")]


def _market_lines(watch: Watch, sent: int) -> Sequence[Line]:
    refused = watch.now("regimes_observations_rejected_total", kind="liquidation")
    dropped = watch.now("regimes_queue_dropped_total")
    return [
        Line("liquidations sent", sent, ""),
        Line("liquidations lost", max(0.0, sent - _received(watch)) + refused + dropped, "", 0.0),
    ]


def _webhook_lines(receivers: Receivers, probes: Sequence[Probe], bars: Bars) -> Sequence[Line]:
    late_ms, wanted = receivers.late_ms(probes), len(probes) * receivers.count
    return [
        Line("webhooks wanted", wanted, ""),
        Line("webhooks that never came", wanted - len(late_ms), "", 0.0),
        Line("liquidation to webhook, median", quantile(late_ms, 0.5), "ms"),
        Line("liquidation to webhook, p99", quantile(late_ms, 0.99), "ms", bars.webhook_p99_ms),
    ]


def _viewer_lines(heard: Heard, count: int, bars: Bars) -> Sequence[Line]:
    told = [Line("viewers lost", count - heard.open, "", 0.0), Line("frames to viewers", heard.frames, "")]
    if not heard.late_ms:  # a market without liquidations has nothing to be late
        return told
    return [
        *told,
        Line("liquidation to viewer, median", quantile(heard.late_ms, 0.5), "ms"),
        Line("liquidation to viewer, p99", quantile(heard.late_ms, 0.99), "ms", bars.viewer_p99_ms),
    ]


def _free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


def _view(load: Load) -> frozenset[str]:
    return frozenset([*names(load.symbols)[: load.shown], MARKET]) if load.shown else frozenset()


def _path(view: frozenset[str]) -> str:
    return STREAM.format(symbols=quote(",".join(sorted(view))))


@asynccontextmanager
async def viewers(
    address: str, count: int, view: frozenset[str] = frozenset(), *, token: str = ""
) -> AsyncIterator[Child]:
    """So many readers of a stream, connected, in a process of their own. view: symbols they ask for, all if empty."""
    parts = urlsplit(address)
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigError(f"{address!r}: viewers need a plain address such as http://127.0.0.1:8000")
    arguments = [parts.hostname, str(parts.port or 80), _path(view), str(count), "--frame", "liquidation"]
    async with child("regimes.commands.load_test.viewers", *arguments) as process:
        process.tell(token)
        await process.hear(int)
        yield process

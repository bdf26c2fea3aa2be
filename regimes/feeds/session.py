"""One venue's live run: its lines, its polls, and the repair of what was missed."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import structlog

from regimes.clock import Clock
from regimes.feeds import parse
from regimes.feeds.bars import BarAccount
from regimes.feeds.base import BackPressure, Sink, TakesFrames
from regimes.feeds.funding import FundingAccount
from regimes.feeds.gaps import GapTeller
from regimes.feeds.line import Line
from regimes.feeds.polling import Ask, pacing, round_robin
from regimes.feeds.receiver import Receiver
from regimes.feeds.repair import TIMEFRAME, BarRepair, FundingSettling
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.status import Meter, StreamStatus, summarise
from regimes.feeds.venue import Venue
from regimes.observations import DataKind, Observation
from regimes.timeframe import DAY_MS

_log = structlog.get_logger()

_HOUSEKEEPING_S: Final = 1.0
_LOG_EVERY_S: Final = 60.0
# Notional needs mark prices, which come within a second or two.
_FIRST_MARKS_S: Final = 2.0
_OPEN_INTEREST_SHARE: Final = 0.1
_DEPTH_SHARE: Final = 0.25
_DEPTH_WEIGHT: Final = {
    "binanceus": {100: 1, 500: 5, 1000: 10},
    "binance": {100: 5, 500: 25, 1000: 50},
    "binanceusdm": {100: 5, 500: 10, 1000: 20},
}
Reach = Mapping[tuple[DataKind, str, str], int]


class Session:
    """Runs one venue until cancelled. prices: take candles and book here. derivatives: take the rest here.

    warm: set once history is in; until then only the streams of liquidations and mark prices run, as nobody can ask
    for a liquidation later. reach: how far warm-up got by then, see `Warmup.reach`. other_bars: closed bars that are wanted
    beside the hourly ones, by their length, each of the first so many symbols.
    """

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        settings: VenuesSettings,
        clock: Clock,
        sink: Sink,
        *,
        prices: bool,
        derivatives: bool,
        warm: asyncio.Event,
        reach: Callable[[], Reach],
        seen_until_ms: int | None,
        other_bars: Mapping[str, int | None],
    ) -> None:
        self._venue = venue
        self._ids = dict(venue.market_ids(symbols))
        self._settings = settings
        self._clock = clock
        self._sink = sink
        self._back = sink if isinstance(sink, BackPressure) else None
        self._frames = sink if isinstance(sink, TakesFrames) else None
        self._prices = prices
        self._derivatives = derivatives
        self._seen_until_ms = seen_until_ms or 0
        self._held = asyncio.Event()
        self._gaps: dict[DataKind, GapTeller] = {
            kind: GapTeller(venue.name, kind, clock, self._put)
            for kind in ("liquidation", "candle", "funding")
        }
        self._polls: dict[DataKind, Meter] = {}
        self._bars = self._accounts(other_bars)
        self._funding = FundingAccount(self._ids, clock.now_ms())
        self._warm = warm
        self._reach = reach
        self._bar_repairs = [self._repair(bars) for bars in self._bars.values()]
        self._settling = FundingSettling(
            venue.rest, self._ids, self._funding, self._gaps["funding"], self._put, settings, clock
        )
        if derivatives:
            self._polls["funding"] = self._settling.meter
        self._receiver = Receiver(
            venue.name,
            clock=clock,
            put=self._put_all,
            bars=self._bars,
            funding=self._funding,
            liquidation_gaps=self._gaps["liquidation"],
        )
        self._receiver.symbols = venue.symbols
        self._receiver.wanted = frozenset(self._ids)
        venue.exchange.tap = self._receiver
        self._price_lines, self._other_lines = [*self._lines_of_bars()], [*self._lines_of_derivatives()]
        self._lines = [*self._price_lines, *self._other_lines]

    def _accounts(self, other_bars: Mapping[str, int | None]) -> dict[str, BarAccount]:
        """Which bars are expected, by their length."""
        now_ms = self._clock.now_ms()
        return {TIMEFRAME: BarAccount(self._ids, TIMEFRAME, now_ms)} | {
            timeframe: BarAccount(islice(self._ids, count), timeframe, now_ms, closed_only=True)
            for timeframe, count in other_bars.items()
        }

    def _repair(self, bars: BarAccount) -> BarRepair:
        venue, clock = self._venue, self._clock
        is_hourly = bars.timeframe == TIMEFRAME
        gap = self._gaps["candle"] if is_hourly else GapTeller(venue.name, "candle", clock, self._put)
        market_ids = {symbol: self._ids[symbol] for symbol in bars.symbols}
        return BarRepair(venue.rest, market_ids, bars, gap, self._put, self._settings, clock)

    def _seed(self) -> None:
        """Begin where the history ends."""
        reach = self._reach()
        for symbol in self._ids:
            for timeframe, bars in self._bars.items():
                if ("candle", symbol, timeframe) in reach:
                    bars.seed(symbol, reach["candle", symbol, timeframe])
            if ("funding", symbol, "") in reach:
                self._funding.seed(symbol, reach["funding", symbol, ""])

    def _put_all(self, found: Sequence[Observation], frame: str | bytes) -> None:
        """Pass on what a frame held, with the frame where it is wanted."""
        if self._frames is not None:
            self._frames.put_frame(found, frame)
        else:
            for observation in found:
                self._sink.put(observation)
        if self._back is not None and self._back.pressure:
            self._hold()

    def _put(self, observation: Observation) -> None:
        self._sink.put(observation)
        if self._back is not None and self._back.pressure:
            self._hold()

    def _hold(self) -> None:
        if not self._held.is_set():
            self._held.set()
            for line in self._lines:
                line.hold()

    def _lines_of_bars(self) -> Iterator[Line]:
        if not self._prices:
            return
        streams = [
            f"{self._ids[symbol].lower()}@kline_{bars.timeframe}"
            for bars in self._bars.values()
            for symbol in bars.symbols
        ]
        size = self._settings.max_streams_per_connection
        for number, start in enumerate(range(0, len(streams), size)):
            limit = {"candle": self._settings.stale_candles_seconds}
            yield self._line(f"candles {number}", streams[start : start + size], ("candle",), limit)

    def _lines_of_derivatives(self) -> Iterator[Line]:
        if not self._derivatives:
            return
        # Mark prices are the pulse by which silent liquidations are judged, so one market is always watched.
        ids = list(self._ids.values()) or ["BTCUSDT"]
        streams = ["!forceOrder@arr", *(f"{market_id.lower()}@markPrice@1s" for market_id in ids)]
        size = self._settings.max_streams_per_connection
        limit = {"mark_price": self._settings.stale_mark_price_seconds}
        yield self._line("liquidations", streams[:size], ("mark_price", "liquidation"), limit)
        for number, start in enumerate(range(size, len(streams), size), 1):
            yield self._line(f"mark prices {number}", streams[start : start + size], ("mark_price",), limit)

    def _line(
        self, name: str, streams: Sequence[str], kinds: Sequence[DataKind], limits: Mapping[str, float]
    ) -> Line:
        return Line(
            self._venue.exchange,
            f"{self._venue.name} {name}",
            streams,
            next_url=self._venue.next_socket_url,
            meters={kind: Meter() for kind in kinds},
            limits_s={kind: limits[kind] for kind in kinds if kind in limits},
            settings=self._settings,
            clock=self._clock,
            watcher=self,
            register=self._receiver.register,
        )

    def line_up(self, line: Line) -> None:
        _log.info("stream_connected", line=line.name)
        if "liquidation" in line.meters:
            self._gaps["liquidation"].end()

    def line_down(self, line: Line, last_heard: float, reason: str) -> None:
        if "liquidation" in line.meters:
            self._gaps["liquidation"].lost_contact(last_heard, reason)

    async def run(self) -> None:
        """Deliver for ever. Raises an ExceptionGroup with the VenueError when the venue closes itself to us."""
        if self._derivatives:
            unseen_from_ms = max(self._clock.now_ms() - DAY_MS, self._seen_until_ms)
            self._gaps["liquidation"].begin(unseen_from_ms, "not running")
        async with asyncio.TaskGroup() as group:
            for line in self._other_lines:
                group.create_task(line.run())
            group.create_task(self._keep_house())
            group.create_task(self._ease())
            group.create_task(self._compare_clocks())
            await self._warm.wait()
            self._seed()
            for line in self._price_lines:
                group.create_task(line.run())
            if self._prices:
                for repair in self._bar_repairs:
                    group.create_task(repair.run())
                group.create_task(self._poll_depth())
            if self._derivatives:
                group.create_task(self._settling.run())
                group.create_task(self._poll_open_interest())

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._gaps["liquidation"].flush()

    async def _ease(self) -> None:
        """Read on when the consumer has caught up."""
        logged_at = -_LOG_EVERY_S
        while self._back is not None:
            await self._held.wait()
            if self._clock.monotonic() - logged_at > _LOG_EVERY_S:
                logged_at = self._clock.monotonic()
                _log.warning("reading_paused", venue=self._venue.name, reason="the consumer is behind")
            await self._back.eased()
            self._held.clear()
            for line in self._lines:
                # Releasing one may bring so much that all are held again.
                if not self._held.is_set():
                    line.release()

    async def _compare_clocks(self) -> None:
        while True:
            await asyncio.sleep(self._settings.clock_check_minutes * 60)
            await self._venue.compare_clock()

    async def _poll_open_interest(self) -> None:
        async def ask(symbol: str) -> int:
            row = await self._venue.rest.open_interest(self._ids[symbol])
            known = self._receiver.marks.get(symbol)
            mark = None if known is None else known.mark_price
            found = parse.rest_open_interest(row, venue=self._venue.name, symbol=symbol, mark=mark)
            self._put(found)
            return found.ts_ms

        await asyncio.sleep(_FIRST_MARKS_S)
        await self._poll(
            "open_interest", self._settings.open_interest_seconds, 1.0, _OPEN_INTEREST_SHARE, ask
        )

    async def _poll_depth(self) -> None:
        levels = self._settings.depth_levels

        async def ask(symbol: str) -> int:
            found = await self._venue.rest.depth(symbol, self._ids[symbol], levels)
            self._put(found)
            return found.ts_ms

        weight = float(_DEPTH_WEIGHT[self._venue.name][levels])
        await self._poll("depth", self._settings.depth_seconds, weight, _DEPTH_SHARE, ask)

    async def _poll(self, kind: DataKind, interval_s: float, weight: float, share: float, ask: Ask) -> None:
        meter = self._polls[kind] = Meter()
        pace = pacing(
            interval_s,
            len(self._ids),
            weight=weight,
            weight_per_minute=share * self._settings.rest_weight_per_minute,
            speed=self._clock.speed,
        )
        await round_robin(kind, list(self._ids), ask, meter, self._clock, pace)

    def status(self) -> list[StreamStatus]:
        """How alive each stream is."""
        kinds = dict.fromkeys(kind for line in self._lines for kind in line.meters)
        return [*map(self._line_status, kinds), *map(self._poll_status, self._polls)]

    def _line_status(self, kind: DataKind) -> StreamStatus:
        lines = [line for line in self._lines if kind in line.meters]
        return summarise(
            self._venue.name,
            kind,
            [line.meters[kind] for line in lines],
            self._clock,
            connected=all(line.connected for line in lines),
            gaps=self._gaps[kind].count if kind in self._gaps else 0,
            reconnects=sum(line.reconnects for line in lines),
        )

    def _poll_status(self, kind: DataKind) -> StreamStatus:
        gap = self._gaps.get(kind)
        return summarise(
            self._venue.name,
            kind,
            [self._polls[kind]],
            self._clock,
            connected=gap is None or not gap.open,
            gaps=gap.count if gap else 0,
            reconnects=0,
        )

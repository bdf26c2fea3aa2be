"""What streams do not bring is asked for: closed bars that were missed, and funding once it has settled."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from regimes.clock import Clock
from regimes.feeds.bars import BarAccount
from regimes.feeds.funding import UNLISTED_HOURS, FundingAccount
from regimes.feeds.gaps import GapTeller
from regimes.feeds.rest import SETTLE_MS, Rest, RestFailedError
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.status import Meter
from regimes.observations import Observation

_log = structlog.get_logger()

TIMEFRAME: Final = "1h"
_AFTER_FAILURE_S: Final = 5.0
_SHORTEST_PAUSE_S: Final = 0.2
_LONGEST_BAR_PAUSE_S: Final = 5.0
_LONGEST_FUNDING_PAUSE_S: Final = 15.0

Put = Callable[[Observation], None]


class BarRepair:
    """Asks for closed bars of one length that did not come by themselves, wherever they went.

    market_ids: the venue's id of each symbol. gap: opened while bars are missing that cannot be had.
    """

    def __init__(
        self,
        rest: Rest,
        market_ids: Mapping[str, str],
        bars: BarAccount,
        gap: GapTeller,
        put: Put,
        settings: VenuesSettings,
        clock: Clock,
    ) -> None:
        self._rest = rest
        self._ids = market_ids
        self._bars = bars
        self._gap = gap
        self._put = put
        self._clock = clock
        self._turns = asyncio.Semaphore(settings.rest_concurrency)
        self._grace_ms = max(SETTLE_MS + 500, int(settings.candle_grace_seconds * 1000))

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        pause_s = min(_LONGEST_BAR_PAUSE_S, max(_SHORTEST_PAUSE_S, self._grace_ms / 1000 / self._clock.speed))
        while True:
            await asyncio.sleep(pause_s)
            moment = self._clock.now_ms() - self._grace_ms
            late = {symbol: span for symbol in self._ids if (span := self._bars.missing(symbol, moment))}
            if await self._fill_all(late):
                self._gap.end()
            else:
                await asyncio.sleep(_AFTER_FAILURE_S)

    async def _fill_all(self, late: Mapping[str, tuple[int, int]]) -> bool:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._fill(symbol, *span)) for symbol, span in late.items()]
        return all(task.result() for task in tasks)

    async def _fill(self, symbol: str, from_ms: int, end_ms: int) -> bool:
        """Deliver the missing bars of one symbol; whether the exchange answered."""
        count, market_id, timeframe = 0, self._ids[symbol], self._bars.timeframe
        try:
            async with self._turns:
                async for page in self._rest.candles(symbol, market_id, timeframe, from_ms, end_ms):
                    wanted = [bar for bar in page if self._bars.wants(bar)]
                    for bar in wanted:
                        self._bars.delivered(bar)
                        self._put(bar)
                    count += len(wanted)
        except RestFailedError as error:
            self._gap.begin(from_ms, str(error))
            return False
        self._bars.settled(symbol, end_ms)
        if count:
            _log.info("candles_repaired", venue=self._rest.venue, symbol=symbol, bars=count)
        return True


class FundingSettling:
    """Asks for each settlement after its time until it is there.

    market_ids: the venue's id of each symbol. gap: opened while settlements are due that cannot be had.
    """

    def __init__(
        self,
        rest: Rest,
        market_ids: Mapping[str, str],
        funding: FundingAccount,
        gap: GapTeller,
        put: Put,
        settings: VenuesSettings,
        clock: Clock,
    ) -> None:
        self.meter = Meter()
        self._rest = rest
        self._ids = market_ids
        self._funding = funding
        self._gap = gap
        self._put = put
        self._clock = clock
        self._delay_ms = int(settings.funding_delay_seconds * 1000)
        self._listed: Mapping[str, float] | None = None

    async def run(self) -> None:
        """Look every few seconds until cancelled."""
        longest_s = _LONGEST_FUNDING_PAUSE_S
        pause_s = min(longest_s, max(_SHORTEST_PAUSE_S, longest_s / self._clock.speed))
        while True:
            await asyncio.sleep(pause_s)
            moment = self._clock.now_ms() - self._delay_ms
            try:
                for symbol in self._funding.due(moment):
                    await self._ask(symbol)
            except RestFailedError as error:
                self._gap.begin(moment, str(error))
                await asyncio.sleep(_AFTER_FAILURE_S)
            else:
                self._gap.end()

    async def _ask(self, symbol: str) -> None:
        market_id = self._ids[symbol]
        if self._listed is None:
            self._listed = await self._rest.funding_intervals()
        rows = await self._rest.settlements(market_id, self._funding.ask_from_ms(symbol))
        listed_hours = self._listed.get(market_id, UNLISTED_HOURS)
        for rate in self._funding.take(symbol, rows, venue=self._rest.venue, listed_hours=listed_hours):
            self._put(rate)
            self.meter.hear(self._clock.monotonic(), rate.ts_ms)

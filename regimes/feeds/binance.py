"""The live feed: candles and book from one venue, liquidations, funding, mark price and open interest from another."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from regimes.clock import Clock
from regimes.errors import ConfigError, VenueError
from regimes.features.base import Need, Universe, longest
from regimes.feeds.base import Sink
from regimes.feeds.cache import CandleCache
from regimes.feeds.history import Progress, Source, Warmup
from regimes.feeds.line import Backoff
from regimes.feeds.repair import TIMEFRAME
from regimes.feeds.rest import RestFailedError
from regimes.feeds.session import Session
from regimes.feeds.settings import VenuesSettings
from regimes.feeds.status import StreamStatus
from regimes.feeds.symbols import check_known
from regimes.feeds.venue import Venue
from regimes.observations import DataKind, Unavailable

_log = structlog.get_logger()

PRICE_KINDS: Final[tuple[DataKind, ...]] = ("candle", "depth")
DERIVATIVE_KINDS: Final[tuple[DataKind, ...]] = ("liquidation", "funding", "mark_price", "open_interest")


class BinanceFeed:
    """Binance's family of venues as one feed: `open`, `warmup`, then `run` until cancelled, and `close`.

    venues: where from and how patiently. universe: what to watch. cache_dir: where closed candles are kept between
    runs, None for nowhere. seen_until_ms: up to when an earlier run has seen every liquidation. needs: candles of other
    lengths than an hour that are named here are streamed as well. Also an async context manager (open and close). One instance runs once.
    """

    def __init__(
        self,
        venues: VenuesSettings,
        universe: Universe,
        clock: Clock,
        cache_dir: Path | None = None,
        *,
        seen_until_ms: int | None = None,
        needs: Iterable[Need] = (),
    ) -> None:
        names: list[str] = [name for name in (venues.spot, venues.derivatives) if name]
        if not names:
            raise ConfigError("venues: spot and derivatives are both empty; set at least one of them")
        self._settings = venues
        self._universe = universe
        self._clock = clock
        self._cache = CandleCache(cache_dir) if cache_dir is not None else None
        self._venues = {name: Venue(name, venues, clock, sets_clock=name == names[0]) for name in names}
        self._price_venue = self._venues[names[0]]
        self._derivatives_venue = self._venues.get(venues.derivatives)
        self._reach: dict[tuple[DataKind, str, str], int] = {}
        self._sessions: dict[str, Session] = {}
        self._opened = False
        self._warm = asyncio.Event()
        self._warm.set()
        self._seen_until_ms = seen_until_ms
        self._other_bars = {
            need.timeframe: need.symbols
            for need in longest(needs)
            if need.kind == "candle" and need.timeframe not in {None, TIMEFRAME}
        }

    async def open(self) -> None:
        """Reach the venues, compare clocks, check the symbols.

        Raises ConfigError for a symbol no venue has, VenueError when every venue refuses us; then everything is closed.
        A venue that cannot be reached for now is tried again by `run`.
        """
        self._opened = True
        try:
            await self._reach_venues()
        except BaseException:
            await self.close()
            raise

    async def _reach_venues(self) -> None:
        async with asyncio.TaskGroup() as group:
            for venue in self._venues.values():
                group.create_task(venue.try_load())
        self._raise_if_all_blocked()
        known = {name: venue.symbols for name, venue in self._venues.items() if venue.loaded}
        if len(known) == len(self._venues):
            check_known(self._universe.symbols, known)

    async def warmup(
        self, needs: Iterable[Need], progress: Callable[[Progress], None] | None = None
    ) -> Warmup:
        """Fetch history; the result hands it over in time order. What fell short is repaired while running."""
        symbols = self._universe.symbols
        prices, derivatives = self._price_venue, self._derivatives_venue
        history = Warmup(
            candles=Source(prices.rest, prices.market_ids(symbols)),
            funding=None
            if derivatives is None
            else Source(derivatives.rest, derivatives.market_ids(symbols)),
            clock=self._clock,
            cache=self._cache,
            concurrency=self._settings.rest_concurrency,
            progress=progress,
        )
        await history.fetch(needs)
        self._reach = history.reach
        return history

    async def run(self, sink: Sink, *, warm: asyncio.Event | None = None) -> None:
        """Deliver observations until cancelled; then everything is closed. Raises VenueError when no venue serves us.

        warm: to be set when `warmup` is over, where that runs at the same time. Until then only liquidations and mark
        prices are delivered, as a liquidation cannot be asked for later.
        """
        self._warm = warm or self._warm
        refused: VenueError | None = None
        try:
            if not self._opened:
                await self.open()
            for told in self._lacking():
                sink.put(told)
            async with asyncio.TaskGroup() as group:
                for venue in self._venues.values():
                    group.create_task(self._keep(venue, sink))
        except* VenueError as group:
            refused = _first(group)
        finally:
            await self.close()
        if refused is not None:
            raise refused

    async def _keep(self, venue: Venue, sink: Sink) -> None:
        """Run one venue for ever; when it refuses us say so and leave the others alone."""
        try:
            await self._serve(venue, sink)
        except* VenueError as group:
            venue.blocked = _first(group)
        _log.error("venue_blocked", venue=venue.name, error=str(venue.blocked))
        if venue.blocked is not None:
            for told in self._refused(venue, venue.blocked):
                sink.put(told)
        self._raise_if_all_blocked()

    async def _serve(self, venue: Venue, sink: Sink) -> None:
        if venue.blocked is not None:
            raise venue.blocked
        backoff = Backoff(self._settings.reconnect_max_seconds)
        while not venue.loaded:
            await asyncio.sleep(backoff.next_s())
            try:
                await venue.load()
            except RestFailedError as error:
                _log.warning("venue_not_reached", venue=venue.name, error=str(error))
        for told in self._missing_markets(venue):
            sink.put(told)
        session = self._sessions[venue.name] = Session(
            venue,
            self._universe.symbols,
            self._settings,
            self._clock,
            sink,
            prices=venue is self._price_venue,
            derivatives=venue is self._derivatives_venue,
            warm=self._warm,
            reach=lambda: self._reach,
            seen_until_ms=self._seen_until_ms,
            other_bars=self._other_bars,
        )
        await session.run()

    def _kinds(self, venue: Venue) -> Iterator[DataKind]:
        if venue is self._price_venue:
            yield from PRICE_KINDS
        if venue is self._derivatives_venue:
            yield from DERIVATIVE_KINDS

    def unavailable(self) -> Iterator[Unavailable]:
        """What no venue, or not the one it should come from, has for us; known once the feed is open."""
        yield from self._lacking()
        for venue in self._venues.values():
            if venue.blocked is not None:
                yield from self._refused(venue, venue.blocked)
            elif venue.loaded:
                yield from self._missing_markets(venue)

    def _refused(self, venue: Venue, error: VenueError) -> Iterator[Unavailable]:
        for kind in self._kinds(venue):
            yield Unavailable(self._clock.now_ms(), venue.name, kind, None, str(error))

    def _lacking(self) -> Iterator[Unavailable]:
        """Data no configured venue has."""
        if self._derivatives_venue is None:
            name = self._price_venue.name
            reason = f"{name} has spot markets only and venues.derivatives is empty"
            for kind in DERIVATIVE_KINDS:
                yield Unavailable(self._clock.now_ms(), name, kind, None, reason)

    def _missing_markets(self, venue: Venue) -> Iterator[Unavailable]:
        """Configured symbols this venue does not have."""
        market = "perpetual" if venue.perpetual else "spot market"
        for symbol in self._universe.symbols:
            if symbol not in venue.symbols:
                for kind in self._kinds(venue):
                    reason = f"{venue.name} has no {market} {symbol}"
                    yield Unavailable(self._clock.now_ms(), venue.name, kind, symbol, reason)

    def _raise_if_all_blocked(self) -> None:
        blocked = [venue.blocked for venue in self._venues.values() if venue.blocked is not None]
        if len(blocked) == len(self._venues):
            raise blocked[-1]

    def status(self) -> list[StreamStatus]:
        """How alive each stream of each venue is; empty before `run`."""
        return [status for session in self._sessions.values() for status in session.status()]

    def problems(self) -> dict[str, str]:
        """By venue, why it does not serve us now; venues in order are left out."""
        found = {}
        for name, venue in self._venues.items():
            if venue.blocked is not None:
                found[name] = str(venue.blocked)
            elif not venue.loaded:
                found[name] = "not reached yet"
            elif (pause_s := venue.exchange.budget.paused_for_s) > 0:
                found[name] = f"REST paused by the exchange for another {pause_s:.0f} s"
        return found

    def clock_offsets_ms(self) -> dict[str, int]:
        """By venue, the exchange's clock minus ours as last measured; venues not measured are left out."""
        return {name: v.offset_ms for name, v in self._venues.items() if v.offset_ms is not None}

    async def close(self) -> None:
        """Release sockets and sessions; safe to call twice."""
        await asyncio.gather(*(venue.close() for venue in self._venues.values()))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _first(group: BaseExceptionGroup[VenueError]) -> VenueError:
    """The first error inside groups of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, VenueError) else VenueError(str(error))

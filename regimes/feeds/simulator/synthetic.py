"""A seeded market that behaves like one: any number of symbols, half a year of history, weeks of future."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from zlib import crc32

import numpy as np

from regimes.errors import ConfigError
from regimes.feeds.simulator.book import grid_step, make_book
from regimes.feeds.simulator.forced import ForcedOrders
from regimes.feeds.simulator.funding import funding_rate
from regimes.feeds.simulator.paths import Knots
from regimes.feeds.simulator.profiles import listing, profile
from regimes.feeds.simulator.returns import HourlyMarket, beta, cascade_prices, generate
from regimes.feeds.simulator.scenarios import SCENARIOS, Cascade, Scenario, shape
from regimes.feeds.simulator.series import Series
from regimes.feeds.simulator.source import (
    Bar,
    Bars,
    Book,
    FloatArray,
    ForcedOrder,
    Funding,
    Listing,
    Mark,
    Venue,
)
from regimes.timeframe import HOUR_MS, WEEK_MS, bar_open

HISTORY_WEEKS: Final = 27
FUTURE_WEEKS: Final = 3
_FUNDING_HOURS: Final = 8
_SHORT_FUNDING_HOURS: Final = 4
_BOOK_LEVEL_USD_SHARE: Final = 2e-4


class SyntheticMarket:
    """A `MarketSource` drawn from a seed: the same arguments give the same market, to the last digit.

    symbols: configured spelling, such as `BTC/USDT`; each is listed on both venues. start_ms: when the exchange opens.
    scenario: what happens soon after that. History is complete for 26 weeks, the future lasts three weeks.
    """

    forced_orders_are_thinned = False

    def __init__(
        self, symbols: Sequence[str], start_ms: int, seed: int = 0, scenario: Scenario = "mixed"
    ) -> None:
        if scenario not in SCENARIOS:
            raise ConfigError(f"scenario must be one of {', '.join(SCENARIOS)} (got {scenario!r})")
        if not symbols or len(set(symbols)) < len(symbols):
            raise ConfigError(f"symbols must be given, each once (got {list(symbols)!r})")
        self.start_ms = start_ms
        first_ms = bar_open(start_ms, HOUR_MS) - HISTORY_WEEKS * WEEK_MS
        open_ms = np.arange(first_ms, start_ms + FUTURE_WEEKS * WEEK_MS, HOUR_MS, dtype=np.int64)
        self.end_ms: int | None = int(open_ms[-1]) + HOUR_MS
        self._seed = seed
        self._profiles = [profile(symbol) for symbol in symbols]
        self._listings: dict[Venue, dict[str, Listing]] = {
            venue: {item.id: item for item in (listing(p, venue) for p in self._profiles)}
            for venue in ("spot", "usdm")
        }
        self._index = {name: i for i, name in enumerate(self._listings["usdm"])}
        shaping = shape(scenario, first_ms, len(open_ms), len(symbols), start_ms)
        rng = np.random.default_rng(seed)
        self._hours = generate(self._profiles, open_ms, int((start_ms - first_ms) // HOUR_MS), shaping, rng)
        self._cascades = shaping.cascades
        self._series: dict[tuple[Venue, str], Series] = {}
        self._forced = ForcedOrders(
            self._profiles,
            list(self._listings["usdm"].values()),
            self._perpetual_seconds,
            shaping.cascades,
            seed,
        )
        self._settled = lru_cache(maxsize=None)(self._settle)

    def listings(self, venue: Venue) -> Mapping[str, Listing]:
        return self._listings[venue]

    def bars(
        self, venue: Venue, symbol_id: str, step_ms: int, first_ms: int, last_ms: int, at_ms: int
    ) -> Bars:
        return self._of(venue, symbol_id).bars(step_ms, first_ms, last_ms, at_ms)

    def bar(self, venue: Venue, symbol_id: str, step_ms: int, at_ms: int) -> Bar | None:
        return self._of(venue, symbol_id).bar(step_ms, at_ms)

    def mark(self, symbol_id: str, at_ms: int) -> Mark | None:
        index_price = self._of("spot", symbol_id).price(at_ms)
        if index_price is None:
            return None
        row = self._row(at_ms)
        premium = float(self._hours.premium[self._index[symbol_id], row])
        interval_ms = self.funding_hours(symbol_id) * HOUR_MS
        from_ms = bar_open(at_ms, interval_ms)
        rate = self._rate(symbol_id, from_ms, at_ms)
        return Mark(index_price * (1 + premium), index_price, rate, from_ms + interval_ms)

    def fundings(self, symbol_id: str, first_ms: int, last_ms: int) -> Sequence[Funding]:
        interval_ms = self.funding_hours(symbol_id) * HOUR_MS
        earliest = int(self._hours.open_ms[0]) + interval_ms
        first = -(-max(first_ms, earliest) // interval_ms) * interval_ms
        last = min(last_ms, int(self._hours.open_ms[-1]) + HOUR_MS)
        return [self._settled(symbol_id, ts) for ts in range(first, last + 1, interval_ms)]

    def funding_hours(self, symbol_id: str) -> int:
        return _SHORT_FUNDING_HOURS if self._index[symbol_id] % 3 == 2 else _FUNDING_HOURS

    def open_interest(self, symbol_id: str, at_ms: int) -> float | None:
        which = self._index[symbol_id]
        character = self._profiles[which]
        level = float(self._hours.interest[which, self._row(at_ms)])
        return character.open_interest_usd / character.price * level

    def forced_orders(self, first_ms: int, last_ms: int) -> Sequence[ForcedOrder]:
        return self._forced.between(first_ms, last_ms)

    def book(self, venue: Venue, symbol_id: str, at_ms: int) -> Book | None:
        price = self._of(venue, symbol_id).price(at_ms)
        if price is None:
            return None
        item, character = self._listings[venue][symbol_id], self._profiles[self._index[symbol_id]]
        step = grid_step(character.price, item.price_decimals)
        level_qty = character.hourly_volume_usd * _BOOK_LEVEL_USD_SHARE / character.price
        key = crc32(f"{venue}{symbol_id}{self._seed}".encode())
        return make_book(price, step, level_qty, key, at_ms, walls=True)

    def _row(self, at_ms: int) -> int:
        row = (at_ms - int(self._hours.open_ms[0])) // HOUR_MS
        return min(max(row, 0), len(self._hours.open_ms) - 1)

    def _rate(self, symbol_id: str, from_ms: int, to_ms: int) -> float:
        rows = slice(self._row(from_ms), self._row(max(from_ms, to_ms - 1)) + 1)
        premium = self._hours.premium[self._index[symbol_id], rows]
        return funding_rate(premium, self.funding_hours(symbol_id))

    def _settle(self, symbol_id: str, ts_ms: int) -> Funding:
        from_ms = ts_ms - self.funding_hours(symbol_id) * HOUR_MS
        mark = self.mark(symbol_id, ts_ms)
        return Funding(ts_ms, self._rate(symbol_id, from_ms, ts_ms), mark.mark_price if mark else None)

    def _perpetual_seconds(self, which: int, open_ms: int) -> FloatArray | None:
        return self._of("usdm", self._profiles[which].symbol.replace("/", "")).seconds(open_ms)

    def _of(self, venue: Venue, symbol_id: str) -> Series:
        series = self._series.get((venue, symbol_id))
        if series is None:
            which = self._index[symbol_id]
            series = _series(
                self._hours,
                which,
                self._listings[venue][symbol_id],
                self._hours.premium[which] if venue == "usdm" else np.zeros(len(self._hours.open_ms)),
                [(c, float(beta([self._profiles[which]])[0]), c.recovery_of(which)) for c in self._cascades],
                (self._seed, crc32(symbol_id.encode())),
            )
            self._series[venue, symbol_id] = series
        return series


def _series(
    hours: HourlyMarket,
    which: int,
    item: Listing,
    premium: FloatArray,
    cascades: Sequence[tuple[Cascade, float, float]],
    key: tuple[int, int],
) -> Series:
    """Lay one symbol's hours out as the exchange rounds them, `premium` above spot."""
    scale, decimals = 1 + premium, item.price_decimals
    open_, high, low, close = (
        np.round(column[which] * scale, decimals)
        for column in (hours.open, hours.high, hours.low, hours.close)
    )
    knots: dict[int, Knots] = {}
    for cascade, own_beta, recovery in cascades:
        row = int((cascade.onset_ms - hours.open_ms[0]) // HOUR_MS)
        marks = cascade_prices(cascade, own_beta, recovery, int(hours.open_ms[row]), float(open_[row]))
        prices = [round(price, decimals) for _, price in marks]
        knots[int(hours.open_ms[row])] = Knots([at for at, _ in marks], prices)
        high[row], low[row], close[row] = max(prices), min(prices), prices[-1]
    volume = np.round(hours.volume_usd[which] / close, item.qty_decimals)
    quote = volume * (open_ + high + low + close) / 4
    taker = np.round(volume * (0.5 + np.clip(20 * (close / open_ - 1), -0.2, 0.2)), item.qty_decimals)
    bars = Bars(hours.open_ms, open_, high, low, close, volume, quote, taker)
    return Series(bars, decimals=decimals, key=key, knots=knots)

"""A market read from recordings: Parquet candles, settled funding and forced orders, replayed as they were."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, cast
from zlib import crc32

import numpy as np
import polars as pl

from regimes.errors import ConfigError
from regimes.feeds import recordings
from regimes.feeds.simulator.book import flat_book
from regimes.feeds.simulator.series import Series
from regimes.feeds.simulator.source import (
    Bar,
    Bars,
    Book,
    FloatArray,
    ForcedOrder,
    Funding,
    IntArray,
    Listing,
    Mark,
    OrderSide,
    Venue,
)
from regimes.timeframe import HOUR_MS

_PREFIX: Final[dict[Venue, recordings.Market]] = {"spot": "spot", "usdm": "um"}
_FINER: Final = ("1m", "15m")
_QUOTES: Final = ("USDT", "USDC", "BUSD", "FDUSD", "BTC", "USD")
_MAX_DECIMALS: Final = 10
_USUAL_FUNDING_HOURS: Final = 8


class RecordedMarket:
    """A `MarketSource` over a folder of recordings.

    data_dir: laid out as `regimes.feeds.recordings` says.
    symbols: configured spelling; each needs hourly candles of one venue at least. start_ms, end_ms: the span that is
    streamed; forced orders are those of every symbol. Hours that were not recorded stay missing.
    Recordings lack quote and taker volumes: quote volume is taken at the bar's mean price, taker buys as half.
    Raises ConfigError for a folder, symbol or span that cannot be served, DataError for a file of another form.
    """

    forced_orders_are_thinned = True

    def __init__(self, data_dir: Path, symbols: Sequence[str], start_ms: int, end_ms: int) -> None:
        if not (data_dir / "candles").is_dir():
            raise ConfigError(f"{data_dir}: no folder `candles` there; give the folder that holds it")
        if end_ms <= start_ms:
            raise ConfigError(f"the replayed span must end after it starts (got {start_ms} to {end_ms})")
        self.start_ms = start_ms
        self.end_ms: int | None = end_ms
        self._data_dir = data_dir
        self._orders = _forced_orders(data_dir, start_ms, end_ms)
        self._order_times = [order.ts_ms for order in self._orders]
        self._series: dict[tuple[Venue, str], Series] = {}
        self._listings: dict[Venue, dict[str, Listing]] = {"spot": {}, "usdm": {}}
        for symbol in symbols:
            self._load(symbol)
        self._fundings = {name: _fundings(data_dir, name) for name in self._listings["usdm"]}
        self._interest = {name: _open_interest(data_dir, name) for name in self._listings["usdm"]}
        for item in _liquidated_listings(self._orders):
            self._listings["usdm"].setdefault(item.id, item)

    def listings(self, venue: Venue) -> Mapping[str, Listing]:
        return self._listings[venue]

    def bars(
        self, venue: Venue, symbol_id: str, step_ms: int, first_ms: int, last_ms: int, at_ms: int
    ) -> Bars:
        series = self._series.get((venue, symbol_id))
        return series.bars(step_ms, first_ms, last_ms, self._known(at_ms)) if series else _no_bars()

    def bar(self, venue: Venue, symbol_id: str, step_ms: int, at_ms: int) -> Bar | None:
        series = self._series.get((venue, symbol_id))
        return series.bar(step_ms, self._known(at_ms)) if series else None

    def mark(self, symbol_id: str, at_ms: int) -> Mark | None:
        """Mark price is the last price, index price that of spot where it was recorded; the rate drifts to the next one settled."""
        price = self._price("usdm", symbol_id, at_ms)
        if price is None:
            return None
        index_price = self._price("spot", symbol_id, at_ms)
        interval_ms = self.funding_hours(symbol_id) * HOUR_MS
        next_ms = (at_ms // interval_ms + 1) * interval_ms
        return Mark(price, index_price or price, self._predicted(symbol_id, at_ms, interval_ms), next_ms)

    def fundings(self, symbol_id: str, first_ms: int, last_ms: int) -> Sequence[Funding]:
        times, rates = self._fundings.get(symbol_id, _NO_FUNDING)
        first, last = np.searchsorted(times, [first_ms, last_ms + 1]).tolist()
        found = zip(times[first:last].tolist(), rates[first:last].tolist(), strict=True)
        return [Funding(ts, rate, self._price("usdm", symbol_id, ts)) for ts, rate in found]

    def funding_hours(self, symbol_id: str) -> int:
        times, _ = self._fundings.get(symbol_id, _NO_FUNDING)
        recent = times[times <= self.start_ms][-2:]
        return round(int(recent[1] - recent[0]) / HOUR_MS) if len(recent) == 2 else _USUAL_FUNDING_HOURS

    def open_interest(self, symbol_id: str, at_ms: int) -> float | None:
        recorded = self._interest.get(symbol_id)
        row = -1 if recorded is None else int(np.searchsorted(recorded[0], at_ms - HOUR_MS, side="right")) - 1
        if recorded is None or row < 0 or at_ms - int(recorded[0][row]) > 2 * HOUR_MS:
            return None
        return float(recorded[1][row])

    def forced_orders(self, first_ms: int, last_ms: int) -> Sequence[ForcedOrder]:
        first, last = np.searchsorted(self._order_times, [first_ms, last_ms + 1]).tolist()
        return self._orders[first:last]

    def book(self, venue: Venue, symbol_id: str, at_ms: int) -> Book | None:
        """One level a side at the last price: books were not recorded, and none is made up."""
        price = self._price(venue, symbol_id, at_ms)
        if price is None:
            return None
        item = self._listings[venue][symbol_id]
        return flat_book(price, 10.0**-item.price_decimals, 10.0**-item.qty_decimals)

    def _known(self, at_ms: int) -> int:
        """Nothing is known of what came after the end, not even where the file goes on."""
        return at_ms if self.end_ms is None else min(at_ms, self.end_ms - 1)

    def _price(self, venue: Venue, symbol_id: str, at_ms: int) -> float | None:
        series = self._series.get((venue, symbol_id))
        return series.price(self._known(at_ms)) if series else None

    def _predicted(self, symbol_id: str, at_ms: int, interval_ms: int) -> float:
        times, rates = self._fundings.get(symbol_id, _NO_FUNDING)
        row = int(np.searchsorted(times, at_ms, side="right"))
        if row == 0 or row == len(times):
            return float(rates[row - 1]) if row else 0.0
        share = at_ms % interval_ms / interval_ms
        return round(float(rates[row - 1] * (1 - share) + rates[row] * share), 8)

    def _load(self, symbol: str) -> None:
        base, quote = symbol.split("/")
        symbol_id = base + quote
        for venue, prefix in _PREFIX.items():
            hours = _candles(self._data_dir, prefix, symbol_id, "1h")
            if hours is None:
                continue
            item = _listing(base, quote, hours)
            finer = [_candles(self._data_dir, prefix, symbol_id, step) for step in _FINER]
            self._listings[venue][symbol_id] = item
            self._series[venue, symbol_id] = Series(
                hours,
                decimals=item.price_decimals,
                key=(crc32(symbol_id.encode()),),
                finer=[bars for bars in finer if bars is not None],
            )
        if not any(symbol_id in listed for listed in self._listings.values()):
            raise ConfigError(
                f"{self._data_dir}: no hourly candles of {symbol} (candles/*_{symbol_id}_1h.parquet)"
            )


_NO_FUNDING: Final = (np.array([], dtype=np.int64), np.array([], dtype=np.float64))


def _candles(data_dir: Path, prefix: recordings.Market, symbol_id: str, step: str) -> Bars | None:
    path = recordings.candle_file(data_dir, prefix, symbol_id, step)
    if not path.exists():
        return None
    frame = recordings.read(path, recordings.CANDLE_COLUMNS)
    ts, open_, high, low, close, volume = (frame[name].to_numpy() for name in recordings.CANDLE_COLUMNS)
    return Bars(ts, open_, high, low, close, volume, volume * (open_ + high + low + close) / 4, volume / 2)


def _no_bars() -> Bars:
    nothing = np.array([], dtype=np.float64)
    return Bars(np.array([], dtype=np.int64), *(nothing,) * 7)


def _fundings(data_dir: Path, symbol_id: str) -> tuple[IntArray, FloatArray]:
    path = recordings.funding_file(data_dir, symbol_id)
    if not path.exists():
        return _NO_FUNDING
    frame = recordings.read(path, recordings.FUNDING_COLUMNS)
    return frame["ts"].to_numpy(), frame["rate"].to_numpy()


def _open_interest(data_dir: Path, symbol_id: str) -> tuple[IntArray, FloatArray] | None:
    paths = recordings.sum_files(data_dir, symbol_id)
    if not paths:
        return None
    frame = pl.concat([recordings.read(path, ("ts", "oi_close")) for path in paths]).drop_nulls("oi_close")
    return frame["ts"].to_numpy(), frame["oi_close"].to_numpy()


def _forced_orders(data_dir: Path, start_ms: int, end_ms: int) -> list[ForcedOrder]:
    found: list[ForcedOrder] = []
    for path in recordings.order_files(data_dir):
        for page in recordings.pages(path, recordings.ORDER_COLUMNS, start_ms, end_ms + 1):
            for ts, symbol_id, side, *numbers in page.iter_rows():
                recordings.closed_side(side, path, ts)
                found.append(ForcedOrder(ts, symbol_id, cast("OrderSide", side), *numbers))
    return sorted(found, key=lambda order: order.ts_ms)


def _listing(base: str, quote: str, hours: Bars) -> Listing:
    recent = hours.part(max(0, len(hours) - 500), len(hours))
    return Listing(
        base + quote, base, quote, _decimals(recent.close.tolist()), _decimals(recent.volume.tolist())
    )


def _liquidated_listings(orders: Sequence[ForcedOrder]) -> Iterable[Listing]:
    """Instruments of which nothing but forced orders was recorded."""
    of_symbol: dict[str, list[ForcedOrder]] = {}
    for order in orders:
        of_symbol.setdefault(order.symbol_id, []).append(order)
    for symbol_id, own in of_symbol.items():
        quote = next((q for q in _QUOTES if symbol_id.endswith(q)), "")
        base = symbol_id.removesuffix(quote)
        price_decimals = _decimals([order.price for order in own])
        qty_decimals = _decimals([order.qty for order in own])
        yield Listing(symbol_id, base, quote or "USDT", price_decimals, qty_decimals)


def _decimals(values: Sequence[float]) -> int:
    """How many decimals it takes to write each value exactly."""
    texts = (np.format_float_positional(value, trim="-") for value in values)
    return min(_MAX_DECIMALS, max((len(text.partition(".")[2]) for text in texts), default=0))

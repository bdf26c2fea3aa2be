"""The REST calls of spot and USD-M, with Binance's parameters, limits and error bodies."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from regimes.feeds.simulator import frames
from regimes.feeds.simulator.depth import DepthBooks
from regimes.feeds.simulator.source import Listing, MarketSource, Venue
from regimes.feeds.simulator.topics import TIMEFRAMES
from regimes.timeframe import DAY_MS, HOUR_MS, to_ms

_MAX_KLINES: Final[dict[Venue, int]] = {"spot": 1000, "usdm": 1500}
_DEPTH_LIMITS: Final[dict[Venue, range | tuple[int, ...]]] = {
    "spot": range(1, 5001),
    "usdm": (5, 10, 20, 50, 100, 500, 1000),
}
_MISSING_BARS: Final = 100
"""How many bars missing at the source a call may skip to fill its limit."""
_DELIVERY_OF_PERPETUALS_MS: Final = 4_133_404_800_000
_LISTED_MS: Final = 1_569_398_400_000


class RefusedError(Exception):
    """A call that Binance answers with HTTP 400, a code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UnknownCallError(Exception):
    """A path that the venue does not have."""


_NOT_TRADING: Final = RefusedError(-4108, "This contract is not in trading status.")


def _missing(name: str) -> RefusedError:
    return RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def _invalid(name: str) -> RefusedError:
    return RefusedError(-1130, f"Data sent for parameter '{name}' is not valid.")


Query: TypeAlias = Mapping[str, str]


class RestCalls:
    """Answers to REST calls from the market as it is at `now_ms`."""

    def __init__(
        self, source: MarketSource, depth: DepthBooks, now_ms: Callable[[], int], shift_ms: Callable[[], int]
    ) -> None:
        self._source = source
        self._depth = depth
        self._now_ms = now_ms
        self._shift_ms = shift_ms
        self._calls: dict[Venue, dict[str, Callable[[Venue, Query], Any]]] = {
            "spot": self._common(),
            "usdm": self._common()
            | {
                "fundingRate": self._funding_rate,
                "fundingInfo": self._funding_info,
                "premiumIndex": self._premium_index,
                "openInterest": self._open_interest,
            },
        }

    def answer(self, venue: Venue, call: str, query: Query) -> Any:
        """The JSON body of a call. Raises RefusedError as Binance would, UnknownCallError for a call it lacks."""
        handler = self._calls[venue].get(call)
        if handler is None:
            raise UnknownCallError(call)
        return handler(venue, query)

    def _common(self) -> dict[str, Callable[[Venue, Query], Any]]:
        return {
            "ping": lambda _venue, _query: {},
            "time": lambda _venue, _query: {"serverTime": self._server_ms()},
            "exchangeInfo": self._exchange_info,
            "klines": self._klines,
            "depth": self._depth_snapshot,
            "ticker/24hr": self._tickers,
        }

    def _server_ms(self) -> int:
        return self._now_ms() + self._shift_ms()

    def _exchange_info(self, venue: Venue, _query: Query) -> dict[str, Any]:
        symbol = _spot_symbol if venue == "spot" else _usdm_symbol
        return {
            "timezone": "UTC",
            "serverTime": self._server_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [symbol(listing) for listing in self._source.listings(venue).values()],
        }

    def _klines(self, venue: Venue, query: Query) -> list[list[Any]]:
        listing, now_ms = self._listing(venue, query), self._now_ms()
        step = _interval(query)
        limit = _limit(query, 500, _MAX_KLINES[venue], capped=venue == "spot")
        start, end = _time(query, "startTime"), _time(query, "endTime")
        last_ms = now_ms if end is None else min(end, now_ms)
        reach = (limit + _MISSING_BARS) * step
        if start is None:
            bars = self._source.bars(venue, listing.id, step, last_ms - reach, last_ms, now_ms)
            bars = bars.part(max(0, len(bars) - limit), len(bars))
        else:
            bars = self._source.bars(venue, listing.id, step, start, min(last_ms, start + reach), now_ms)
            while (
                len(bars) < limit and start + reach < last_ms
            ):  # before the first bar there is, or an outage
                reach *= 4
                bars = self._source.bars(venue, listing.id, step, start, min(last_ms, start + reach), now_ms)
            bars = bars.part(0, limit)
        return frames.kline_rows(listing, venue, step, bars, now_ms)

    def _depth_snapshot(self, venue: Venue, query: Query) -> dict[str, Any]:
        listing, now_ms = self._listing(venue, query), self._now_ms()
        limit = _integer(query, "limit", 100 if venue == "spot" else 500)
        if limit not in _DEPTH_LIMITS[venue]:
            raise _invalid("limit")
        book = self._depth.snapshot(venue, listing.id, now_ms)
        bids, asks = (book.bids[:limit], book.asks[:limit]) if book else ([], [])
        body: dict[str, Any] = {"lastUpdateId": book.update_id if book else 0}
        if venue == "usdm":
            body |= {"E": self._server_ms(), "T": self._server_ms()}
        return body | {"bids": bids, "asks": asks}

    def _tickers(self, venue: Venue, query: Query) -> Any:
        if "symbol" in query:
            return self._ticker(venue, self._listing(venue, query))
        return [self._ticker(venue, listing) for listing in self._source.listings(venue).values()]

    def _ticker(self, venue: Venue, listing: Listing) -> dict[str, Any]:
        """The last 24 hours, to the hour."""
        now_ms = self._now_ms()
        bars = self._source.bars(venue, listing.id, HOUR_MS, now_ms - DAY_MS, now_ms, now_ms)
        price, qty, quote = frames.text_decimals(listing, venue)
        traded = len(bars) > 0
        open_, close = (float(bars.open[0]), float(bars.close[-1])) if traded else (0.0, 0.0)
        change = (close / open_ - 1) * 100 if traded else 0.0
        volume, turnover = float(bars.volume.sum()), float(bars.quote_volume.sum())
        return {
            "symbol": listing.id,
            "priceChange": frames.fixed(close - open_, price),
            "priceChangePercent": frames.fixed(change, 3),
            "weightedAvgPrice": frames.fixed(turnover / volume if volume else 0.0, price),
            "lastPrice": frames.fixed(close, price),
            "openPrice": frames.fixed(open_, price),
            "highPrice": frames.fixed(float(bars.high.max()) if traded else 0.0, price),
            "lowPrice": frames.fixed(float(bars.low.min()) if traded else 0.0, price),
            "volume": frames.fixed(volume, qty),
            "quoteVolume": frames.fixed(turnover, quote),
            "openTime": now_ms - DAY_MS,
            "closeTime": now_ms,
            "firstId": (now_ms - DAY_MS) // 1000,
            "lastId": now_ms // 1000,
            "count": DAY_MS // 1000,
        }

    def _funding_rate(self, venue: Venue, query: Query) -> list[dict[str, Any]]:
        now_ms, limit = self._now_ms(), _limit(query, 100, 1000)
        start, end = _time(query, "startTime"), _time(query, "endTime")
        last_ms = now_ms if end is None else min(end, now_ms)
        wanted = [self._listing(venue, query)] if "symbol" in query else self._source.listings(venue).values()
        first_ms = start if start is not None else last_ms - limit * 8 * HOUR_MS
        rows = [
            frames.funding_row(listing, funding)
            for listing in wanted
            for funding in self._source.fundings(listing.id, first_ms, last_ms)
        ]
        rows.sort(key=lambda row: int(row["fundingTime"]))
        return rows[:limit] if start is not None else rows[-limit:]

    def _funding_info(self, venue: Venue, _query: Query) -> list[dict[str, Any]]:
        """Only instruments whose interval is not the usual one, as Binance lists them."""
        hours = {name: self._source.funding_hours(name) for name in self._source.listings(venue)}
        return [
            {
                "symbol": name,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": interval,
                "disclaimer": False,
            }
            for name, interval in hours.items()
            if interval != 8
        ]

    def _premium_index(self, venue: Venue, query: Query) -> Any:
        listings = self._source.listings(venue).values()
        wanted = [self._listing(venue, query)] if "symbol" in query else listings
        now_ms = self._now_ms()
        marks = ((listing, self._source.mark(listing.id, now_ms)) for listing in wanted)
        rows = [frames.premium_index(listing, mark, self._server_ms()) for listing, mark in marks if mark]
        if "symbol" not in query:
            return rows
        if not rows:
            raise _NOT_TRADING
        return rows[0]

    def _open_interest(self, venue: Venue, query: Query) -> dict[str, Any]:
        listing = self._listing(venue, query)
        qty = self._source.open_interest(listing.id, self._now_ms())
        if qty is None:
            raise _NOT_TRADING
        text = frames.fixed(qty, listing.qty_decimals)
        return {"symbol": listing.id, "openInterest": text, "time": self._server_ms()}

    def _listing(self, venue: Venue, query: Query) -> Listing:
        if not query.get("symbol"):
            raise _missing("symbol")
        listing = self._source.listings(venue).get(query["symbol"])
        if listing is None:
            raise RefusedError(-1121, "Invalid symbol.")
        return listing


def _interval(query: Query) -> int:
    if not query.get("interval"):
        raise _missing("interval")
    if query["interval"] not in TIMEFRAMES:
        raise RefusedError(-1120, "Invalid interval.")
    return to_ms(query["interval"])


def _limit(query: Query, default: int, most: int, *, capped: bool = False) -> int:
    limit = _integer(query, "limit", default)
    if limit < 1 or (limit > most and not capped):
        raise _invalid("limit")
    return min(limit, most)


def _time(query: Query, name: str) -> int | None:
    return _integer(query, name, 0) if name in query else None


def _integer(query: Query, name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise RefusedError(-1100, f"Illegal characters found in parameter '{name}'.") from None


def _filters(listing: Listing) -> list[dict[str, str]]:
    tick, step = (f"{10.0**-n:.{n}f}" for n in (listing.price_decimals, listing.qty_decimals))
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "100000000", "stepSize": step},
    ]


def _spot_symbol(listing: Listing) -> dict[str, Any]:
    return {
        "symbol": listing.id,
        "status": "TRADING",
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(listing),
        "permissions": ["SPOT"],
    }


def _usdm_symbol(listing: Listing) -> dict[str, Any]:
    return {
        "symbol": listing.id,
        "pair": listing.id,
        "contractType": "PERPETUAL",
        "deliveryDate": _DELIVERY_OF_PERPETUALS_MS,
        "onboardDate": _LISTED_MS,
        "status": "TRADING",
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "marginAsset": listing.quote,
        "pricePrecision": listing.price_decimals,
        "quantityPrecision": listing.qty_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": _filters(listing),
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }

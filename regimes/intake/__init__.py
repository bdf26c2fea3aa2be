"""The door of the engine: what is wrong stays outside, is counted, and can be seen.

What passes has the right types, finite numbers of a believable size, times on the grid and near now, and is
seen once. It may still be late or out of order.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from regimes.features.base import Universe
from regimes.features.pieces import Pieces
from regimes.intake.faults import (
    EARLIEST_MS,
    LATEST_MS,
    MAX_INTERVAL_HOURS,
    MAX_PRICE,
    MAX_QUANTITY,
    MAX_RATE,
    MAX_USD,
    Fault,
    Reason,
    Rejection,
    candle_fault,
    is_named,
    liquidation_fault,
    moment,
    number_fault,
    place_of,
    rate_fault,
    time_fault,
)
from regimes.intake.memory import GridMemory, OrderKey, OrderMemory
from regimes.observations import (
    BookDepth,
    Candle,
    DataKind,
    FeedGap,
    FundingRate,
    Liquidation,
    MarkPrice,
    Observation,
    OpenInterest,
    Side,
    Tick,
    Unavailable,
)
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, bar_open, to_ms

__all__ = ["AHEAD_MS", "Intake", "Reason", "Rejection"]

AHEAD_MS: Final = MINUTE_MS
"""How far ahead of the last Tick an observation may be, where Ticks are not rarer than that."""
LIQUIDATION_AGE_MS: Final = DAY_MS + HOUR_MS
"""Liquidations older than this can no longer be in any window."""
_SIDES: Final = frozenset(get_args(Side))
_KINDS: Final = frozenset(get_args(DataKind))


class Intake:
    """Validates and removes doubles; remembers a bounded number of what it has seen.

    Candles, funding, marks, open interest and depth of symbols outside the universe are refused; liquidations
    of any symbol are taken, as the whole market's are summed. ahead_ms: how far ahead of the last Tick data may
    be; more than the event time between two Ticks.
    """

    def __init__(self, universe: Universe, *, ahead_ms: int = AHEAD_MS) -> None:
        self.accepted: Counter[str] = Counter()
        self.rejected: Counter[tuple[str, Reason]] = Counter()
        self.last_rejected: deque[Rejection] = deque(maxlen=20)
        self._symbols = frozenset(universe.symbols)
        self._ahead_ms = ahead_ms
        self._now_ms: int | None = None
        self._horizon_ms = LATEST_MS
        self._steps: dict[str, int] = {}
        self._grids: dict[str, GridMemory] = {}
        self._liquidations = OrderMemory(span_ms=HOUR_MS, capacity=50_000)
        self._newest_state: dict[str, int] = {}
        self._checks: dict[type, tuple[str, Callable[[Any], Fault | None]]] = {
            Candle: ("candle", self._candle),
            Liquidation: ("liquidation", self._liquidation),
            FundingRate: ("funding", self._funding),
            MarkPrice: ("mark_price", self._mark_price),
            OpenInterest: ("open_interest", self._open_interest),
            BookDepth: ("depth", self._depth),
            Tick: ("tick", self._tick),
            FeedGap: ("feed_gap", self._gap),
            Unavailable: ("unavailable", self._unavailable),
        }

    @property
    def ticked_ms(self) -> int | None:
        """The last Tick."""
        return self._now_ms

    def admit(self, observation: Observation) -> Rejection | None:
        """Let one observation in (None), or say why not. Never raises."""
        known = self._checks.get(type(observation))
        if known is None:
            return self._refuse(
                "unknown", observation, (Reason.MALFORMED, repr(type(observation)), "a known record")
            )
        kind, check = known
        try:
            fault = check(observation)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            fault = (Reason.MALFORMED, str(error), "fields of the declared types")
        if fault is None:
            self.accepted[kind] += 1
            return None
        return self._refuse(kind, observation, fault)

    def _refuse(self, kind: str, observation: Any, fault: Fault) -> Rejection:
        reason, value, rule = fault
        self.rejected[kind, reason] += 1
        words = Rejection(self._now_ms or 0, kind, reason, place_of(kind, observation), value[:200], rule)
        self.last_rejected.append(words)
        return words

    # -- one check for each type ------------------------------------------------------------------------------

    def _tick(self, tick: Tick) -> Fault | None:
        fault = time_fault(tick.ts_ms, LATEST_MS)
        if fault is not None:
            return fault
        if self._now_ms is not None and tick.ts_ms < self._now_ms:
            return (
                Reason.OUT_OF_ORDER,
                moment(tick.ts_ms),
                f"time does not go back before {moment(self._now_ms)}",
            )
        self._now_ms = tick.ts_ms
        self._horizon_ms = tick.ts_ms + self._ahead_ms
        return None

    def _candle(self, bar: Candle) -> Fault | None:
        low, high = bar.low, bar.high
        sound = (
            0.0 < low <= bar.open <= high <= MAX_PRICE
            and low <= bar.close <= high
            and 0.0 <= bar.base_volume <= MAX_QUANTITY
            and (bar.quote_volume is None or 0.0 <= bar.quote_volume <= MAX_QUANTITY)
            and (bar.taker_buy_volume is None or 0.0 <= bar.taker_buy_volume <= bar.base_volume * 1.000001)
        )
        if not sound:
            return candle_fault(bar)
        if bar.symbol not in self._symbols:
            return self._stranger(bar.symbol)
        step = self._steps.get(bar.timeframe) or self._steps.setdefault(bar.timeframe, to_ms(bar.timeframe))
        open_ms = bar.open_ms
        ends_ms = open_ms + step if bar.closed else open_ms
        if type(open_ms) is not int or not open_ms >= EARLIEST_MS or ends_ms > self._horizon_ms:
            return time_fault(open_ms, self._horizon_ms - (step if bar.closed else 0))
        if bar_open(open_ms, step) != open_ms:
            return (
                Reason.MISALIGNED,
                moment(open_ms),
                f"a {bar.timeframe} bar opens on the grid of {bar.timeframe}",
            )
        grid = self._grid("candle", bar.venue, bar.symbol, bar.timeframe, step)
        values = (bar.open, high, low, bar.close, bar.base_volume)
        return grid.admit(open_ms, values) if bar.closed else grid.admit_unfinished(open_ms)

    def _liquidation(self, order: Liquidation) -> Fault | None:
        price, quantity, usd = order.fill_price, order.base_qty, order.quote_usd
        if not (0.0 < price <= MAX_PRICE and 0.0 < quantity <= MAX_QUANTITY and 0.0 < usd <= MAX_USD):
            return liquidation_fault(order)
        ts_ms = order.ts_ms
        if type(ts_ms) is not int or not EARLIEST_MS <= ts_ms <= self._horizon_ms:
            return time_fault(ts_ms, self._horizon_ms)
        if self._now_ms is not None and ts_ms < self._now_ms - LIQUIDATION_AGE_MS:
            return Reason.TOO_OLD, moment(ts_ms), "a liquidation is at most 25 h old"
        known = order.symbol in self._symbols or is_named(order.symbol)
        if order.closed not in _SIDES or not (known and is_named(order.venue)):
            words = repr((order.venue, order.symbol, order.closed))
            return Reason.MALFORMED, words, "a venue, a symbol, and the side that was closed: long or short"
        key = OrderKey(order.venue, order.symbol, order.closed, ts_ms, quantity, price)
        if not self._liquidations.add(key):
            return Reason.DUPLICATE, f"{quantity} at {price}", "each liquidation counts once"
        return None

    def _funding(self, funding: FundingRate) -> Fault | None:
        rate, interval = funding.rate, funding.interval_hours
        if not -MAX_RATE <= rate <= MAX_RATE:
            return rate_fault("rate", rate)
        if not 0.0 < interval <= MAX_INTERVAL_HOURS:
            return number_fault("interval_hours", interval, MAX_INTERVAL_HOURS)
        fault = time_fault(funding.ts_ms, self._horizon_ms)
        if fault is not None:
            return fault
        if funding.symbol not in self._symbols:
            return self._stranger(funding.symbol)
        # Exchanges stamp a settlement some milliseconds after the hour it belongs to, not always the same.
        settled = (funding.ts_ms + HOUR_MS // 2) // HOUR_MS * HOUR_MS
        return self._grid("funding", funding.venue, funding.symbol, "1h", HOUR_MS).admit(
            settled, (rate, interval)
        )

    def _mark_price(self, mark: MarkPrice) -> Fault | None:
        if not 0.0 < mark.mark_price <= MAX_PRICE:
            return number_fault("mark_price", mark.mark_price, MAX_PRICE)
        if mark.index_price is not None and not 0.0 < mark.index_price <= MAX_PRICE:
            return number_fault("index_price", mark.index_price, MAX_PRICE)
        if mark.predicted_rate is not None and not -MAX_RATE <= mark.predicted_rate <= MAX_RATE:
            return rate_fault("predicted_rate", mark.predicted_rate)
        next_ms = mark.next_funding_ms
        if next_ms is not None and (type(next_ms) is not int or not EARLIEST_MS <= next_ms <= LATEST_MS):
            return time_fault(next_ms, LATEST_MS)
        return self._state("mark", mark)

    def _open_interest(self, interest: OpenInterest) -> Fault | None:
        if not 0.0 <= interest.base_qty <= MAX_QUANTITY:
            return number_fault("base_qty", interest.base_qty, MAX_QUANTITY)
        if interest.notional_usd is not None and not 0.0 <= interest.notional_usd <= MAX_USD:
            return number_fault("notional_usd", interest.notional_usd, MAX_USD)
        return self._state("interest", interest)

    def _depth(self, book: BookDepth) -> Fault | None:
        bids, asks = book.bids, book.asks
        best = MAX_PRICE
        for price, quantity in bids:
            if not (0.0 < price < best and 0.0 < quantity <= MAX_QUANTITY):
                return Reason.INCONSISTENT, f"bid {price!r} x {quantity!r}", "positive, best (highest) first"
            best = price
        worst = bids[0][0] if bids else 0.0
        for price, quantity in asks:
            if not (worst < price <= MAX_PRICE and 0.0 < quantity <= MAX_QUANTITY):
                return (
                    Reason.INCONSISTENT,
                    f"ask {price!r} x {quantity!r}",
                    "above the bids, best (lowest) first",
                )
            worst = price
        if not (bids or asks):
            return Reason.INCONSISTENT, "no level", "a book has at least one level"
        return self._state("depth", book)

    def _gap(self, gap: FeedGap) -> Fault | None:
        if (
            gap.kind not in _KINDS
            or not is_named(gap.venue)
            or not (gap.symbol is None or is_named(gap.symbol))
        ):
            return (
                Reason.MALFORMED,
                repr((gap.venue, gap.kind, gap.symbol)),
                "a venue, a data kind, a symbol or None",
            )
        times = (gap.ts_ms, gap.from_ms) if gap.to_ms is None else (gap.ts_ms, gap.from_ms, gap.to_ms)
        for ts_ms in times:
            fault = time_fault(ts_ms, self._horizon_ms)
            if fault is not None:
                return fault
        if gap.to_ms is not None and gap.to_ms < gap.from_ms:
            return Reason.INCONSISTENT, f"{gap.from_ms} to {gap.to_ms}", "a gap ends after it began"
        return None

    def _unavailable(self, word: Unavailable) -> Fault | None:
        if (
            word.kind not in _KINDS
            or not is_named(word.venue)
            or not (word.symbol is None or is_named(word.symbol))
        ):
            return (
                Reason.MALFORMED,
                repr((word.venue, word.kind, word.symbol)),
                "a venue, a data kind, a symbol or None",
            )
        return time_fault(word.ts_ms, self._horizon_ms)

    # -- what several of them share ---------------------------------------------------------------------------

    def _state(self, name: str, state: MarkPrice | OpenInterest | BookDepth) -> Fault | None:
        """States replace one another, so an older one is of no use."""
        ts_ms = state.ts_ms
        if type(ts_ms) is not int or not EARLIEST_MS <= ts_ms <= self._horizon_ms:
            return time_fault(ts_ms, self._horizon_ms)
        if state.symbol not in self._symbols:
            return self._stranger(state.symbol)
        key = f"{name}|{state.venue}|{state.symbol}"
        if ts_ms < self._newest_state.get(key, 0):
            return (
                Reason.OUT_OF_ORDER,
                moment(ts_ms),
                f"not older than the last one, {moment(self._newest_state[key])}",
            )
        self._newest_state[key] = ts_ms
        return None

    def _stranger(self, symbol: object) -> Fault:
        if not is_named(symbol):
            return Reason.MALFORMED, repr(symbol), "a symbol is a name"
        return Reason.UNKNOWN_SYMBOL, str(symbol), "only configured symbols"

    def _grid(self, kind: str, venue: str, symbol: str, timeframe: str, step: int) -> GridMemory:
        key = f"{kind}|{venue}|{symbol}|{timeframe}"
        grid = self._grids.get(key)
        if grid is None:
            if not is_named(venue):
                raise TypeError(f"venue {venue!r} is not a name")
            grid = self._grids[key] = GridMemory(step)
        return grid

    def snapshot(self) -> dict[str, Any]:
        """What has been seen; counters begin anew with each process."""
        return {**self.gist(), "liquidations": self._liquidations.snapshot()}

    def gist(self) -> dict[str, Any]:
        """What has been seen but for liquidations."""
        return {
            "now_ms": self._now_ms,
            "grids": Pieces({key: grid.snapshot() for key, grid in self._grids.items()}),
            "states": self._newest_state,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take back a snapshot; a gist leaves the liquidations as they are."""
        self._now_ms = snapshot["now_ms"]
        self._horizon_ms = LATEST_MS if self._now_ms is None else self._now_ms + self._ahead_ms
        self._grids = {key: GridMemory.of(saved) for key, saved in snapshot["grids"].items()}
        if "liquidations" in snapshot:
            self._liquidations.restore(snapshot["liquidations"])
        self._newest_state = dict(snapshot["states"])

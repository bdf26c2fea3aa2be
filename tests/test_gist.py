"""The gist, kept from one event to the next, holds what a gist made from nothing would hold: else a kill leaves a wrong state."""

import random
from collections.abc import Iterator
from copy import deepcopy

import msgspec
import pytest

from regimes.config.features import installed
from regimes.engine import Engine
from regimes.features.base import Steady, Universe
from regimes.features.pieces import Packer, Pieces, packed, unpacked
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
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
START_MS = 1_737_936_000_000
HISTORY_HOURS = 40 * 24


def engine() -> Engine:
    return Engine.build(installed(), Universe(SYMBOLS))


class Market:
    """Whatever may come, in any order, late, twice or not at all."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_ms = START_MS
        self._closes: dict[tuple[str, int], float] = {}

    def history(self) -> Iterator[Observation]:
        """Six weeks of hours, so that every feature speaks."""
        yield Tick(self.now_ms)
        for hour in range(-HISTORY_HOURS, 0):
            for symbol in SYMBOLS:
                yield self._bar(symbol, START_MS + hour * HOUR_MS)
                if hour % 8 == 0:
                    yield self._funding(symbol, START_MS + hour * HOUR_MS)
        yield Tick(self.now_ms)

    def next(self) -> list[Observation]:
        """A moment later, and what it brings."""
        # Often to shortly before the hour: what comes next may be of the new one, and earlier than its first Tick.
        to_hour_ms = HOUR_MS - (self.now_ms + 30_000) % HOUR_MS
        self.now_ms += self.rng.choice(
            (1_000, 1_000, 5_000, 40_000, 40_000, 9 * MINUTE_MS, HOUR_MS, to_hour_ms)
        )
        if self.rng.random() < 0.01:
            return self._silence(self.rng.choice((2, 26)))
        kinds = self.rng.choices(
            (self._hours, self._liquidations, self._prices, self._settled, self._troubles, list),
            weights=(3, 4, 4, 1, 0.3, 4),
            k=self.rng.randrange(3),
        )
        data = [one for kind in kinds for one in kind()]
        ticks: list[Observation] = [Tick(self.now_ms)] if self.rng.random() < 0.6 else []
        return [*data, *ticks] if self.rng.random() < 0.5 else [*ticks, *data]

    def _silence(self, hours: int) -> list[Observation]:
        """Time passes and nothing comes: what is known grows old."""
        since_ms, self.now_ms = self.now_ms, self.now_ms + hours * HOUR_MS
        return [Tick(ts_ms) for ts_ms in range(since_ms, self.now_ms + 1, 10 * MINUTE_MS)]

    def _symbol(self) -> str:
        return self.rng.choice(SYMBOLS)

    def _bar(self, symbol: str, open_ms: int, *, closed: bool = True) -> Candle:
        price = self._closes.setdefault((symbol, open_ms), 100 * self.rng.lognormvariate(0, 0.02))
        high, low = 1.01 * price, 0.99 * price
        return Candle(
            "binanceus", symbol, "1h", open_ms, price, high, low, price, 10.0, 1e3, 5.0, closed=closed
        )

    def _hours(self) -> list[Observation]:
        """The hour that has ended or, late or again, one before it, of some symbols; and the one that is not over."""
        open_ms = self.now_ms // HOUR_MS * HOUR_MS
        ended_ms = open_ms - HOUR_MS * self.rng.choice((1, 1, 1, 2, 5))
        some = self.rng.sample(SYMBOLS, self.rng.randint(1, len(SYMBOLS)))
        return [
            *(self._bar(symbol, ended_ms) for symbol in some),
            self._bar(self._symbol(), open_ms, closed=False),
        ]

    def _liquidations(self) -> list[Observation]:
        found: list[Observation] = []
        for _ in range(self.rng.choice((1, 5, 100))):
            side: Side = self.rng.choice(("long", "short"))
            usd = self.rng.lognormvariate(9, 2)
            ago_ms = self.rng.choice((0, 500, 30_000, 2 * HOUR_MS, 20 * HOUR_MS))
            symbol = self.rng.choice((*SYMBOLS, "DOGE/USDT"))
            found.append(
                Liquidation(self.now_ms - ago_ms, "binanceusdm", symbol, side, 100.0, usd / 100, usd)
            )
        return found

    def _prices(self) -> list[Observation]:
        price, symbol, rng = 100 + self.rng.random(), self._symbol(), self.rng
        bids, asks = ((price - 0.1, 1.0),), ((price + 0.1, rng.choice((1.0, 50.0))),)
        return [
            MarkPrice(
                self.now_ms, "binanceusdm", symbol, price, price, rng.gauss(0, 1e-4), self.now_ms + HOUR_MS
            ),
            OpenInterest(self.now_ms, "binanceusdm", symbol, 1e6 * rng.random(), 1e8),
            BookDepth(self.now_ms, "binanceus", symbol, bids, asks),
        ]

    def _funding(self, symbol: str, settled_ms: int) -> FundingRate:
        rate = self.rng.gauss(1e-4, 1e-4) * self.rng.choice((1, 1, 1, 8))
        return FundingRate(settled_ms, "binanceusdm", symbol, rate, 8.0)

    def _settled(self) -> list[Observation]:
        """The last settlement, or one before it."""
        span_ms = 8 * HOUR_MS
        settled_ms = self.now_ms // span_ms * span_ms - span_ms * self.rng.choice((0, 0, 0, 1))
        return [self._funding(self._symbol(), settled_ms)]

    def _troubles(self) -> list[Observation]:
        since_ms = self.now_ms - self.rng.choice((MINUTE_MS, HOUR_MS, DAY_MS))
        name = self.rng.choice((None, self._symbol()))
        until_ms = self.rng.choice((None, self.now_ms))
        gap = FeedGap(self.now_ms, "binanceusdm", "liquidation", name, since_ms, until_ms, "silence")
        kind: DataKind = self.rng.choice(("candle", "funding", "liquidation"))
        lack = Unavailable(self.now_ms, "binanceus", kind, self._symbol(), "delisted")
        return [self.rng.choice((gap, lack))]


def assert_as_from_nothing(kept: Engine, never_saved: Engine) -> None:
    """Hold what an engine says that has saved all the while against one that has not once."""
    scratch = deepcopy(never_saved)
    for ours, theirs in ((kept.gist(), scratch.gist()), (kept.whole(), scratch.whole())):
        assert ours.keys() == theirs.keys()
        assert not [name for name, part in ours.items() if theirs[name] != part], f"as of {kept.now_ms}"
    assert kept.snapshot() == scratch.snapshot()


@pytest.mark.parametrize("seed", range(6))
def test_a_gist_that_was_kept_is_the_one_made_from_nothing_whatever_came(seed: int) -> None:
    market, kept, never_saved = Market(seed), engine(), engine()
    for one in market.history():
        kept.step(one)
        never_saved.step(one)
    events = 0
    for turn in range(250):
        for one in market.next():
            events += len(kept.step(one).events)
            never_saved.step(one)
            if market.rng.random() < 0.05:
                kept.gist()
        kept.gist()
        if market.rng.random() < 0.5:
            assert_as_from_nothing(kept, never_saved)
        if turn == 120:
            # Both go on from what is on disk, as after a kill.
            whole, gist = kept.whole(), kept.gist()
            kept, never_saved = engine(), engine()
            kept.gist()
            for each in (kept, never_saved):
                each.restore_parts(whole)
                each.restore_parts(gist)
    assert_as_from_nothing(kept, never_saved)
    assert events > 10


def test_what_did_not_change_is_not_packed_again() -> None:
    market, kept = Market(1), engine()
    for one in market.history():
        kept.step(one)
    kept.step(Tick(market.now_ms + 5_000))
    before = kept.gist()
    kept.step(Tick(market.now_ms + 10_000))
    kept.step(MarkPrice(market.now_ms + 10_000, "binanceusdm", "BTC/USDT", 100.0, 100.0, 2e-4, None))
    after = kept.gist()
    again = {name for name, part in after.items() if part is not before[name] and len(part) > 5_000}
    assert sum(map(len, after.values())) > 100_000
    assert not again


def test_most_of_the_large_features_is_steady() -> None:
    steady = {feature.name for feature in engine().features if isinstance(feature, Steady)}
    assert steady == {"volatility_regime", "multi_timeframe", "correlation_engine"}


def test_pieces_are_packed_again_when_one_is_new_gone_or_under_another_name() -> None:
    packer, one, two = Packer(), packed([1]), packed([2])
    first = packer.pack({"all": Pieces(a=one, b=two)})["all"]
    assert packer.pack({"all": Pieces(a=one, b=two)})["all"] is first
    for other in (Pieces(a=one, b=packed([3])), Pieces(a=one), Pieces(a=two, b=one), Pieces(a=one, c=two)):
        body = packer.pack({"all": other})["all"]
        assert msgspec.msgpack.decode(body) == {name: unpacked(piece) for name, piece in other.items()}
